"""The replay buffer: what is drawn is what happened, the oldest goes first, and its state is whole."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.env.utils.infinite_lookback_buffer import InfiniteLookbackBuffer

from rl_src.training.algorithms.replay import ReplayBuffer
from rl_src.training.errors import InvalidCheckpointError
from rl_src.training.networks.rl_module import ACTION_MASK


def stretch(first: float, length: int, *, key="a", at=0, end="", masks=None) -> SingleAgentEpisode:
    """Observations, actions and rewards are all numbered from `first` on."""
    numbers = np.arange(first, first + length + 1, dtype=np.float32)
    return SingleAgentEpisode(
        id_=key,
        observations=InfiniteLookbackBuffer((numbers[:, None], np.tile(numbers[:, None, None], (1, 2, 2)))),
        actions=InfiniteLookbackBuffer(numbers[:-1, None] + 0.25),
        rewards=InfiniteLookbackBuffer(numbers[:-1] + 0.5),
        terminated=end == "terminated",
        truncated=end == "truncated",
        extra_model_outputs={} if masks is None else {ACTION_MASK: np.array(masks, dtype=np.float32)},
        t_started=at,
        len_lookback_buffer=0,
    )


def replay(capacity=100, width=0, seed=0) -> ReplayBuffer:
    return ReplayBuffer(capacity, [(1,), (2, 2)], 1, width, seed)


def drawn(buffer: ReplayBuffer, count=400) -> list[float]:
    """The observations' numbers, each once; all else is checked against them."""
    found = buffer.sample(count)
    number = found.observations[0][:, 0]
    assert torch.equal(found.next_observations[0][:, 0], number + 1)
    assert torch.equal(found.observations[1], number[:, None, None].expand(-1, 2, 2))
    assert torch.equal(found.next_observations[1], number[:, None, None].expand(-1, 2, 2) + 1)
    assert torch.equal(found.actions[:, 0], number + 0.25)
    assert torch.equal(found.rewards, number + 0.5)
    return sorted(set(number.tolist()))


def test_every_transition_is_drawn_and_none_goes_from_one_stretch_to_the_next():
    buffer = replay()
    buffer.add([stretch(0, 3), stretch(10, 1, key="b"), stretch(20, 2, key="c")])
    assert len(buffer) == 6
    assert drawn(buffer) == [0, 1, 2, 10, 20, 21]


def test_only_a_terminated_episode_has_nothing_after_it():
    buffer = replay()
    buffer.add([stretch(0, 2, end="terminated"), stretch(10, 2, end="truncated"), stretch(20, 2, key="c")])
    found = buffer.sample(200)
    assert set(found.observations[0][found.terminated == 1, 0].tolist()) == {1.0}
    assert set(found.observations[0][found.terminated == 0, 0].tolist()) == {0, 10, 11, 20, 21}


@settings(deadline=None)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=20), st.integers(2, 15))
def test_the_oldest_goes_first(lengths, capacity):
    buffer, expected = replay(capacity), []
    for i, length in enumerate(lengths):
        buffer.add([stretch(100 * i, length, key=str(i))])
        kept = min(length, capacity - 1)
        expected += [*(100 * i + k for k in range(length - kept, length)), None]  # None: the last observation's row
        expected = expected[-capacity:]
    known = [number for number in expected if number is not None]
    assert len(buffer) == len(known)
    assert drawn(buffer) == known


def test_what_is_allowed_next_is_what_the_next_decision_had():
    buffer = replay(width=2)
    buffer.add([stretch(0, 2, masks=[[1, 0], [0, 1]])])
    found = buffer.sample(50)
    for number, mask, after in zip(found.observations[0][:, 0], found.masks, found.next_masks, strict=True):
        assert (mask.tolist(), after.tolist()) == (([1, 0], [0, 1]) if number == 0 else ([0, 1], [1, 1]))
    buffer.add([stretch(2, 1, at=2, masks=[[1, 0]])])  # the episode goes on: the mask at the cut is known now
    found = buffer.sample(50)
    assert found.next_masks[found.observations[0][:, 0] == 1].unique(dim=0).tolist() == [[1, 0]]


def test_a_cut_that_was_overwritten_is_left_alone():
    buffer = replay(4, width=2)
    buffer.add([stretch(0, 1)])
    buffer.add([stretch(10, 3, key="b", masks=[[1, 1]] * 3, end="terminated")])
    buffer.add([stretch(1, 1, at=1, masks=[[1, 0]], end="terminated")])
    assert buffer.sample(50).masks[:, 0].tolist() == [1] * 50


def test_without_masks_everything_is_allowed():
    buffer = replay(width=3)
    buffer.add([stretch(0, 2)])
    assert buffer.sample(5).masks.tolist() == [[1, 1, 1]] * 5


def test_a_seed_draws_the_same_and_a_state_goes_on_as_it_was():
    first, second, other = replay(seed=3), replay(seed=3), replay(seed=4)
    for buffer in (first, second, other):
        buffer.add([stretch(0, 40)])
    assert torch.equal(first.sample(20).rewards, second.sample(20).rewards)
    assert not torch.equal(first.sample(20).rewards, other.sample(20).rewards)
    fresh = replay(seed=9)
    fresh.set_state(first.state())
    for buffer in (first, fresh):
        buffer.add([stretch(50, 70, key="b")])
    assert len(fresh) == len(first)
    assert torch.equal(first.sample(20).rewards, fresh.sample(20).rewards)


def test_another_buffers_state_is_refused():
    buffer = replay()
    buffer.add([stretch(0, 2)])
    with pytest.raises(InvalidCheckpointError, match="replay_capacity was 100"):
        replay(50).set_state(buffer.state())
    with pytest.raises(InvalidCheckpointError, match="does not fit"):
        replay().set_state({})
