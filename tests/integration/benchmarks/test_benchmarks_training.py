"""Our side trains for a few batches, and rates are read rightly. Nothing here looks at the time."""

import sys
from pathlib import Path

import pytest

from benchmarks.envs.contestant import executable
from benchmarks.training.__main__ import bare_rates, goal
from benchmarks.training.sides import BARE, OURS, Cell, Measured, Side, measure, rate_of, summary_marks
from benchmarks.training.slow_builds import BATCH, train_for_some_seconds, whole_batches


def test_start_up_is_no_part_of_a_rate() -> None:
    assert rate_of([(1000, 20.0), (2000, 25.0), (3000, 30.0)]) == 200.0


def test_a_rate_needs_two_marks() -> None:
    with pytest.raises(ValueError, match="there are 1"):
        rate_of([(1000, 20.0)])


def test_summary_lines_of_the_reference_are_read_with_and_without_a_reward() -> None:
    printed = (
        "[INFO] Basic. Step: 1024. Time Elapsed: 5.250 s. Mean Reward: 0.1. Std of Reward: 0.2. Training.\n"
        "[INFO] Basic. Step: 2048. Time Elapsed: 7.5 s. No episode was completed since last summary. Training.\n"
    )
    assert summary_marks(printed) == [(1024.0, 5.25), (2048.0, 7.5)]


@pytest.mark.parametrize("side", [OURS, *BARE], ids=lambda side: side.title)
@pytest.mark.parametrize("build", ["Basic", "3DBall"])
def test_a_side_of_ours_trains(side: Side, build: str) -> None:
    measured = measure(side, Cell(build, 4, 64, 32, 256, 256))
    assert measured.rate > 0
    assert set(measured.shares) == ({"builds", "sampling", "learning"} if side == OURS else set())


def test_slow_builds_are_trained_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = executable(tmp_path, sys.executable)
    lines = train_for_some_seconds(program, 2, tmp_path, steps=whole_batches(1))
    assert 4 * BATCH <= lines[-1]["env_steps"] < 5 * BATCH


def test_the_last_batch_of_a_slow_training_is_a_whole_one() -> None:
    assert [whole_batches(steps) for steps in (0, 4.4 * BATCH, 30.6 * BATCH)] == [4 * BATCH, 4 * BATCH, 31 * BATCH]


def test_a_goal_is_the_median_of_the_rounds_ratios() -> None:
    assert goal("twice", [10.0, 40.0, 30.0], [10.0, 20.0, 10.0], 2.0).reached
    assert not goal("twice", [10.0, 38.0, 90.0], [10.0, 20.0, 50.0], 2.0).reached


def test_the_better_bare_loop_counts_in_each_round() -> None:
    found = dict(zip(BARE, ([Measured(1.0), Measured(5.0)], [Measured(2.0), Measured(4.0)]), strict=True))
    assert bare_rates(found) == [2.0, 5.0]


def test_what_was_not_measured_is_not_reached() -> None:
    assert not goal("any", [100.0], [], 1.0).reached
