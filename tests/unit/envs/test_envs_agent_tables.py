"""Agents read as tables of bytes are what protobuf reads, whatever the bytes are."""

import math
from typing import Any

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_src.envs.batches import BehaviorStep
from rl_src.envs.buffers import ObservationBuffers
from rl_src.envs.decoding import BehaviorDecoder
from rl_src.envs.errors import UnityEnvironmentError
from rl_src.envs.protocol import message_class
from rl_src.envs.specs import ActionSpec, BehaviorSpec, ObservationSpec

SPEC = BehaviorSpec("B?team=0", (ObservationSpec("a", (3,)), ObservationSpec("b", (2, 2, 1))), ActionSpec(1, (2, 3)))
MASK = sum(SPEC.actions.discrete_branches)
float32 = st.floats(width=32, allow_nan=False, allow_infinity=False)


@st.composite
def agents(draw: st.DrawFn) -> Any:
    """Few different structures, so that many agents share one; some odd ones."""
    info = message_class("AgentInfoProto")(
        id=draw(st.sampled_from([0, 1, 127, 128, 16_384, 2**28 - 1, 2**28, 2**31 - 1, -1])),
        reward=draw(st.sampled_from([0.0, 0.5]) | float32),
        done=draw(st.booleans()),
        max_step_reached=draw(st.booleans()),
        group_id=draw(st.sampled_from([0, 0, 0, 1, 300])),
        group_reward=draw(st.sampled_from([0.0, 0.0, 2.0])),
        action_mask=draw(st.sampled_from([[], [True, False, False, True, False], [False] * MASK])),
    )
    for sensor in SPEC.observations:
        proto = info.observations.add(name=sensor.name, shape=sensor.shape, dimension_properties=[1])
        size = math.prod(sensor.shape)
        proto.float_data.data.extend(draw(st.lists(float32, min_size=size, max_size=size)))
    return info


def listed(infos: list[Any]) -> bytes:
    agent_list = message_class("UnityRLOutputProto").ListAgentInfoProto()
    agent_list.value.extend(infos)
    return bytes(agent_list.SerializeToString())


def assert_same(step: BehaviorStep, infos: list[Any]) -> None:
    for batch, mine in (
        (step.decisions, [info for info in infos if not info.done]),
        (step.terminals, [info for info in infos if info.done]),
    ):
        assert batch.agent_ids.tolist() == [info.id for info in mine]
        assert batch.rewards.tolist() == [info.reward for info in mine]
        assert batch.group_ids.tolist() == [info.group_id for info in mine]
        assert batch.group_rewards.tolist() == [info.group_reward for info in mine]
        for index, values in enumerate(batch.observations):
            sent = [list(info.observations[index].float_data.data) for info in mine]
            assert values.reshape(len(mine), -1).tolist() == sent if mine else not len(values)
    assert step.terminals.truncated.tolist() == [info.max_step_reached for info in infos if info.done]
    assert step.decisions.action_mask is not None
    allowed = [[not item for item in info.action_mask] or [True] * MASK for info in infos if not info.done]
    assert step.decisions.action_mask.tolist() == allowed


@settings(max_examples=60)
@given(st.lists(st.lists(agents(), max_size=25), min_size=1, max_size=3))
def test_agents_of_any_mixture_of_structures_arrive_whole_and_in_order(exchanges: list[list[Any]]) -> None:
    decoder = BehaviorDecoder(SPEC, images_channels_last=False)  # one, so that known structures are used again
    for infos in exchanges:
        assert_same(decoder.decode(listed(infos)), infos)


@pytest.mark.parametrize("count", [1, 2, 300])
def test_many_agents_of_one_structure(count: int) -> None:
    infos = []
    for number in range(count):
        info = message_class("AgentInfoProto")(id=1000 + number, reward=number + 0.5, action_mask=[number % 2] * MASK)
        info.observations.add(shape=[3]).float_data.data.extend([number, -number, 0.25])
        info.observations.add(shape=[2, 2, 1]).float_data.data.extend([number] * 4)
        infos.append(info)
    decoder = BehaviorDecoder(SPEC, images_channels_last=False)
    for _ in range(2):
        assert_same(decoder.decode(listed(infos)), infos)


@settings(max_examples=300)
@given(st.lists(agents(), min_size=1, max_size=4), st.data())
def test_damaged_messages_are_read_as_protobuf_reads_them_or_refused(infos: list[Any], data: st.DataObject) -> None:
    decoder = BehaviorDecoder(SPEC, images_channels_last=False)
    message = bytearray(listed(infos))
    decoder.decode(bytes(message))
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(message) - 1))
        if data.draw(st.booleans()):
            message[position] = data.draw(st.integers(0, 255))
        else:
            del message[position]
    try:
        step = decoder.decode(bytes(message))
    except UnityEnvironmentError:
        return
    try:
        read = list(message_class("UnityRLOutputProto").ListAgentInfoProto.FromString(bytes(message)).value)
    except DecodeError:
        return  # a name that is not UTF-8: nothing that is used
    assert_same(step, read)


def address(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])


def test_memory_is_lent_again_only_when_nobody_holds_it() -> None:
    buffers = ObservationBuffers((3, 84, 84))
    first = buffers.take(9)
    view, where = first[2:4], address(first)
    del first
    second = buffers.take(9)
    assert address(second) != where, "a view of the first is still held"
    del view
    assert address(buffers.take(9)) == where
    assert address(buffers.take(3)) == where


@given(st.lists(st.tuples(st.integers(0, 12), st.booleans()), max_size=40))
def test_lent_memory_never_overlaps(requests: list[tuple[int, bool]]) -> None:
    buffers = ObservationBuffers((40, 84, 84))
    held: list[np.ndarray] = []
    for number, (rows, keep) in enumerate(requests):
        array = buffers.take(rows)
        assert array.shape == (rows, 40, 84, 84)
        array[:, 0, 0] = number
        assert not any(np.shares_memory(array, other) for other in held)
        if keep:
            held = [*held[-3:], array]
