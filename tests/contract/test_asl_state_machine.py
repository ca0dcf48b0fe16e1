"""The state machine's definition, by its own promises: bounded, caught, reachable, and wired to the Lambdas it names.

That it is valid States Language, and agrees with the template, is `test_template_state_machine`'s.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline import errors
from pipeline.contracts import states as contracts
from pipeline.contracts.turns import Turn
from tests.fakes.expanded_template import ROOT, STATE_MACHINE

DEFINITION: dict[str, Any] = json.loads(Path(STATE_MACHINE).read_text())
STATES: dict[str, dict[str, Any]] = DEFINITION["States"]
TASKS = {name: state for name, state in STATES.items() if state["Type"] == "Task"}
CAUGHT = [name for name in TASKS if name != "FinishRun"]
LAMBDAS_THAT_ARE_NO_STATES = {"control_read", "control_write", "dashboard", "predict", "sweep_runs", "sweep_endpoints"}

LAMBDA_ERRORS = {
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
}
"""Those that AWS advises to retry (Step Functions developer guide, "Handle transient Lambda service exceptions")."""


ENDED_PROCESS = {"Runtime.ExitError", "Lambda.Unknown", "Sandbox.Timedout", "States.Timeout"}
"""A Lambda that ended without an answer: out of memory, out of time. Each of ours may be called again."""


def transient() -> set[str]:
    return {one.__name__ for one in errors.TransientError.__subclasses__()}


def nexts(state: dict[str, Any]) -> Iterator[str]:
    for rule in (state, *state.get("Choices", ()), *state.get("Catch", ())):
        if "Next" in rule:
            yield rule["Next"]
    if "Default" in state:
        yield state["Default"]


def reached_from(start: str) -> set[str]:
    reached, open_ends = set(), [start]
    while open_ends:
        if (name := open_ends.pop()) not in reached:
            reached.add(name)
            open_ends += nexts(STATES[name])
    return reached


def retried(state: dict[str, Any]) -> list[str]:
    return [name for rule in state.get("Retry", ()) for name in rule["ErrorEquals"]]


def snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def test_every_state_can_be_reached():
    assert reached_from(DEFINITION["StartAt"]) == set(STATES)


@pytest.mark.parametrize("name", STATES)
def test_from_every_state_there_is_a_way_to_an_end(name):
    assert any(STATES[one]["Type"] in {"Succeed", "Fail"} for one in reached_from(name))


@pytest.mark.parametrize("name", CAUGHT)
def test_every_failure_goes_to_finish_run_and_keeps_its_cause(name):
    assert TASKS[name]["Catch"] == [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "FinishRun"}]


def test_finish_run_alone_is_not_caught_but_tried_again_whatever_happens():
    assert "Catch" not in TASKS["FinishRun"]
    assert retried(TASKS["FinishRun"]) == ["States.ALL"]


@pytest.mark.parametrize("name", TASKS)
def test_every_task_is_bounded_and_keeps_the_document(name):
    task = TASKS[name]
    assert 0 < task["TimeoutSeconds"] <= 900, "no Lambda runs longer than 15 minutes"
    assert task["ResultPath"].startswith("$.")
    assert task["Parameters"] == {
        "execution_arn.$": "$$.Execution.Id",
        "state.$": "$$.State.Name",
        "document.$": "$",
    }


@pytest.mark.parametrize("name", TASKS)
def test_only_what_is_transient_is_retried_and_never_for_ever(name):
    if name != "FinishRun":
        assert set(retried(TASKS[name])) <= transient() | LAMBDA_ERRORS | ENDED_PROCESS
    for rule in TASKS[name]["Retry"]:
        assert rule["JitterStrategy"] == "FULL"
        assert rule["MaxDelaySeconds"] <= 900
        assert 1 <= rule["MaxAttempts"] <= 40


@pytest.mark.parametrize("name", CAUGHT)
def test_what_any_lambda_may_meet_is_retried_by_every_state(name):
    assert {"ThrottledError", "ServiceUnavailableError", *LAMBDA_ERRORS, *ENDED_PROCESS} <= set(retried(TASKS[name]))
    (again,) = [rule for rule in TASKS[name]["Retry"] if set(rule["ErrorEquals"]) & ENDED_PROCESS]
    assert (set(again["ErrorEquals"]), again["MaxAttempts"]) == (ENDED_PROCESS, 2)


@pytest.mark.parametrize("name", TASKS)
def test_no_error_is_named_by_two_rules(name):
    assert len(retried(TASKS[name])) == len(set(retried(TASKS[name])))


def test_every_transient_error_is_retried_somewhere():
    assert transient() <= {name for task in TASKS.values() for name in retried(task)}


def test_states_that_create_wait_for_a_quota_and_those_that_need_the_lease_wait_for_it():
    waiting = {error: {name for name in TASKS if error in retried(TASKS[name])} for error in transient()}
    assert waiting["CapacityError"] == {"StartTraining", "StartEvaluation", "DeployEndpoint"}
    assert waiting["LeaseHeldError"] >= {"DecidePromotion", "DeployEndpoint"}


def test_states_are_named_as_their_lambdas_and_folders_are():
    for name in STATES:
        assert re.fullmatch(r"([A-Z][a-z]+)+", name)
    for name, task in TASKS.items():
        assert task["Resource"] == f"${{{name}FunctionArn}}"
    folders = {path.parent.name for path in (ROOT / "functions").glob("*/app.py")}
    assert {snake(name) for name in TASKS} == folders - LAMBDAS_THAT_ARE_NO_STATES


def test_parts_of_the_document_are_those_that_the_contracts_describe():
    written = {task["ResultPath"].removeprefix("$.") for task in TASKS.values()}
    assert contracts.__doc__
    described = set(re.findall(r"^ +\$\.(\w+)", contracts.__doc__, re.MULTILINE))
    assert written | {"error"} == described


def test_every_wait_lasts_as_long_as_the_task_before_it_said():
    answers = {
        "turn": Turn,
        "training": contracts.JobHandle,
        "evaluation": contracts.JobHandle,
        "endpoint": contracts.EndpointHandle,
    }
    waits = [state for state in STATES.values() if state["Type"] == "Wait"]
    assert {wait["SecondsPath"] for wait in waits} == {f"$.{part}.wait_seconds" for part in answers}
    for model in answers.values():
        assert model.model_fields["wait_seconds"].is_required()


def test_every_choice_reads_what_a_contract_always_answers():
    """Every Choice but the first, which reads the event, looks at one field; a missing path would end the execution."""
    models = {
        "run": contracts.RunReference,
        "turn": Turn,
        "training": contracts.JobPoll,
        "evaluation": contracts.JobPoll,
        "promotion": contracts.Promotion,
        "endpoint": contracts.EndpointPoll,
    }
    for name, state in STATES.items():
        for rule in state.get("Choices", ()) if name not in {DEFINITION["StartAt"], "HasFailed"} else ():
            _, part, field = rule["Variable"].split(".")
            assert models[part].model_fields[field].annotation is bool
            assert rule["BooleanEquals"] is True


def test_a_poll_returns_to_its_own_wait_and_goes_on_when_its_own_part_is_done():
    after = {
        "turn": "StartTraining",
        "training": "ExtractCheckpoint",
        "evaluation": "DecidePromotion",
        "endpoint": "VerifyEndpoint",
    }
    for wait, state in [(name, one) for name, one in STATES.items() if one["Type"] == "Wait"]:
        part = state["SecondsPath"].split(".")[1]
        check = STATES[state["Next"]]
        choice = STATES[check["Next"]]
        (rule,) = choice["Choices"]
        assert check["ResultPath"] == f"$.{part}"
        assert rule["Variable"].startswith(f"$.{part}.")
        assert (rule["Next"], choice["Default"]) == (after[part], wait)
