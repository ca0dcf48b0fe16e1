"""The sample events are what they claim to be: each fits the contract of whoever takes it, and they tell one story."""

import json
from typing import Any

import pytest

from pipeline.api.bodies import body_of
from pipeline.api.prediction import formats, read_body
from pipeline.api.predictor import MAX_REQUEST_BYTES
from pipeline.api.routes import CONTROL
from pipeline.contracts.request import TrainingRequest
from pipeline.contracts.states import (
    ApiEvent,
    EndpointHandle,
    EndpointPoll,
    ExtractedCheckpoint,
    InspectedBuild,
    JobHandle,
    JobPoll,
    Promotion,
    RunReference,
)
from pipeline.contracts.validation import read_document
from pipeline.observability import Task
from pipeline.rules import names
from pipeline.steps.sweeping import ended_execution
from tests.fakes.control_stack import sample_event, sample_events
from tests.fakes.expanded_template import STATE_MACHINE, resources, source

MACHINE = json.loads(STATE_MACHINE.read_text())
TASKS = {name: state for name, state in MACHINE["States"].items() if state["Type"] == "Task"}
PARTS = {
    "run": RunReference,
    "build": InspectedBuild,
    "training": JobPoll,
    "checkpoint": ExtractedCheckpoint,
    "evaluation": JobPoll,
    "promotion": Promotion,
    "endpoint": EndpointPoll,
}
# What these states get is what the state before them has just made.
FRESH = {
    ("CheckTraining", "training"): JobHandle,
    ("CheckEvaluation", "evaluation"): JobHandle,
    ("CheckEndpoint", "endpoint"): EndpointHandle,
}


def patterns_for(event: dict[str, Any]) -> list[dict[str, Any]]:
    patterns = [one["EventPattern"] for one in resources("AWS::Events::Rule").values() if "EventPattern" in one]
    return [one for one in patterns if event["source"] in one["source"] and event["detail-type"] in one["detail-type"]]


def test_the_execution_that_ended_is_what_the_rule_fires_on_and_the_sweeper_reads():
    event = sample_event("execution_ended")
    (pattern,) = patterns_for(event)
    assert event["detail"]["status"] in pattern["detail"]["status"]
    machine = event["detail"]["stateMachineArn"]
    assert ended_execution(event, machine) == event["detail"]["executionArn"]
    assert ended_execution(event, f"{machine}-of-another-stage") is None
    assert ended_execution(sample_event("schedule"), machine) is None


def test_the_dropped_build_is_what_the_rule_fires_on():
    event = sample_event("object_created")
    (pattern,) = patterns_for(event)
    assert event["detail"]["object"]["key"].startswith(pattern["detail"]["object"]["key"][0]["prefix"])


def test_there_is_an_event_for_every_state():
    assert {sample_event(name)["state"] for name in sample_events("states")} == set(TASKS)


@pytest.mark.parametrize("name", sample_events("states"))
def test_a_states_event_is_the_task_that_the_machine_makes(name):
    event = sample_event(name)
    task = Task.model_validate(event)
    assert {f"{field}.$" for field in event} == set(TASKS[task.state]["Parameters"])
    for part, model in PARTS.items():
        if part in task.document:
            read_document(FRESH.get((task.state, part), model), task.document[part])


@pytest.mark.parametrize("name", sample_events("states"))
def test_a_states_event_holds_what_the_states_before_it_have_made(name):
    task = Task.model_validate(sample_event(name))
    if "error" in task.document or task.state == "AdmitRun":
        return
    before, state = set(), "AdmitRun"
    while state != task.state:
        if "ResultPath" in MACHINE["States"][state]:
            before.add(MACHINE["States"][state]["ResultPath"].removeprefix("$."))
        state = _next(MACHINE["States"][state])
    assert before <= task.document.keys()


def _next(state):
    """The way of a run that goes well: the choice that is not a detour, an end or another wait."""
    if "Next" in state:
        return state["Next"]
    ways = [choice["Next"] for choice in state["Choices"]] + [state.get("Default", "")]
    (way,) = [
        one for one in ways if one and one != "FinishRun" and not one.startswith(("WaitFor", "Duplicate", "Served"))
    ]
    return way


def test_all_states_tell_of_the_run_that_the_dropped_build_made():
    detail = sample_event("object_created")["detail"]
    run_id = names.run_id("basic", detail["bucket"]["name"], detail["object"]["key"], detail["object"]["version-id"])
    for name in sample_events("states"):
        task = Task.model_validate(sample_event(name))
        assert task.run.get("run_id", run_id) == run_id, name


def test_the_posted_start_is_what_the_api_sends():
    read_document(ApiEvent, sample_event("states/admit_run_posted")["document"])


@pytest.mark.parametrize("folder", ["control", "dashboard", "predict"])
def test_there_is_an_event_for_every_route(folder):
    api = {"control": "ControlApi", "dashboard": "ControlApi", "predict": "PredictApi"}[folder]
    paths = resources("AWS::ApiGateway::RestApi")[api]["Body"]["paths"]
    routes = {(method.upper(), path) for path, methods in paths.items() if "proxy" not in path for method in methods}
    routes = {(method, path) for method, path in routes if method != "OPTIONS"}
    routes = {each for each in routes if each[1].startswith("/dashboard") == (folder == "dashboard")}
    events = [sample_event(name) for name in sample_events(folder)]
    assert {(event["httpMethod"], event["resource"]) for event in events} == routes


@pytest.mark.parametrize("name", sample_events("control") + sample_events("dashboard") + sample_events("predict"))
def test_a_proxy_event_agrees_with_itself(name):
    event = sample_event(name)
    assert event["path"] == event["resource"].format(**(event["pathParameters"] or {}))
    assert event["multiValueHeaders"] == {key: [value] for key, value in event["headers"].items()}
    assert event["requestContext"]["resourcePath"] == event["resource"]
    assert event["requestContext"]["httpMethod"] == event["httpMethod"]


def test_the_bodies_follow_their_contracts():
    read_document(TrainingRequest, sample_event("control/post_training_runs")["body"])
    for name in sample_events("control"):
        event = sample_event(name)
        (route,) = [one for one in CONTROL if (one.method, one.path) == (event["httpMethod"], event["resource"])]
        if event["body"] is not None:
            read_document(route.body, event["body"])
        assert route.needs_key == ("x-api-key" in event["headers"])
    for name in sample_events("predict"):
        event = sample_event(name)
        if event["body"] is not None:
            said = formats(event["headers"]["Content-Type"], event["headers"]["Accept"])
            assert read_body(body_of(event, MAX_REQUEST_BYTES), said.given).observations


def test_the_handlers_of_all_functions_have_an_event_to_be_invoked_with():
    handlers = {one["Handler"].split(".")[0] for one in resources("AWS::Lambda::Function").values()}
    states = {name.split("/")[1] for name in sample_events("states")}
    others = {"control_read", "control_write", "dashboard", "predict", "sweep_runs", "sweep_endpoints"}
    assert handlers - states == others
    assert source()["Resources"]["PredictFunction"]["Properties"]["Handler"] == "predict.app.handler"
