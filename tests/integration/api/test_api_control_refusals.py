"""What the control API refuses, and how: a problem with a stable code, what is wrong and what would be right.

Nothing here changes the stack, so all of it shares one.
"""

import logging

import pytest

from pipeline.api.proxy import MAX_BODY_BYTES
from pipeline.api.routes import CONTROL, methods_by_path
from pipeline.aws.runs_table import RunsTable
from tests.fakes.control_calls import call, problem
from tests.fakes.control_stack import control_stack, sample_event

BUILD_KEY = "uploads/4f1c/Missing.zip"
REQUEST = {"build": {"key": BUILD_KEY}}


@pytest.fixture(scope="module")
def stack():
    with control_stack() as made:
        yield made


@pytest.mark.parametrize(
    ("body", "field", "said"),
    [
        ("{not json", "", "not JSON"),
        ("", "", "not JSON"),
        ("[]", "", ""),
        ({**REQUEST, "hyperparameters": {"learning_rte": 1}}, "hyperparameters.learning_rte", "unknown field"),
        ({**REQUEST, "hyperparameters": {"lrr": 1}}, "hyperparameters.lrr", "did you mean 'lr'"),
        ({**REQUEST, "sede": 1}, "sede", "did you mean 'seed'"),
        ({**REQUEST, "seed": "1"}, "seed", "integer"),
        ({**REQUEST, "algorithm": "DQN"}, "algorithm", "PPO"),
        ({}, "build", "required"),
        ({"build": {"key": "runs/x/build.zip"}}, "", "uploads/"),
        ({**REQUEST, "hyperparameters": {"lr": -1}}, "hyperparameters.lr", "greater than 0"),
        ({**REQUEST, "policy": "My Game"}, "policy", "pattern"),
    ],
)
def test_a_bad_request_names_the_field_and_what_would_be_right(stack, body, field, said):
    found = problem(call("POST", "/training-runs", body), 400)
    assert found.code == "InvalidRequest"
    assert field in {entry.field for entry in found.errors}
    assert said in " ".join(entry.message for entry in found.errors)
    assert stack.executions() == []


def test_a_build_that_is_not_there_is_named(stack):
    found = problem(call("POST", "/training-runs", REQUEST), 404)
    assert found.code == "BuildNotFound"
    assert BUILD_KEY in found.detail
    assert stack.executions() == []


def test_a_version_that_is_not_there_is_not_found(stack):
    stack.put("uploads/there.zip", b"zip")
    build = {"key": "uploads/there.zip", "version_id": "00000000-0000-0000-0000-000000000000"}
    assert problem(call("POST", "/training-runs", {"build": build}), 404).code == "BuildNotFound"


def test_a_body_above_the_limit_is_refused_unread(stack):
    found = problem(call("POST", "/training-runs", "x" * (MAX_BODY_BYTES + 1)), 413)
    assert str(MAX_BODY_BYTES) in found.detail


@pytest.mark.parametrize("body", ["%%%", "/w=="])
def test_a_body_that_is_no_text_is_no_json(stack, body):
    assert problem(call("POST", "/training-runs", body, isBase64Encoded=True), 400).code == "InvalidRequest"


@pytest.mark.parametrize("run_id", ["basic-0000", "UPPER", "a--b", "x" * 60, "a b"])
def test_an_unknown_run_is_not_found(stack, run_id):
    assert problem(call("GET", f"/training-runs/{run_id}"), 404).code == "RunNotFound"
    assert problem(call("GET", f"/training-runs/{run_id}/artifacts"), 404).code == "RunNotFound"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"limit": "1" * 5000}, "limit"),
        ({"status": "DONE"}, "status"),
        ({"policies": "basic"}, "policies"),
    ],
)
def test_a_bad_query_names_the_parameter(stack, query, field):
    found = problem(call("GET", "/training-runs", query=query), 400)
    assert [entry.field for entry in found.errors] == [field]


@pytest.mark.parametrize("token", ["x", "e30=", "bnVsbA==", "eyJhIjogMX0=", "WzFd", "é"])
def test_a_token_that_is_none_of_ours_is_refused(stack, token):
    assert problem(call("GET", "/training-runs", query={"next_token": token}), 400).code == "InvalidRequest"


@pytest.mark.parametrize("name", ["../x.zip", "a/b.zip", "game.exe", ".zip", "", "x" * 300 + ".zip", "a\n.zip"])
def test_a_file_name_that_is_none_is_refused(stack, name):
    found = problem(call("POST", "/builds", {"file_name": name}), 400)
    assert [entry.field for entry in found.errors] == ["file_name"]


@pytest.mark.parametrize("policy", ["young", "No Such", "..", "%2e%2e"])
def test_a_policy_that_is_not_in_service_is_not_found(stack, policy):
    assert problem(call("GET", f"/policies/{policy}"), 404).code in {"PolicyNotFound", "RouteNotFound"}


@pytest.mark.parametrize("path", ["/", "/nope", "/training-runs/a/b/c", "/policies/a/predict"])
def test_an_unknown_path_is_a_problem(stack, path):
    assert problem(call("GET", path), 404).code in {"RouteNotFound", "RunNotFound"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        (method, path.format(run_id="basic-0000", policy="basic", build_id="0" * 32, environment="3DBall"))
        for path, methods in methods_by_path(CONTROL).items()
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
        if method not in methods
    ],
)
def test_a_wrong_method_tells_the_right_ones(stack, method, path):
    answer = call(method, path)
    assert problem(answer, 405).code == "MethodNotAllowed"
    assert answer["multiValueHeaders"]["Allow"]


def test_what_nobody_foresaw_is_logged_and_not_shown(stack, monkeypatch, caplog):
    def explode(*_, **__):
        raise RuntimeError("secret detail")

    monkeypatch.setattr(RunsTable, "get", explode)
    found = problem(call("GET", "/training-runs/basic-0000"), 500)
    assert "secret" not in found.model_dump_json()
    request_id = sample_event("control/get_policies")["requestContext"]["requestId"]
    assert request_id in found.detail
    (logged,) = [entry for entry in caplog.records if entry.levelno == logging.ERROR]
    assert logged.api_request_id == request_id
    assert "secret detail" in caplog.text
