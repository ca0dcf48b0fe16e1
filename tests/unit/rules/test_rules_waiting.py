"""Pauses between looks: news is not late, and the longest run keeps within Step Functions' history."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.contracts.turns import Turns, Waiting
from pipeline.rules.turns import pause_seconds
from pipeline.rules.waiting import wait_seconds
from pipeline.steps.jobs import QUEUE_SECONDS
from pipeline.steps.turns import LONGEST_SECONDS as LONGEST_TURN_SECONDS
from tests.fakes.expanded_template import STATE_MACHINE, source

DAY = 24 * 3600
HISTORY_LIMIT = 25_000
EVENTS_A_LOOK = 9  # Wait, Task and Choice entered and left; the Lambda scheduled, started, succeeded
LONGEST_JOB_SECONDS = 28 * DAY + QUEUE_SECONDS


def looks(job_seconds: float, minimum_seconds: int) -> int:
    waited, count = 0, 0
    while waited <= job_seconds:
        waited += wait_seconds(waited, minimum_seconds)
        count += 1
    return count


def asks_in_front(waited_seconds: float, minimum_seconds: int) -> int:
    """The most that a run can ask for its turn: it is the next one for the whole time, and nobody's ends."""
    turns = Turns(waiting=(Waiting(run_id="mine", priority=0, since=0, seen=0),))
    waited, count = 0, 0
    while waited <= waited_seconds:
        waited += pause_seconds(turns, "mine", 1000, waited, count, minimum_seconds)
        count += 1
    return count


@pytest.mark.parametrize("minimum_seconds", [1, 2, 15, 30, 60])
def test_a_job_of_28_days_takes_less_than_sixty_percent_of_the_history(minimum_seconds):
    assert looks(LONGEST_JOB_SECONDS, minimum_seconds) * EVENTS_A_LOOK < 0.6 * HISTORY_LIMIT


@pytest.mark.parametrize("minimum_seconds", [1, 20])
def test_a_week_in_the_queue_and_two_jobs_of_28_days_fit_into_one_execution_with_endpoint_and_retries(minimum_seconds):
    jobs = 2 * looks(LONGEST_JOB_SECONDS, minimum_seconds) * EVENTS_A_LOOK
    assert jobs < 16_000, "what waiting.py says"
    turn = asks_in_front(LONGEST_TURN_SECONDS, minimum_seconds) * EVENTS_A_LOOK
    endpoint = looks(2 * 3600, minimum_seconds) * EVENTS_A_LOOK
    machine = json.loads(STATE_MACHINE.read_text())["States"].values()
    retries = sum(rule["MaxAttempts"] for state in machine for rule in state.get("Retry", ())) * 3
    assert turn + jobs + endpoint + retries + 6 * len(machine) < HISTORY_LIMIT


def test_the_machine_may_run_as_long_as_the_queue_and_two_jobs_of_28_days():
    assert (
        json.loads(STATE_MACHINE.read_text())["TimeoutSeconds"] > LONGEST_TURN_SECONDS + 2 * LONGEST_JOB_SECONDS + DAY
    )


@pytest.mark.parametrize("training_seconds", [3000, 3600])
def test_a_run_of_an_hour_costs_less_than_a_cent_of_step_functions_and_lambda(training_seconds):
    """Prices of us-east-1, without any free tier: aws.amazon.com/step-functions/pricing and /lambda/pricing."""
    transition, request, gigabyte_second = 25e-6, 0.2e-6, 16.6667e-6
    minimum = source()["Parameters"]["PollMinSeconds"]["Default"]
    polls = looks(training_seconds, minimum) + 2 * looks(300, minimum)  # evaluation and endpoint, five minutes each
    machine = json.loads(STATE_MACHINE.read_text())["States"].values()
    tasks = sum(state["Type"] == "Task" for state in machine)
    memory = source()["Globals"]["Function"]["MemorySize"] / 1024
    lambdas = (polls + tasks) * (request + memory * gigabyte_second)  # a second each; they take less
    assert (3 * polls + len(machine)) * transition + lambdas < 0.01


@given(st.floats(0, 60 * DAY), st.integers(1, 300))
def test_never_sooner_than_the_minimum_nor_much_later_than_the_news(waited, minimum_seconds):
    pause = wait_seconds(waited, minimum_seconds)
    assert isinstance(pause, int)
    assert minimum_seconds <= pause <= max(minimum_seconds, 0.05 * waited)
    assert pause <= 3600


@given(st.floats(0, 60 * DAY), st.floats(0, 60 * DAY), st.integers(1, 300))
def test_who_has_waited_longer_is_looked_at_less_often(one, other, minimum_seconds):
    shorter, longer = sorted((one, other))
    assert wait_seconds(shorter, minimum_seconds) <= wait_seconds(longer, minimum_seconds)


def test_a_clock_that_was_set_back_does_no_harm():
    assert wait_seconds(-100, 15) == 15


def test_the_template_lets_nobody_choose_a_minimum_that_is_none():
    assert source()["Parameters"]["PollMinSeconds"]["MinValue"] >= 1
