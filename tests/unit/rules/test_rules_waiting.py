"""Pauses between two looks: soon at first, never late by more than a share, few enough for one execution's history."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.rules.waiting import wait_seconds

LONGEST_JOB_SECONDS = 28 * 24 * 3600 + 6 * 3600  # SageMaker's limit, and our hours in the queue
EVENTS_OF_A_LOOK = 9
MAX_EVENTS = 25_000  # Step Functions quotas


def looks(lasts_seconds: float, minimum_seconds: int) -> int:
    waited, count = 0, 0
    while waited < lasts_seconds:
        waited += wait_seconds(waited, minimum_seconds)
        count += 1
    return count


@given(st.floats(0, 1e8), st.integers(1, 300))
def test_a_pause_is_never_shorter_than_the_setting_nor_longer_than_a_twentieth(waited: float, minimum: int) -> None:
    pause = wait_seconds(waited, minimum)
    assert minimum <= pause <= max(minimum, waited / 20)


def test_the_first_look_comes_as_soon_as_the_setting_says() -> None:
    assert wait_seconds(0, 15) == 15


def test_two_jobs_of_the_longest_kind_leave_room_in_the_executions_history() -> None:
    assert 2 * looks(LONGEST_JOB_SECONDS, 1) * EVENTS_OF_A_LOOK < 0.7 * MAX_EVENTS


def test_an_hour_is_looked_at_often_enough_to_follow() -> None:
    assert 50 <= looks(3600, 15) <= 100
