"""Batches on their way to the device that learns from them: pictures as bytes, and nothing lost of anything."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from ray.rllib.core.columns import Columns
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.env.utils.infinite_lookback_buffer import InfiniteLookbackBuffer

from rl_src.envs.images import BRIGHTEST
from rl_src.envs.specs import ActionSpec, ObservationSpec
from rl_src.training.algorithms.placement import joined, portions, with_bytes
from rl_src.training.networks import normalization
from rl_src.training.networks.network import PolicyNetwork
from rl_src.training.networks.normalization import PictureMoments
from rl_src.training.settings.config import Memory, ResolvedNetwork

SIGHTS = (ObservationSpec("camera", (3, 4, 5)), ObservationSpec("seen", (2,)), ObservationSpec("grid", (1, 4, 5)))


def as_sent(pixels: np.ndarray) -> np.ndarray:
    """What the build's client makes of a picture's bytes."""
    values = pixels.astype(np.float32)
    values /= BRIGHTEST
    return values


def episode(*observations: np.ndarray) -> SingleAgentEpisode:
    length = len(observations[0]) - 1
    return SingleAgentEpisode(
        observations=InfiniteLookbackBuffer(observations),
        actions=InfiniteLookbackBuffer(np.zeros((length, 1), np.float32)),
        rewards=InfiniteLookbackBuffer(np.ones(length, np.float32)),
        extra_model_outputs={Columns.ACTION_LOGP: np.zeros(length, np.float32)},
        len_lookback_buffer=0,
    )


def sights(rng: np.random.Generator, rows: int) -> tuple[np.ndarray, ...]:
    pictures = [rng.integers(256, size=(rows, *SIGHTS[i].shape), dtype=np.uint8) for i in (0, 2)]
    return as_sent(pictures[0]), rng.normal(size=(rows, 2)).astype(np.float32), as_sent(pictures[1])


def test_every_byte_comes_back_from_what_the_client_made_of_it():
    every = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    (made,) = with_bytes([episode(as_sent(np.repeat(every, 3, 0)))], [ObservationSpec("grid", (1, 16, 16))])
    (found,) = made.observations.data
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, np.repeat(every, 3, 0))
    seen = normalization._as_floats(torch.from_numpy(found))
    np.testing.assert_array_equal(seen.numpy(), as_sent(np.repeat(every, 3, 0)))


@given(arrays.arrays(np.float32, (2, 1, 2, 2), elements=st.floats(-1, 2, width=32)))
def test_what_is_no_byte_stays_as_it_is(values):
    (made,) = with_bytes([episode(values)], [ObservationSpec("grid", (1, 2, 2))])
    (found,) = made.observations.data
    if found.dtype == np.uint8:
        np.testing.assert_array_equal(as_sent(found), values)
    else:
        assert found is values


@pytest.mark.parametrize("odd", [0.5, -1 / 255, 256 / 255, np.nan, np.inf])
def test_one_odd_value_keeps_all_pictures_of_its_sensor_as_floats(odd):
    rng = np.random.default_rng(0)
    first, second = sights(rng, 4), sights(rng, 3)
    second[0][1, 2, 3, 4] = odd
    made = with_bytes([episode(*first), episode(*second)], SIGHTS)
    assert [[value.dtype for value in item.observations.data] for item in made] == [[np.float32] * 2 + [np.uint8]] * 2


def test_all_else_of_an_episode_stays_and_the_given_one_too():
    rows = sights(np.random.default_rng(1), 5)
    given_one = episode(*rows)
    (made,) = with_bytes([given_one], SIGHTS)
    assert all(value is old for value, old in zip(given_one.observations.data, rows, strict=True))
    assert made.observations.data[1] is rows[1]
    assert len(made) == len(given_one) == 4
    assert made.rewards is given_one.rewards
    (again,) = with_bytes([made], SIGHTS)  # what is bytes already
    assert [value.dtype for value in again.observations.data] == [np.uint8, np.float32, np.uint8]
    assert with_bytes([given_one], SIGHTS[1:2]) == [given_one]


@pytest.mark.parametrize("memory", [None, Memory(size=8, sequence_length=4)], ids=["", "memory"])
def test_a_network_sees_the_same_in_bytes(memory):
    network = PolicyNetwork(SIGHTS, ActionSpec(0, (3,)), ResolvedNetwork((16,), "tanh", True, memory=memory))
    rows = sights(np.random.default_rng(2), 6)
    (made,) = with_bytes([episode(*rows)], SIGHTS)
    floats, in_bytes = ([torch.from_numpy(value) for value in one] for one in (rows, made.observations.data))
    for _ in range(2):
        with torch.no_grad():
            assert torch.equal(network.distribution_inputs(in_bytes), network.distribution_inputs(floats))
            assert torch.equal(network.values(in_bytes), network.values(floats))
        network.update_moments(in_bytes)


def test_moments_of_bytes_are_those_of_floats():
    rows = sights(np.random.default_rng(3), 50)
    (made,) = with_bytes([episode(*rows)], SIGHTS)
    network = ResolvedNetwork((4,), "tanh", normalize_observations=False)
    moments = []
    for data in (rows, made.observations.data):
        policy = PolicyNetwork(SIGHTS, ActionSpec(0, (2,)), network)
        policy.update_moments([torch.from_numpy(value) for value in data])
        own = policy.moments.of_sensor(0)
        assert isinstance(own, PictureMoments)
        moments.append((own.mean, own.variance))
    assert all(torch.equal(one, other) for one, other in zip(*moments, strict=True))


@pytest.mark.parametrize("rows", [1, 4096, 4097, 10_000])
def test_portions_cover_every_row_once(rows):
    for device in (torch.device("cpu"), torch.device("cuda")):
        covered = [number for part in portions(rows, device) for number in range(rows)[part]]
        assert covered == list(range(rows))
    assert len(list(portions(rows, torch.device("cpu")))) == 1


def test_pieces_lie_one_behind_the_other():
    pieces = [np.arange(6, dtype=np.float32).reshape(2, 3), np.arange(3, dtype=np.float32)[None]]
    assert torch.equal(joined(pieces, torch.device("cpu")), torch.from_numpy(np.concatenate(pieces)))
    elsewhere = joined(pieces, torch.device("meta"))
    assert (elsewhere.shape, elsewhere.dtype, elsewhere.device.type) == ((3, 3), torch.float32, "meta")
