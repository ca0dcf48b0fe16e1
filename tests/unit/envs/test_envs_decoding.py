"""Messages of Unity's become batches."""

import io
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rl_src.envs.decoding import BehaviorDecoder, decode_spec
from rl_src.envs.errors import NonFiniteObservationError, NonFiniteRewardError, ProtocolError
from rl_src.envs.protocol import message_class
from rl_src.envs.specs import ActionSpec, BehaviorSpec, ObservationSpec

float32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
VECTOR = BehaviorSpec("B?team=0", (ObservationSpec("v", (3,)),), ActionSpec(0, (2, 3)))


def agent(observations: list[tuple[tuple[int, ...], list[float]]], **fields: Any) -> Any:
    info = message_class("AgentInfoProto")(**fields)
    for shape, values in observations:
        proto = info.observations.add(shape=shape)
        proto.float_data.data.extend(values)
    return info


def listed(agents: list[Any]) -> bytes:
    agent_list = message_class("UnityRLOutputProto").ListAgentInfoProto()
    agent_list.value.extend(agents)
    return bytes(agent_list.SerializeToString())


def image_agent(data: bytes, shape: tuple[int, ...], mapping: tuple[int, ...] = ()) -> Any:
    info = message_class("AgentInfoProto")()
    info.observations.add(shape=shape, compression_type=1, compressed_data=data, compressed_channel_mapping=mapping)
    return info


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def image_decoder(shape: tuple[int, int, int], channels_last: bool = False) -> BehaviorDecoder:
    return BehaviorDecoder(BehaviorSpec("B", (ObservationSpec("camera", shape),), ActionSpec(1)), channels_last)


@st.composite
def scenes(draw: st.DrawFn) -> tuple[BehaviorSpec, list[Any]]:
    shapes = draw(st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple), min_size=1, max_size=3))
    spec = BehaviorSpec("B", tuple(ObservationSpec(f"s{i}", s) for i, s in enumerate(shapes)), ActionSpec(1, (2,)))
    agents = []
    for _ in range(draw(st.integers(0, 5))):
        values = [draw(st.lists(float32, min_size=math.prod(s), max_size=math.prod(s))) for s in shapes]
        info = agent(list(zip(shapes, values, strict=True)))
        info.id, info.reward, info.done = draw(st.integers(0, 2**31 - 1)), draw(float32), draw(st.booleans())
        info.max_step_reached = info.done and draw(st.booleans())
        info.group_id, info.group_reward = draw(st.integers(0, 300)), draw(float32)
        agents.append(info)
    return spec, agents


@given(scenes())
def test_every_field_of_every_agent_arrives_in_its_row(scene: tuple[BehaviorSpec, list[Any]]) -> None:
    spec, agents = scene
    step = BehaviorDecoder(spec, images_channels_last=False).decode(listed(agents))
    for batch, mine in (
        (step.decisions, [info for info in agents if not info.done]),
        (step.terminals, [info for info in agents if info.done]),
    ):
        assert len(batch) == len(mine)
        assert batch.agent_ids.tolist() == [info.id for info in mine]
        assert batch.rewards.tolist() == [info.reward for info in mine]
        assert batch.group_ids.tolist() == [info.group_id for info in mine]
        assert batch.group_rewards.tolist() == [info.group_reward for info in mine]
        for index, (sensor, values) in enumerate(zip(spec.observations, batch.observations, strict=True)):
            assert values.dtype == np.float32
            assert values.shape == (len(mine), *sensor.shape)
            expected = [list(info.observations[index].float_data.data) for info in mine]
            assert values.reshape(len(mine), math.prod(sensor.shape)).tolist() == expected
    assert step.terminals.truncated.tolist() == [info.max_step_reached for info in agents if info.done]


def test_a_batch_belongs_to_the_caller() -> None:
    decoder = BehaviorDecoder(VECTOR, images_channels_last=False)
    first = decoder.decode(listed([agent([((3,), [1, 2, 3])])])).decisions
    first.observations[0][:] = 0
    first.rewards[:] = 5
    second = decoder.decode(listed([agent([((3,), [1, 2, 3])])])).decisions
    assert second.observations[0].tolist() == [[1, 2, 3]]
    assert second.rewards.tolist() == [0]


def test_masks_are_turned_round_and_a_missing_mask_allows_everything() -> None:
    masked = agent([((3,), [0, 0, 0])], action_mask=[True, False, False, True, True])
    free = agent([((3,), [0, 0, 0])])
    decisions = BehaviorDecoder(VECTOR, False).decode(listed([masked, free])).decisions
    assert decisions.action_mask is not None
    assert decisions.action_mask.tolist() == [[False, True, True, False, False], [True] * 5]


def test_without_branches_there_is_no_mask() -> None:
    spec = BehaviorSpec("B", (ObservationSpec("v", (3,)),), ActionSpec(2))
    assert BehaviorDecoder(spec, False).decode(listed([agent([((3,), [0, 0, 0])])])).decisions.action_mask is None


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("field", ["reward", "group_reward"])
def test_a_reward_must_be_finite(field: str, value: float) -> None:
    bad = agent([((3,), [0, 0, 0])], id=7, **{field: value})
    with pytest.raises(NonFiniteRewardError, match="agent 7"):
        BehaviorDecoder(VECTOR, False).decode(listed([agent([((3,), [0, 0, 0])]), bad]))


@pytest.mark.parametrize("values", [[0, math.nan, 0], [math.inf, -math.inf, 0]])
@pytest.mark.parametrize("done", [False, True])
def test_an_observation_must_be_finite(values: list[float], done: bool) -> None:
    with pytest.raises(NonFiniteObservationError, match="sensor v"):
        BehaviorDecoder(VECTOR, False).decode(listed([agent([((3,), values)], done=done)]))


def test_large_finite_values_whose_sum_overflows_are_fine() -> None:
    values = [3e38, 3e38, 3e38]
    assert np.isfinite(
        BehaviorDecoder(VECTOR, False).decode(listed([agent([((3,), values)])])).decisions.observations[0]
    ).all()


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (agent([((2,), [0, 0])]), "sent 2 values"),
        (agent([((3,), [])]), "sent 0 values"),
        (agent([]), "sent 0 observations"),
        (agent([((3,), [0, 0, 0]), ((1,), [0])]), "sent 2 observations"),
        (agent([((3,), [0, 0, 0])], action_mask=[True]), "1 action mask"),
    ],
)
def test_what_does_not_fit_the_handshake_is_an_error(bad: Any, message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        BehaviorDecoder(VECTOR, False).decode(listed([agent([((3,), [0, 0, 0])]), bad]))


def test_the_spec_of_a_current_package() -> None:
    brain = message_class("BrainParametersProto")(brain_name="Walker?team=1")
    brain.action_spec.num_continuous_actions = 2
    brain.action_spec.num_discrete_actions = 2
    brain.action_spec.discrete_branch_sizes.extend([3, 4])
    info = agent([((5,), [0] * 5), ((3, 84, 100), [])])
    info.observations[0].name = "Ray"
    spec = decode_spec(brain, listed([info]), images_channels_last=False)
    assert spec == BehaviorSpec(
        "Walker?team=1", (ObservationSpec("Ray", (5,)), ObservationSpec("obs_1", (3, 84, 100))), ActionSpec(2, (3, 4))
    )
    assert (spec.behavior_name, spec.team_id) == ("Walker", 1)


def test_the_spec_of_an_old_package() -> None:
    """Deprecated action fields, images with channels last."""
    info = agent([((84, 100, 3), [])])
    for kind, sizes, expected in ((1, [2], ActionSpec(2)), (0, [3, 4], ActionSpec(0, (3, 4)))):
        brain = message_class("BrainParametersProto")(
            brain_name="W", vector_action_space_type_deprecated=kind, vector_action_size_deprecated=sizes
        )
        spec = decode_spec(brain, listed([info]), images_channels_last=True)
        assert spec.actions == expected
        assert spec.observations[0].shape == (3, 84, 100)


def test_uncompressed_images_with_channels_last_are_turned() -> None:
    pixels = np.arange(24, dtype=np.float32).reshape(2, 4, 3)  # [H, W, C]
    step = image_decoder((3, 2, 4), channels_last=True).decode(listed([agent([((2, 4, 3), pixels.ravel().tolist())])]))
    assert np.array_equal(step.decisions.observations[0][0], pixels.transpose(2, 0, 1))


@pytest.mark.parametrize("channels_last", [False, True])
def test_a_png_becomes_channels_first_between_0_and_1(channels_last: bool) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    shape = (4, 6, 3) if channels_last else (3, 4, 6)
    step = image_decoder((3, 4, 6), channels_last).decode(listed([image_agent(png(pixels), shape)] * 2))
    expected = pixels.transpose(2, 0, 1).astype(np.float32) / 255
    assert np.allclose(step.decisions.observations[0], [expected, expected])


def test_a_grayscale_observation_is_the_mean_of_the_colours() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (4, 6, 3), np.uint8)
    for mapping in ((), (0, 0, 0)):
        step = image_decoder((1, 4, 6)).decode(listed([image_agent(png(pixels), (1, 4, 6), mapping)]))
        assert np.allclose(step.decisions.observations[0][0, 0], pixels.mean(axis=2) / 255, atol=1e-6)


def test_a_stack_of_pngs_is_joined_and_its_padding_dropped() -> None:
    first, second = np.random.default_rng(2).integers(0, 256, (2, 4, 6, 3), np.uint8)
    planes = np.concatenate([first, second], axis=2).transpose(2, 0, 1) / 255
    data = png(first) + png(second)
    for mapping in ((), (0, 1, 2, 3, -1, -1)):
        step = image_decoder((4, 4, 6)).decode(listed([image_agent(data, (4, 4, 6), mapping)]))
        assert np.allclose(step.decisions.observations[0][0], planes[:4])


def test_stacked_grayscale_maps_each_picture_to_a_channel() -> None:
    first, second = np.random.default_rng(3).integers(0, 256, (2, 4, 6, 3), np.uint8)
    step = image_decoder((2, 4, 6)).decode(
        listed([image_agent(png(first) + png(second), (2, 4, 6), (0, 0, 0, 1, 1, 1))])
    )
    expected = [first.mean(axis=2) / 255, second.mean(axis=2) / 255]
    assert np.allclose(step.decisions.observations[0][0], expected, atol=1e-6)


PIXELS = np.zeros((4, 6, 3), np.uint8)


@pytest.mark.parametrize(
    ("data", "mapping", "message"),
    [
        (b"GIF89a", (), "no PNG"),
        (b"", (), "no PNG"),
        (png(PIXELS)[:40], (), "no PNG"),
        (png(PIXELS[:3]), (), r"\(3, 6\) pixels"),
        (png(PIXELS), (0, 1), "maps 2 image channels"),
        (png(PIXELS), (0, 1, 7), "maps 3 image channels"),
    ],
)
def test_images_that_do_not_fit_are_errors(data: bytes, mapping: tuple[int, ...], message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        image_decoder((3, 4, 6)).decode(listed([image_agent(data, (3, 4, 6), mapping)]))


def test_too_few_channels_are_an_error() -> None:
    with pytest.raises(ProtocolError, match="sent 3 channels"):
        image_decoder((4, 4, 6)).decode(listed([image_agent(png(PIXELS), (4, 4, 6))]))


def test_pictures_of_different_sizes_in_one_stack_are_an_error() -> None:
    with pytest.raises(ProtocolError):
        image_decoder((6, 4, 6)).decode(listed([image_agent(png(PIXELS) + png(PIXELS[:3]), (6, 4, 6))]))
