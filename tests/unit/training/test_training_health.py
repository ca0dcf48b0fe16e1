"""Warnings about a training that is not well: what calls for one, what does not, and that each is told once."""

import math
from collections.abc import Sequence
from typing import Any

import pytest

from rl_src.envs.specs import ActionSpec
from rl_src.training.progress.health import LINES_TO_CLEAR, HealthMonitor, HealthWarning

DISCRETE, CONTINUOUS = ActionSpec(0, (3,)), ActionSpec(2, ())


def line(iteration: int, mean: float | None = 0.0, **values: Any) -> dict[str, Any]:
    """One of a training that goes well but for its return: 100 iterations of 1,000 decisions with 25 episodes each."""
    known = mean is not None
    return {
        "behavior": "Basic",
        "iteration": iteration,
        "env_steps": 1000 * iteration,
        "env_steps_limit": 100_000,
        "episodes": 25 * iteration if known else 0,
        "mean_return": mean,
        "min_return": mean - 1.0 if known else None,
        "max_return": mean + 1.0 if known else None,
        "entropy": 1.0,
        "kl": 0.01,
        "explained_variance": 0.8,
        **values,
    }


def told(monitor: HealthMonitor, lines: Sequence[dict[str, Any]]) -> list[tuple[int, str]]:
    return [(item["iteration"], warning.code) for item in lines for warning in monitor.observe(item)]


def codes(lines: Sequence[dict[str, Any]], actions: ActionSpec = DISCRETE, target: float | None = None) -> list[str]:
    return [code for _, code in told(HealthMonitor(actions, target), lines)]


def rising(count: int = 100, **values: Any) -> list[dict[str, Any]]:
    return [line(number, number / 20, **values) for number in range(1, count + 1)]


def flat(count: int = 100, mean: float = 0.0, **values: Any) -> list[dict[str, Any]]:
    return [line(number, mean + 0.05 * math.sin(number), **values) for number in range(1, count + 1)]


def plateau(height: float, count: int = 100, **values: Any) -> list[dict[str, Any]]:
    """A return that rises over twenty iterations and stays."""
    return [line(number, height * min(1.0, number / 20), **values) for number in range(1, count + 1)]


def test_a_return_that_rises_is_healthy():
    assert codes(rising()) == []


def test_a_return_that_never_rises_is_told_once():
    monitor = HealthMonitor(DISCRETE)
    ((iteration, code),) = told(monitor, flat())
    assert code == "FlatReturn"
    assert 30 <= iteration <= 40
    assert monitor.active == ("FlatReturn",)


def test_returns_that_are_all_zero_are_flat_too():
    assert codes([line(number, 0.0, min_return=0.0, max_return=0.0) for number in range(1, 100)]) == ["FlatReturn"]


def test_a_long_training_gets_time_to_rise():
    assert codes(flat(env_steps_limit=10_000_000)) == []
    assert codes(flat(env_steps_limit=None)) == ["FlatReturn"]


def test_a_plateau_is_healthy_unless_the_target_is_higher():
    assert codes(plateau(1.0)) == []
    assert codes(plateau(1.0), target=1.0) == []
    assert codes(plateau(1.0), target=5.0) == ["FlatReturn"]


def test_self_play_has_no_return_that_should_rise():
    assert codes(flat(elo=1200.0, entropy=0.001)) == []


@pytest.mark.parametrize(
    ("actions", "low", "fine"),
    [
        (DISCRETE, 0.01, 0.2),
        (ActionSpec(0, (3, 3, 2)), 0.1, 0.5),
        (CONTINUOUS, -7.0, -4.0),  # a deviation of 0.007 and of 0.03
    ],
)
def test_entropy_collapses_according_to_the_actions(actions, low, fine):
    assert codes(flat(25, entropy=low), actions) == ["EntropyCollapse"]
    assert codes(flat(25, entropy=fine), actions) == []


def test_little_entropy_is_healthy_once_the_game_is_solved():
    lines = [{**item, "entropy": 1.0 / item["iteration"] ** 2} for item in plateau(1.0)]
    assert codes(lines) == []
    assert codes(lines, target=1.0) == []
    assert codes(lines, target=5.0)[0] == "EntropyCollapse"


def test_a_value_function_that_explains_nothing():
    assert "ValueExplainsNothing" in codes(flat(explained_variance=-0.3))
    assert codes(rising(explained_variance=-0.3)) == []
    assert "ValueExplainsNothing" not in codes(flat(explained_variance=0.0, min_return=0.0, max_return=0.0))


def test_one_bad_iteration_is_no_warning():
    lines = flat(29)
    lines[20] = {**lines[20], "kl": 5.0, "entropy": 0.0, "explained_variance": -9.0}
    assert codes(lines) == []


def test_large_updates_without_gain():
    assert codes(flat(25, kl=0.5)) == ["LargeUpdates"]
    assert codes(rising(25, kl=0.5)) == []
    assert codes([line(number, None, kl=0.5) for number in range(1, 10)]) == ["LargeUpdates"]


def test_rewards_that_are_not_finite_are_counted():
    (warning,) = HealthMonitor(DISCRETE).observe(line(1, non_finite_rewards=3))
    assert warning.code == "NonFiniteRewards"
    assert warning.cause.startswith("3 rewards")
    assert HealthMonitor(DISCRETE).observe(line(1, non_finite_rewards=0)) == []


def test_no_episode_ends():
    ((iteration, code),) = told(HealthMonitor(DISCRETE), [line(number, None) for number in range(1, 100)])
    assert (iteration, code) == (50, "NoEpisodeEnded")


def test_episodes_that_end_no_more_are_told_too():
    lines = [*rising(20), *(line(number, 1.0, episodes=500) for number in range(21, 100))]
    ((iteration, code),) = told(HealthMonitor(DISCRETE), lines)
    assert (iteration, code) == (70, "NoEpisodeEnded")


def test_long_episodes_are_no_alarm():
    lines = [line(number, None, env_steps_limit=10_000_000) for number in range(1, 100)]
    assert codes(lines) == []


def test_a_warning_comes_again_only_after_it_has_cleared():
    assert LINES_TO_CLEAR == 5  # iterations 6 to 10
    bad = {"non_finite_rewards": 1}
    monitor = HealthMonitor(DISCRETE)
    lines = [line(number, number / 20, **(bad if number in (2, 3, 5) else {})) for number in range(1, 12)]
    assert told(monitor, lines) == [(2, "NonFiniteRewards")]
    assert monitor.active == ()
    assert told(monitor, [line(12, 0.6, **bad)]) == [(12, "NonFiniteRewards")]


def test_a_resumed_training_does_not_repeat_what_was_told():
    lines = flat()
    whole = told(HealthMonitor(DISCRETE), lines)
    for at in (10, 50):
        monitor = HealthMonitor(DISCRETE, earlier=lines[:at])
        assert told(monitor, lines[at:]) == [item for item in whole if item[0] > at]


def test_lines_of_iterations_that_learned_nothing_are_read():
    empty = {"entropy": None, "kl": None, "explained_variance": None}
    assert codes([line(number, None, **empty) for number in range(1, 60)]) == ["NoEpisodeEnded"]


def test_a_warning_says_what_is_seen_and_what_to_do():
    monitor = HealthMonitor(DISCRETE)
    (warning,) = [item for each in flat() for item in monitor.observe(each)]
    assert isinstance(warning, HealthWarning)
    assert "has not risen in" in str(warning)
    assert "Remedy: Check that the agents get rewards" in str(warning)
