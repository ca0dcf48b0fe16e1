import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamedojo.texts import duration_text, outcome_text, seconds_left, size_text, sparkline
from tests.fakes.run_documents import failed, kept, run_document, succeeded, training
from tests.fakes.shown_runs import record


def test_outcomes_in_words() -> None:
    assert outcome_text(record(failed())).splitlines() == [
        "Failed in InspectBuild (BuildRejected): The zip holds no Linux program.",
        "Remedy: Build for Linux (x86_64) in Unity and zip the folder.",
    ]
    assert "Not deployed. mean return 0.05 is below the gate of 0.9" in outcome_text(record(kept()))
    assert "over 100 episodes" in outcome_text(record(succeeded()))
    assert "does not say why" in outcome_text(record(run_document("FinishRun", "FAILED")))
    assert outcome_text(record(run_document("CheckTraining", "CANCELLED"))).startswith("Cancelled. ")
    assert outcome_text(record(run_document("FinishRun", "PARKED"))) == "Ended as PARKED."


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0.0 s"), (59.94, "59.9 s"), (60, "1:00"), (187.9, "3:07"), (3753, "1:02:33")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(("size", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2.5e9, "2.5 GB")])
def test_sizes(size: float, text: str) -> None:
    assert size_text(size) == text


def test_time_left_needs_steps_limit_and_speed() -> None:
    progress = record(training()).progress
    assert seconds_left(progress) == pytest.approx((50_000 - 10_240) / 1204.5)
    assert seconds_left(record(run_document()).progress) is None


def test_a_sparkline_rises_from_the_smallest_to_the_largest() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8) == "▁▂▃▄▅▆▇█"
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8, ascii_only=True) == "_.-~=+*#"
    assert sparkline([1, 0], 80) == "█▁"
    assert sparkline([0, 2, 8, 10], 2) == "▁█", "neighbours are averaged"
    assert sparkline([3, 3, 3], 80) == "▅▅▅"
    assert sparkline([], 80) == sparkline([1, 2], 0) == ""


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50), st.integers(1, 60))
def test_a_sparkline_is_as_wide_as_it_may_be(values: list[float], width: int) -> None:
    assert len(sparkline(values, width)) == min(len(values), width)
