"""Figures by closed form, and which episodes count."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from rl_src.envs.batches import BehaviorStep, DecisionBatch, TerminalBatch
from rl_src.evaluation.episodes import BehaviorEpisodes
from rl_src.evaluation.statistics import ReturnStatistics, describe, difference


def test_the_interval_is_students() -> None:
    # n = 5, s = √2.5, t(0.975, 4) = 2.7764451
    found = describe([1, 2, 3, 4, 5], [10, 10, 10, 10, 20])
    half = 2.7764451051977987 * math.sqrt(2.5) / math.sqrt(5)
    assert found.mean_return == 3
    assert found.std_return == pytest.approx(math.sqrt(2.5))
    assert (found.ci95_low, found.ci95_high) == (pytest.approx(3 - half), pytest.approx(3 + half))
    assert (found.min_return, found.max_return, found.mean_length, found.episodes) == (1, 5, 12, 5)


def test_one_episode_is_its_own_interval() -> None:
    found = describe([0.93], [7])
    assert (found.ci95_low, found.mean_return, found.ci95_high, found.std_return) == (0.93, 0.93, 0.93, 0)


def test_no_episode_has_no_figures() -> None:
    with pytest.raises(ValueError, match="no episode"):
        describe([], [])


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=50), st.floats(-1e3, 1e3))
def test_a_shift_of_all_returns_shifts_the_interval(returns: list[float], shift: float) -> None:
    before, after = describe(returns, [1] * len(returns)), describe([r + shift for r in returns], [1] * len(returns))
    assert after.ci95_low == pytest.approx(before.ci95_low + shift, abs=1e-3)
    assert after.ci95_high == pytest.approx(before.ci95_high + shift, abs=1e-3)


RETURNS = st.lists(st.floats(-1e3, 1e3).map(lambda value: round(value, 3)), min_size=2, max_size=40)


def described(returns: list[float]) -> ReturnStatistics:
    return describe(returns, [1] * len(returns))


@given(RETURNS, RETURNS)
def test_the_interval_of_a_difference_is_welchs(candidate: list[float], incumbent: list[float]) -> None:
    found = difference([described(candidate)], [described(incumbent)], [False])
    assert found.mean == pytest.approx(np.mean(candidate) - np.mean(incumbent), abs=1e-9)
    if np.std(candidate) > 1e-3 < np.std(incumbent):
        interval = stats.ttest_ind(candidate, incumbent, equal_var=False).confidence_interval()
        assert (found.ci95_low, found.ci95_high) == pytest.approx((interval.low, interval.high), abs=1e-6)


@given(RETURNS.filter(lambda returns: np.std(returns) > 1e-3))
def test_of_opponents_in_a_game_of_nothing_but_winning_the_interval_is_that_of_their_pairs(won: list[float]) -> None:
    lost = [-value for value in won]
    found = difference([described(won)], [described(lost)], [True])
    pairs = stats.ttest_1samp(np.subtract(won, lost), 0).confidence_interval()
    assert (found.ci95_low, found.ci95_high) == pytest.approx((pairs.low, pairs.high), abs=1e-6)
    assert found.ci95_high - found.ci95_low > np.ptp(stats.ttest_ind(won, lost).confidence_interval())


def test_a_difference_of_several_behaviors_is_the_mean_of_theirs() -> None:
    sure, unsure = described([1.0, 1.0, 1.0]), described([0.0, 2.0, 4.0])
    none = described([0.0])
    found = difference([sure, unsure], [none, none], [False, False])
    half = stats.t.ppf(0.975, 2) * 2 / math.sqrt(3) / 2
    assert found.mean == pytest.approx(1.5)
    assert (found.ci95_low, found.ci95_high) == pytest.approx((1.5 - half, 1.5 + half))


@pytest.mark.parametrize("opposed", [True, False])
def test_what_always_ends_alike_is_known_for_certain(opposed: bool) -> None:
    found = difference([described([0.93, 0.93])], [described([0.5])], [opposed])
    assert (found.ci95_low, found.mean, found.ci95_high) == pytest.approx((0.43, 0.43, 0.43))


def test_equal_rewards_added_in_another_order_are_no_difference() -> None:
    found = difference([described([0.1 + 0.2 + 0.3])], [described([0.3 + 0.2 + 0.1])], [False])
    assert (found.ci95_low, found.mean, found.ci95_high) == (0, 0, 0)


def test_what_cannot_be_compared_is_refused() -> None:
    one = described([1.0])
    for sides in (([], [], []), ([one], [], [False]), ([one], [one], [])):
        with pytest.raises(ValueError, match="cannot be compared"):
            difference(*sides)


def exchange(waiting: dict[int, float], ended: dict[int, float]) -> BehaviorStep:
    def part(agents: dict[int, float]) -> tuple:
        ids, rewards = np.asarray(list(agents), np.int64), np.asarray(list(agents.values()), np.float32)
        return ids, (np.zeros((len(agents), 1), np.float32),), rewards

    zeros = np.zeros
    ids, observations, rewards = part(waiting)
    decisions = DecisionBatch(ids, observations, rewards, None, zeros(len(ids), np.int64), zeros(len(ids), np.float32))
    ids, observations, rewards = part(ended)
    flags = zeros(len(ids), np.bool_)
    terminals = TerminalBatch(ids, observations, rewards, flags, zeros(len(ids), np.int64), zeros(len(ids), np.float32))
    return BehaviorStep(decisions, terminals)


def test_the_episodes_that_began_first_count_not_those_that_end_first() -> None:
    """Agent 1 plays one long good episode beside agent 2's many short bad ones: two wanted, the long one is in."""
    episodes = BehaviorEpisodes()
    episodes.record(exchange({1: 0, 2: 0}, {}), 2)
    for short in range(3, 8):
        episodes.record(exchange({1: 1, short: 0}, {short - 1: -1}), 2)
    episodes.record(exchange({}, {1: 1, 7: -1}), 2)
    assert sorted(episodes.returns) == [-1, 6]
    assert sorted(episodes.lengths) == [1, 6]


def test_an_episode_that_ends_and_one_that_begins_in_one_exchange_are_two() -> None:
    episodes = BehaviorEpisodes()
    episodes.record(exchange({1: 0}, {}), 2)
    episodes.record(exchange({2: 0}, {1: 0.5}), 2)
    episodes.record(exchange({}, {2: 0.25}), 2)
    assert episodes.returns == [0.5, 0.25]


def test_what_was_earned_before_the_first_decision_belongs_to_no_episode() -> None:
    episodes = BehaviorEpisodes()
    episodes.record(exchange({1: 0.1}, {}), 2)
    episodes.record(exchange({1: 0.5}, {9: -3}), 2)  # 9 began and ended between two decisions
    episodes.record(exchange({}, {1: 0.25}), 2)
    assert episodes.returns == [0.75]
    assert episodes.lengths == [2]
