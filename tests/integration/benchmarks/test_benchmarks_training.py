"""Our side trains for a few batches, and rates are read rightly. Nothing here looks at the time."""

import pytest

from benchmarks.training.__main__ import CELLS, goal
from benchmarks.training.sides import FAST, OURS, SHIPPED, Cell, measure, rate_of, summary_marks


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


def test_our_side_trains() -> None:
    assert measure(OURS, Cell("Basic", 4, 64, 32, 256)) > 0


def test_a_goal_is_the_median_of_the_rounds_ratios() -> None:
    assert goal(CELLS[0], SHIPPED, [10.0, 40.0, 30.0], [10.0, 20.0, 10.0]).reached
    assert not goal(CELLS[0], SHIPPED, [10.0, 38.0, 90.0], [10.0, 20.0, 10.0]).reached


def test_what_was_not_measured_is_not_reached() -> None:
    assert not goal(CELLS[1], FAST, [100.0], []).reached
