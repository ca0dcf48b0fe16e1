"""Returns of groups whose agents come and go, against answers known in closed form."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_src.training.algorithms.group_returns import (
    NOBODY,
    NOTHING,
    Gatherings,
    Stretch,
    gather,
    group_returns,
    team_rewards,
)
from rl_src.training.algorithms.train_batch import generalized_advantages
from rl_src.training.sampling.groups import GroupStretch

GAMMA = 0.9


def stretch(
    moments: Sequence[int],
    *,
    own: Sequence[float] | float = 0.0,
    shared: Sequence[float] | float = 0.0,
    end: str = "",
    goes_on: bool = False,
    group: int = 1,
) -> Stretch:
    """`moments`: of the decisions, and of the last observation."""
    count = len(moments) - 1
    of_group = np.broadcast_to(np.array(shared, dtype=np.float32), count)
    return Stretch(
        part=GroupStretch(group, np.array(moments, dtype=np.int64), of_group, goes_on),
        rewards=of_group + np.broadcast_to(np.array(own, dtype=np.float32), count),
        terminated=end == "terminated",
        truncated=end == "truncated",
    )


def members(found: Gatherings) -> list[list[int]]:
    return [[item for item in row if item != NOBODY] for row in found.members.tolist()]


def returns(stretches: Sequence[Stretch], values: dict[tuple[int, ...], float] | None = None, lambda_=1.0) -> list:
    """`values`: of gatherings, by the numbers of their observations; 0 of those that are left out."""
    found = gather(stretches)
    known = np.array([(values or {}).get(tuple(sorted(row)), 0.0) for row in members(found)], dtype=np.float32)
    return group_returns(found, team_rewards(stretches), known, GAMMA, lambda_).tolist()


# One leaves at moment 1; the other two decisions later earns 1 for the group. Observations 0, 1 and 2 to 5.
EARLY = [
    stretch([0, 1], end="terminated", goes_on=True),
    stretch([0, 1, 2, 3], shared=[0, 0, 1], end="terminated"),
]


def test_who_left_early_is_credited_with_what_the_group_earns_later():
    assert returns(EARLY) == pytest.approx([GAMMA**2, GAMMA**2, GAMMA, 1.0])


def test_it_is_credited_by_the_value_of_those_who_stay_where_lambda_is_0():
    values = {(3,): 5.0, (4,): 7.0, (0, 2): 11.0}
    assert returns(EARLY, values, lambda_=0.0) == pytest.approx([GAMMA * 5, GAMMA * 5, GAMMA * 7, 1.0])


def test_lambda_mixes_both():
    values, half = {(3,): 5.0, (4,): 7.0}, 0.5
    later = GAMMA * (half * 7 + half * 1.0)
    first = GAMMA * (half * 5 + half * later)
    assert returns(EARLY, values, lambda_=half) == pytest.approx([first, first, later, 1.0])


def test_who_has_left_is_seen_no_more():
    found = gather(EARLY)
    assert members(found) == [[0, 2], [3], [4]]
    assert found.of_decision.tolist() == [0, 0, 1, 2]
    assert found.following.tolist() == [1, 1, 2, NOTHING]
    assert found.decisions.tolist() == [0, 2, 3, 4]


def test_the_groups_end_ends_all_even_if_the_next_episode_begins_at_once():
    """Unity keeps a group's id: what the next episode earns is not the last one's."""
    first = [stretch([0, 1], end="terminated"), stretch([0, 1], end="terminated")]
    second = [stretch([1, 2], shared=10, end="terminated"), stretch([1, 2], shared=10, end="terminated")]
    assert returns(first + second) == pytest.approx([0, 0, 10, 10])


def test_an_interrupted_group_is_worth_what_its_last_observations_promise():
    cut = [stretch([0, 1], end="truncated"), stretch([0, 1], end="truncated")]
    assert returns(cut, {(1, 3): 4.0}) == pytest.approx([GAMMA * 4] * 2)
    # Of those that end together, the ones that were interrupted would have played on.
    mixed = [stretch([0, 1], end="terminated"), stretch([0, 1], end="truncated")]
    assert returns(mixed, {(3,): 4.0}) == pytest.approx([GAMMA * 4] * 2)


def test_a_cut_batch_is_worth_what_those_promise_who_wait():
    """One left in the batch's last message, the other waits for its next action."""
    stretches = [stretch([0, 1, 2], end="terminated", goes_on=True), stretch([0, 1, 2])]
    assert returns(stretches, {(5,): 3.0}, lambda_=0.7) == pytest.approx(
        [GAMMA * 0.7 * GAMMA * 3, GAMMA * 3, GAMMA * 0.7 * GAMMA * 3, GAMMA * 3]
    )


def test_who_joins_later_is_a_member_from_then_on():
    found = gather([stretch([0, 1, 2]), stretch([1, 2])])
    assert members(found) == [[0], [1, 3], [2, 4]]


def test_own_rewards_count_for_all_and_the_groups_once():
    rewards = team_rewards([stretch([0, 1], own=1, shared=5), stretch([0, 1], own=2, shared=5)])
    assert rewards.tolist() == [8, 8]
    alone = team_rewards([stretch([0, 1], own=1, group=1), stretch([0, 1], own=2, group=2)])
    assert alone.tolist() == [1, 2]


def test_what_the_group_earns_between_a_death_and_the_next_message_is_the_dead_ones_too():
    died = stretch([0, 1], shared=0, end="terminated", goes_on=True)
    assert team_rewards([died, stretch([0, 1], shared=1)]).tolist() == [1, 1]
    assert team_rewards([stretch([0, 1], shared=-1), died]).tolist() == [-1, -1]
    # All gone in one message: who was told the most was there the longest.
    last = [stretch([0, 1], shared=0, end="terminated"), stretch([0, 1], shared=-2, end="terminated")]
    assert team_rewards(last).tolist() == [-2, -2]


def test_with_no_one_left_to_look_at_its_own_last_observation_has_to_do():
    """The others' build broke down, and what they had played was dropped."""
    assert returns([stretch([0, 1], end="terminated", goes_on=True)], {(1,): 6.0}) == pytest.approx([GAMMA * 6])


def test_agents_that_decide_in_turn_are_seen_as_they_last_were():
    """One decides at 0, 2 and 4, the other at 1 and 3: each is a member while the other decides."""
    found = gather([stretch([0, 2, 4]), stretch([1, 3, 4])])
    assert members(found) == [[0], [0, 3], [1, 3], [1, 4], [2, 5]]
    assert found.following.tolist() == [2, 4, 3, 4]


def test_rewards_of_agents_that_decide_in_turn_fall_into_the_decisions_that_last_meanwhile():
    one, other = stretch([0, 2, 4], own=[1, 10]), stretch([1, 3, 5], own=[100, 1000])
    # 1 comes at 2, 100 at 3, 10 at 4, 1000 at 5.
    assert team_rewards([one, other]).tolist() == [1, 110, 101, 1010]


@given(
    rewards=st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=12),
    gamma=st.floats(0, 1),
    lambda_=st.floats(0, 1),
    end=st.sampled_from(["", "terminated", "truncated"]),
    seed=st.integers(0, 99),
)
def test_a_group_of_one_gets_the_returns_of_ppo(rewards, gamma, lambda_, end, seed):
    length = len(rewards)
    values = np.random.default_rng(seed).normal(size=length + 1).astype(np.float32)
    alone = [stretch(range(length + 1), own=rewards, end=end)]
    found = gather(alone)
    of_gatherings = np.array([values[row[0]] for row in members(found)], dtype=np.float32)
    expected = values[:-1] + generalized_advantages(alone[0].rewards, values, end == "terminated", gamma, lambda_)
    got = group_returns(found, team_rewards(alone), of_gatherings, gamma, lambda_)
    assert got.tolist() == pytest.approx(expected.tolist(), abs=1e-3)


@st.composite
def episodes(draw) -> list[Stretch]:
    """One group's whole episode, in which some leave early; all decide in every step."""
    length = draw(st.integers(1, 6))
    others = draw(st.lists(st.integers(1, length), max_size=3))
    numbers = st.floats(-3, 3, width=16)
    shared = draw(st.lists(numbers, min_size=length, max_size=length))
    stretches = []
    for last in [length, *others]:
        own = draw(st.lists(numbers, min_size=last, max_size=last))
        stays = last == length
        stretches.append(stretch(range(last + 1), own=own, shared=shared[:last], end="terminated", goes_on=not stays))
    return draw(st.permutations(stretches))


def team_timeline(stretches: Sequence[Stretch]) -> tuple[list[float], int]:
    """By hand: what the team earned in each step."""
    length = max(map(len, stretches))
    longest = next(item for item in stretches if len(item) == length)
    own = [
        sum(float(item.rewards[t] - item.part.group_rewards[t]) for item in stretches if len(item) > t)
        for t in range(length)
    ]
    return [a + float(b) for a, b in zip(own, longest.part.group_rewards, strict=True)], length


@given(episodes(), st.floats(0, 1), st.integers(0, 99))
def test_every_decision_of_a_step_gets_the_teams_return_whoever_leaves_when(stretches, lambda_, seed):
    rewards, length = team_timeline(stretches)
    values = np.random.default_rng(seed).normal(size=length)
    found = gather(stretches)
    expected = np.zeros(length + 1)
    for t in reversed(range(length)):
        following = values[t + 1] if t + 1 < length else 0.0
        expected[t] = rewards[t] + GAMMA * ((1 - lambda_) * following + lambda_ * expected[t + 1])
    got = group_returns(found, team_rewards(stretches), values[found.moments].astype(np.float32), GAMMA, lambda_)
    steps = np.concatenate([np.arange(len(item)) for item in stretches])
    assert got.tolist() == pytest.approx(expected[steps].tolist(), abs=1e-3)
