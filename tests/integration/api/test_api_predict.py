"""The Predict handler between an emulated bucket and a runtime endpoint on a real socket."""

import json
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipeline.api.predictor import MAX_REQUEST_BYTES, Predictor
from pipeline.contracts.policy import ActionSpec, BehaviorSpec, CurrentPolicy, ObservationSpec, PolicySpec
from pipeline.contracts.predict import PredictRequest, PredictResponse
from pipeline.contracts.problem import Problem
from predict.app import handler
from tests.fakes.control_stack import (
    BUCKET,
    REGION,
    SAID_OF_ITSELF,
    LambdaContext,
    control_stack,
    forget_handlers,
    sample_event,
    sample_events,
)
from tests.fakes.expanded_template import ROOT
from tests.fakes.runtime_endpoint import Answer, runtime_endpoint

ENDPOINT = "gamedojo-test-basic"
USED = {
    "pipeline",
    "pipeline.api",
    "pipeline.api.bodies",
    "pipeline.api.cors",
    "pipeline.api.prediction",
    "pipeline.api.predictor",
    "pipeline.aws",
    "pipeline.aws.clients",
    "pipeline.aws.inference",
    "pipeline.aws.objects",
    "pipeline.aws.policy_documents",
    "pipeline.aws.translation",
    "pipeline.contracts",
    "pipeline.contracts.constants",
    "pipeline.contracts.registry",
    "pipeline.errors",
    "pipeline.rules",
    "pipeline.rules.answers",
    "pipeline.rules.msgpack",
    "pipeline.rules.names",
    "pipeline.rules.observations",
    "pipeline.rules.questions",
    "pipeline.rules.served",
    "pipeline.rules.tensors",
    "pipeline.settings",
}
"""What a prediction needs of the package, and nothing else: a cold start waits for every import."""

UNUSED = {"pydantic", "pydantic_core", "aws_xray_sdk", "aws_lambda_powertools", "boto3", "s3transfer", "numpy", "yaml"}

ONE_HOT = [0.0] * 10 + [1.0] + [0.0] * 9


def basic_spec(version: str, size: int = 20) -> PolicySpec:
    sensor = ObservationSpec(name="BasicSensor", shape=(size,))
    actions = ActionSpec(discrete_branches=(3,))
    behavior = BehaviorSpec(name="Basic", onnx="policies/Basic.onnx", observations=(sensor,), actions=actions)
    return PolicySpec(policy="basic", version=version, behaviors=(behavior,))


def serve(stack, version: str, size: int = 20) -> None:
    key = f"policies/basic/{version}/policy_spec.json"
    stack.put_document(key, basic_spec(version, size))
    stack.put_document(
        "policies/basic/current.json",
        CurrentPolicy(policy="basic", version=version, endpoint_name=ENDPOINT, spec_key=key),
    )


def go_right(version="basic-0001"):
    """A container that answers 2 to every observation: one agent without a batch axis, as it was asked."""

    def respond(name, body):
        (observed,) = _given(PredictRequest.model_validate(body))
        one = not isinstance(observed[0], list)
        actions = {"continuous": [], "discrete": [2]} if one else _each(len(observed))
        return Answer({"version": version, "behavior": "Basic", **actions})

    return respond


def _given(request: PredictRequest) -> list:
    observations = request.observations
    return list(observations.values()) if isinstance(observations, dict) else observations


def _each(count: int) -> dict[str, list]:
    return {"continuous": [[]] * count, "discrete": [[2]] * count}


@pytest.fixture
def endpoint(monkeypatch):
    with runtime_endpoint() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", server.url)
        server.respond = go_right()
        yield server


@pytest.fixture
def stack(endpoint):
    with control_stack() as made:
        serve(made, "basic-0001")
        yield made


def call(body, policy="basic", **more):
    event = sample_event("predict/post_predict")
    event["pathParameters"] = {"policy": policy}
    event["path"] = f"/policies/{policy}/predict"
    event["body"] = body if body is None or isinstance(body, str) else json.dumps(body)
    return handler(event | more, LambdaContext())


def actions(answer) -> PredictResponse:
    assert answer["statusCode"] == 200, answer["body"]
    return PredictResponse.model_validate_json(answer["body"])


def problem(answer, status) -> Problem:
    assert answer["statusCode"] == status, answer["body"]
    assert answer["headers"]["Content-Type"] == "application/problem+json"
    return Problem.model_validate_json(answer["body"], strict=True)


def test_one_observation_gets_one_action(stack, endpoint):
    answer = actions(call({"observations": [ONE_HOT]}))
    assert answer.action is not None
    assert (answer.action.discrete, answer.actions) == ((2,), None)
    assert (answer.policy, answer.version, answer.behavior) == ("basic", "basic-0001", "Basic")
    assert endpoint.requests[0][0] == ENDPOINT


def test_a_batch_gets_as_many_actions_in_one_request(stack, endpoint):
    answer = actions(call({"observations": {"BasicSensor": [ONE_HOT] * 7}}))
    assert answer.actions is not None
    assert len(answer.actions) == 7
    assert len(endpoint.requests) == 1


def test_the_warm_path_reads_no_bucket_and_keeps_its_connection(stack, endpoint):
    call({"observations": [ONE_HOT]})
    stack.s3.delete_object(Bucket=BUCKET, Key="policies/basic/current.json")
    for _ in range(4):
        actions(call({"observations": [ONE_HOT]}))
    assert len(endpoint.requests) == 5
    assert len(endpoint.connections) == 1


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"observations": [ONE_HOT[:-1]]}, "shape [20], or [N, 20] for a batch expected, [19] given"),
        ({"observations": [[*ONE_HOT[:-1], float("nan")]]}, "holds nan at [19]"),
        ({"observations": [[*ONE_HOT[:-1], float("inf")]]}, "holds inf at [19]"),
        ({"observations": {"Camera": ONE_HOT}}, "Unknown sensors: 'Camera'"),
        ({"observations": []}, "1 sensors expected, 0 given"),
        ({"observations": [ONE_HOT], "behavior": "Goalie"}, "'Goalie'"),
        ({"observations": [ONE_HOT], "action_masks": [0, 0, 0]}, "no choice in branch 0"),
    ],
)
def test_what_does_not_fit_is_refused_before_the_endpoint_is_asked(stack, endpoint, body, said):
    found = problem(call(body), 400)
    assert found.code == "InvalidObservation"
    assert said in found.detail
    assert endpoint.requests == []


@pytest.mark.parametrize(
    "body", [None, "", "{", "[]", "null", "1", "{}", '{"observations": 1}', '{"observation": [[0]]}', "[" * 5000]
)
def test_what_is_no_predict_request_is_refused(stack, endpoint, body):
    assert problem(call(body), 400).code == "InvalidRequest"
    assert endpoint.requests == []


def test_an_unknown_policy_is_not_found(stack):
    assert problem(call({"observations": [ONE_HOT]}, policy="crawler"), 404).code == "PolicyNotFound"


def test_the_limit_is_taken_and_one_byte_more_is_not(stack):
    body = json.dumps({"observations": [ONE_HOT]})
    assert call(body.ljust(MAX_REQUEST_BYTES))["statusCode"] == 200
    found = problem(call(body.ljust(MAX_REQUEST_BYTES + 1)), 413)
    assert str(MAX_REQUEST_BYTES) in found.detail


def test_a_body_in_base64_is_read(stack):
    body = b64encode(json.dumps({"observations": [ONE_HOT]}).encode()).decode()
    actions(call(body, isBase64Encoded=True))
    assert problem(call("%", isBase64Encoded=True), 400).code == "InvalidRequest"


@pytest.mark.parametrize(
    ("error", "service_status", "body", "status", "code", "retry"),
    [
        ("ModelNotReadyException", 429, {"Message": "loading"}, 503, "ModelNotReady", True),
        ("ModelError", 424, {"OriginalStatusCode": 500, "OriginalMessage": "oom"}, 502, "ModelError", False),
        ("ThrottlingException", 400, {"message": "slow down"}, 429, "Throttled", True),
        ("ServiceUnavailable", 503, {"Message": "down"}, 503, "ServiceUnavailable", True),
        ("ValidationError", 400, {"Message": "not found"}, 503, "NotYetConsistent", True),
    ],
)
def test_the_endpoints_errors_have_a_status_of_their_own(
    stack, endpoint, error, service_status, body, status, code, retry
):
    endpoint.respond = lambda *_: Answer(body, status=service_status, error=error)
    answer = call({"observations": [ONE_HOT]})
    found = problem(answer, status)
    assert found.code in {code, code.removesuffix("Error")}
    assert ("Retry-After" in answer["headers"]) is retry


def test_an_endpoint_that_failed_once_is_asked_a_second_time(stack, endpoint):
    answers = [Answer({"Message": "down"}, status=503, error="ServiceUnavailable")]
    endpoint.respond = lambda name, body: answers.pop() if answers else go_right()(name, body)
    actions(call({"observations": [ONE_HOT]}))
    assert len(endpoint.requests) == 2


def test_after_an_update_the_new_specs_observations_are_taken(stack, endpoint, monkeypatch):
    actions(call({"observations": [ONE_HOT]}))
    serve(stack, "basic-0002", size=3)
    endpoint.respond = go_right("basic-0002")
    monkeypatch.setattr("pipeline.api.predictor.MIN_AGE_SECONDS", 0.0)
    assert actions(call({"observations": [[0.0, 1.0, 0.0]]})).version == "basic-0002"
    assert "[3]" in problem(call({"observations": [ONE_HOT]}), 400).detail


def other(method, path):
    event = sample_event("predict/post_predict") | {"resource": "/{proxy+}", "httpMethod": method, "path": path}
    return handler(event, LambdaContext())


@pytest.mark.parametrize("path", ["/nope", "/", "/policies", "/policies/basic"])
def test_any_other_route_is_a_problem(stack, path):
    assert problem(other("POST", path), 404).code == "RouteNotFound"


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_a_wrong_method_tells_the_right_one(stack, method):
    answer = other(method, "/policies/basic/predict")
    assert problem(answer, 405).code == "MethodNotAllowed"
    assert answer["headers"]["Allow"] == "POST"


def test_health_and_description_ask_neither_bucket_nor_endpoint(endpoint):
    with control_stack() as empty:
        empty.s3.delete_bucket(Bucket=BUCKET)
        health = json.loads(other("GET", "/health")["body"])
        assert (health["status"], health["api"], health["stage"]) == ("ok", "predict", "test")
        described = json.loads(other("GET", "/openapi.json")["body"])
    assert list(described["paths"]) == ["/policies/{policy}/predict", "/health", "/openapi.json"]
    assert endpoint.requests == []


def test_only_a_page_of_the_allowed_origin_reads_an_answer(stack, monkeypatch):
    for answer in (call({"observations": [ONE_HOT]}), other("OPTIONS", "/policies/basic/predict")):
        assert not [name for name in answer["headers"] if name.startswith("Access-Control")]
    forget_handlers()
    monkeypatch.setenv("ALLOWED_ORIGIN", "https://play.example.com")
    preflight = other("OPTIONS", "/policies/basic/predict")
    assert preflight["statusCode"] == 204
    assert preflight["headers"]["Access-Control-Allow-Methods"] == "POST,OPTIONS"
    assert "x-api-key" in preflight["headers"]["Access-Control-Allow-Headers"]
    for answer in (preflight, call({"observations": [ONE_HOT]}), call("{"), other("POST", "/nope")):
        assert answer["headers"]["Access-Control-Allow-Origin"] == "https://play.example.com"


@pytest.mark.parametrize("name", [name for name in sample_events("predict") if "msgpack" not in name])
def test_every_sample_event_is_answered(stack, name):
    assert handler(sample_event(name), LambdaContext())["statusCode"] == 200


def test_what_nobody_foresaw_is_logged_and_not_shown(stack, monkeypatch, caplog):
    def explode(*_):
        raise RuntimeError("secret detail")

    monkeypatch.setattr(Predictor, "ask", explode)
    found = problem(call({"observations": [ONE_HOT]}), 500)
    assert "secret" not in found.model_dump_json()
    assert "secret detail" in caplog.text


FIRST_PREDICTION = """
import json, sys
sys.path.insert(0, "functions")
from predict.app import handler
answer = handler(json.loads(sys.argv[1]), None)
assert answer["statusCode"] == 200, answer
print(*sys.modules)
"""


@contextmanager
def bucket_of_files(folder: Path) -> Iterator[str]:
    """S3 as far as GetObject needs it, over a socket."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_nothing_is_imported_that_a_prediction_does_not_use(endpoint, tmp_path):
    """Of all that a process has imported when it has answered its first request."""
    policy = tmp_path / BUCKET / "policies" / "basic"
    policy.mkdir(parents=True)
    current = CurrentPolicy(policy="basic", version="v", endpoint_name=ENDPOINT, spec_key="policies/basic/spec.json")
    (policy / "current.json").write_text(current.model_dump_json())
    (policy / "spec.json").write_text(basic_spec("v").model_dump_json())
    event = sample_event("predict/post_predict") | {"body": json.dumps({"observations": [ONE_HOT]})}
    with bucket_of_files(tmp_path) as s3_url:
        environment = SAID_OF_ITSELF | {
            "BUCKET_NAME": BUCKET,
            "AWS_ACCESS_KEY_ID": "x",
            "AWS_SECRET_ACCESS_KEY": "x",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL_S3": s3_url,
            "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": endpoint.url,
        }
        command = [sys.executable, "-c", FIRST_PREDICTION, json.dumps(event)]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    imported = set(done.stdout.split())
    assert {one for one in imported if one.partition(".")[0] == "pipeline"} == USED
    assert {one.partition(".")[0] for one in imported} & UNUSED == set()


def test_a_prediction_that_is_refused_or_breaks_tells_the_log_of_which_policy(stack, monkeypatch, caplog):
    caplog.set_level("INFO")
    call({"observations": [[1.0]]})
    monkeypatch.setattr(Predictor, "ask", lambda *_: 1 / 0)
    call({"observations": [ONE_HOT]})
    told = [(one.getMessage(), one.policy) for one in caplog.records if hasattr(one, "policy")]
    assert told == [("not answered", "basic"), ("unforeseen error", "basic")]
