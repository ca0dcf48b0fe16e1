"""The control API's handlers on an emulated account: what a tool sends, and what it gets back."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from control_read.app import handler as read_handler
from control_write.app import handler as write_handler
from pipeline.api.routes import CONTROL
from pipeline.aws.policies_table import PoliciesTable
from pipeline.aws.runs_table import RunsTable
from pipeline.contracts.api import AcceptedRun, ArtifactLinks, PolicyDescription, PolicyList, UploadTicket
from pipeline.contracts.evaluation import BehaviorEvaluation, EvaluationReport, PlayedEpisodes
from pipeline.contracts.policy import (
    ActionSpec,
    BehaviorSpec,
    CurrentPolicy,
    ObservationSpec,
    PolicySpec,
    ServedVersion,
)
from pipeline.contracts.request import RunOptions, TrainingRequest
from pipeline.contracts.run import RunPage, RunRecord, RunStatus
from pipeline.contracts.states import ApiEvent
from tests.fakes.control_calls import call, document, problem
from tests.fakes.control_stack import (
    BUCKET,
    LambdaContext,
    control_stack,
    forget_handlers,
    moto_client,
    sample_event,
    sample_events,
)

BUILD_KEY = "uploads/4f1c/Basic.zip"
REQUEST = {"build": {"key": BUILD_KEY}}
PLAYED = PlayedEpisodes(
    episodes=2, mean_return=0.5, std_return=0.1, min_return=0.4, max_return=0.6, ci95_low=0, ci95_high=1, mean_length=9
)
REPORT = EvaluationReport(
    run_id="basic-0009",
    seed=1,
    behaviors=(BehaviorEvaluation(behavior="Basic", deterministic=PLAYED),),
    mean_return=0.5,
    ci95_low=0,
    ci95_high=1,
    wall_time_seconds=3,
)


@pytest.fixture
def stack():
    with control_stack() as made:
        yield made


def record(stack, number=0, policy="basic", status=RunStatus.RUNNING, **more) -> RunRecord:
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number)
    made = RunRecord(
        run_id=f"{policy}-{number:04d}",
        policy=policy,
        status=status,
        state="CheckTraining",
        created_at=at,
        updated_at=at,
        execution_arn="arn:aws:states:us-east-1:123456789012:execution:train:e",
        source_key=BUILD_KEY,
        build_key=f"runs/{policy}-{number:04d}/build.zip",
        options=RunOptions(),
        **more,
    )
    assert runs_table(stack).admit(made)
    return made


def runs_table(stack) -> RunsTable:
    return RunsTable(moto_client("dynamodb"), stack.environment["RUNS_TABLE"])


# ── starting a run ──


def test_a_build_that_was_dropped_once_can_be_asked_for_too(stack):
    version = stack.put("builds/basic.zip", b"zip")
    for build in ({"key": "builds/basic.zip"}, {"key": "builds/basic.zip", "version_id": version}):
        accepted = document(call("POST", "/training-runs", {"build": build, "seed": len(build)}), AcceptedRun, 202)
        assert accepted.run_id in stack.executions()


def test_the_answer_says_what_the_run_may_cost_and_one_that_is_too_dear_starts_nothing(stack):
    stack.put(BUILD_KEY, b"zip")
    request = {**REQUEST, "instances": {"max_runtime_seconds": 3600}, "evaluation": {"max_runtime_seconds": 600}}
    cost = document(call("POST", "/training-runs", request), AcceptedRun, 202).estimate
    assert cost.max_usd is not None
    assert cost.training.max_usd is not None
    assert 0 < cost.training.max_usd < cost.max_usd < 1
    before = stack.executions()
    (field,) = problem(call("POST", "/training-runs", {**request, "max_cost_usd": 0.1}), 400).errors
    assert field.field == "max_cost_usd"
    assert f"could cost up to {cost.max_usd:.2f} USD" in field.message
    assert stack.executions() == before


def test_a_request_starts_an_execution_named_by_the_run(stack):
    version = stack.put(BUILD_KEY, b"zip")
    accepted = document(call("POST", "/training-runs", {**REQUEST, "seed": 7}), AcceptedRun, 202)
    assert accepted.policy == "basic"
    assert accepted.status == "RUNNING"
    assert stack.executions() == [accepted.run_id]
    stored = stack.s3.get_object(Bucket=BUCKET, Key=f"runs/{accepted.run_id}/request.json")["Body"].read()
    request = TrainingRequest.model_validate_json(stored)
    assert (request.policy, request.seed, request.build.version_id) == ("basic", 7, version)
    described = stack.sfn.describe_execution(
        executionArn=stack.sfn.list_executions(stateMachineArn=stack.environment["STATE_MACHINE_ARN"])["executions"][0][
            "executionArn"
        ]
    )
    event = ApiEvent.model_validate_json(described["input"])
    assert event == ApiEvent(run_id=accepted.run_id, request_key=f"runs/{accepted.run_id}/request.json")


def test_the_same_request_twice_is_one_run(stack):
    stack.put(BUILD_KEY, b"zip")
    first = call("POST", "/training-runs", REQUEST)
    second = call("POST", "/training-runs", REQUEST)
    assert first["body"] == second["body"]
    assert len(stack.executions()) == 1


def test_the_same_request_after_a_failure_is_another_attempt(stack):
    stack.put(BUILD_KEY, b"zip")
    runs = []
    for number in range(3):
        runs.append(document(call("POST", "/training-runs", REQUEST), AcceptedRun, 202).run_id)
        assert call("POST", "/training-runs", REQUEST)["body"]  # while it goes on it is the same
        assert sorted(stack.executions()) == sorted(runs)
        ended = record(stack, number, status=RunStatus.FAILED)
        runs_table(stack).admit(ended.model_copy(update={"run_id": runs[-1]}))
    assert len(set(runs)) == 3


def test_the_same_request_after_an_execution_that_died_unrecorded_is_another_attempt(stack):
    stack.put(BUILD_KEY, b"zip")
    first = document(call("POST", "/training-runs", REQUEST), AcceptedRun, 202).run_id
    machine = stack.environment["STATE_MACHINE_ARN"]
    (execution,) = stack.sfn.list_executions(stateMachineArn=machine)["executions"]
    stack.sfn.stop_execution(executionArn=execution["executionArn"], error="Gone", cause="by hand")
    second = document(call("POST", "/training-runs", REQUEST), AcceptedRun, 202).run_id
    assert sorted(stack.executions()) == sorted((first, second))


def test_another_seed_or_another_build_is_another_run(stack):
    stack.put(BUILD_KEY, b"zip")
    made = [document(call("POST", "/training-runs", REQUEST), AcceptedRun, 202).run_id]
    made.append(document(call("POST", "/training-runs", {**REQUEST, "seed": 1}), AcceptedRun, 202).run_id)
    stack.put(BUILD_KEY, b"other zip")
    made.append(document(call("POST", "/training-runs", REQUEST), AcceptedRun, 202).run_id)
    assert sorted(set(made)) == sorted(made)
    assert sorted(stack.executions()) == sorted(made)


def test_a_request_for_a_run_that_has_ended_tells_how(stack):
    stack.put(BUILD_KEY, b"zip")
    accepted = document(call("POST", "/training-runs", REQUEST), AcceptedRun, 202)
    ended = record(stack, 1, status=RunStatus.KEPT)
    runs_table(stack).admit(ended.model_copy(update={"run_id": accepted.run_id}))
    assert document(call("POST", "/training-runs", REQUEST), AcceptedRun, 202).status == "KEPT"


def test_a_run_is_there_at_once_although_its_record_is_not(stack):
    stack.put(BUILD_KEY, b"zip")
    run_id = document(call("POST", "/training-runs", {**REQUEST, "seed": 3}), AcceptedRun, 202).run_id
    found = document(call("GET", f"/training-runs/{run_id}"), RunRecord)
    assert (found.status, found.state, found.options.seed) == (RunStatus.RUNNING, "Accepted", 3)
    assert document(call("GET", f"/training-runs/{run_id}/artifacts"), ArtifactLinks).artifacts == {}


def test_a_run_whose_execution_died_before_its_record_has_failed(stack):
    stack.put(BUILD_KEY, b"zip")
    run_id = document(call("POST", "/training-runs", REQUEST), AcceptedRun, 202).run_id
    machine = stack.environment["STATE_MACHINE_ARN"]
    (execution,) = stack.sfn.list_executions(stateMachineArn=machine)["executions"]
    stack.sfn.stop_execution(executionArn=execution["executionArn"], error="Gone", cause="by hand")
    found = document(call("GET", f"/training-runs/{run_id}"), RunRecord)
    assert found.status is RunStatus.FAILED
    assert found.failure is not None
    assert found.failure.remedy


# ── runs ──


def test_a_run_is_answered_as_its_record(stack):
    made = record(stack, 5)
    assert document(call("GET", f"/training-runs/{made.run_id}"), RunRecord) == made


def test_runs_are_listed_newest_first_page_by_page(stack):
    made = [record(stack, number).run_id for number in range(5)]
    listed, token = [], ""
    while True:
        query = {"limit": "2"} | ({"next_token": token} if token else {})
        page = document(call("GET", "/training-runs", query=query), RunPage)
        listed += [run.run_id for run in page.runs]
        token = page.next_token
        if not token:
            break
    assert listed == made[::-1]


def test_a_token_goes_with_its_own_query(stack):
    for number in range(3):
        record(stack, number)
    token = document(call("GET", "/training-runs", query={"limit": "1"}), RunPage).next_token
    answer = call("GET", "/training-runs", query={"policy": "basic", "next_token": token})
    assert problem(answer, 400).code == "InvalidRequest"
    of_basic = {"policy": "basic", "limit": "1"}
    token = document(call("GET", "/training-runs", query=of_basic), RunPage).next_token
    answer = call("GET", "/training-runs", query={"policy": "other", "next_token": token})
    assert problem(answer, 400).code == "InvalidRequest"


def test_runs_are_filtered_by_policy_and_status(stack):
    record(stack, 1, "basic", RunStatus.FAILED)
    wanted = record(stack, 2, "basic", RunStatus.SUCCEEDED)
    record(stack, 3, "other", RunStatus.SUCCEEDED)
    page = document(call("GET", "/training-runs", query={"policy": "basic", "status": "SUCCEEDED"}), RunPage)
    assert page.runs == (wanted,)
    assert len(document(call("GET", "/training-runs", query={"policy": "", "status": ""}), RunPage).runs) == 3


def test_artifacts_are_presigned_one_by_one(stack):
    key = "runs/basic-0000/evaluation/evaluation_report.json"
    record(stack, artifacts={"evaluation_report": key})
    links = document(call("GET", "/training-runs/basic-0000/artifacts"), ArtifactLinks)
    url = urlsplit(links.artifacts["evaluation_report"])
    assert url.path == f"/{key}"
    assert url.hostname is not None
    assert url.hostname.startswith(BUCKET)
    assert parse_qs(url.query)["X-Amz-Expires"] == [str(links.expires_in_seconds)]


def test_only_a_page_of_the_allowed_origin_reads_an_answer(stack, monkeypatch):
    record(stack)
    for method in ("GET", "OPTIONS"):
        headers = call(method, "/training-runs/basic-0000")
        assert "Access-Control" not in str(headers)
    forget_handlers()
    monkeypatch.setenv("ALLOWED_ORIGIN", "https://tools.example.com")
    preflight = call("OPTIONS", "/training-runs/basic-0000")
    assert preflight["statusCode"] == 204
    assert preflight["headers"]["Access-Control-Allow-Methods"] == "GET,DELETE,OPTIONS"
    assert preflight["headers"]["Access-Control-Allow-Origin"] == "https://tools.example.com"
    for path in ("/training-runs/basic-0000", "/training-runs/basic-0001", "/nope"):
        answer = call("GET", path)
        assert answer["multiValueHeaders"]["Access-Control-Allow-Origin"] == ["https://tools.example.com"]
    assert problem(call("OPTIONS", "/nope"), 404).code == "RouteNotFound"


# ── builds and policies ──


def test_a_build_gets_a_key_of_its_own_where_nothing_fires(stack):
    tickets = [document(call("POST", "/builds", {"file_name": "My Game.zip"}), UploadTicket, 201) for _ in range(2)]
    assert tickets[0].key != tickets[1].key
    for ticket in tickets:
        assert ticket.key.startswith("uploads/")
        assert ticket.key.endswith("/My Game.zip")
        url = urlsplit(ticket.upload_url)
        assert url.path == "/" + ticket.key.replace(" ", "%20")
        assert parse_qs(url.query)["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]


def spec(policy="basic", version="basic-0001") -> PolicySpec:
    sensor = ObservationSpec(name="BasicSensor", shape=(20,))
    actions = ActionSpec(discrete_branches=(3,))
    behavior = BehaviorSpec(name="Basic", onnx="policies/Basic.onnx", observations=(sensor,), actions=actions)
    return PolicySpec(policy=policy, version=version, behaviors=(behavior,))


def serve(stack, policy="basic") -> CurrentPolicy:
    key = f"policies/{policy}/basic-0001/policy_spec.json"
    made = CurrentPolicy(policy=policy, version="basic-0001", endpoint_name=f"gamedojo-test-{policy}", spec_key=key)
    stack.put_document(f"policies/{policy}/current.json", made)
    stack.put_document(key, spec(policy))
    return made


def serve_twice(stack, asleep: bool) -> None:
    """A history of two versions, with what is needed to serve them again."""
    policies = PoliciesTable(moto_client("dynamodb"), stack.environment["POLICIES_TABLE"])
    for number in (1, 2):
        made = record(stack, number, status=RunStatus.SUCCEEDED, notified=True)
        for path in ("serving/model.tar.gz", "evaluation/parity.json"):
            stack.put(f"runs/{made.run_id}/{path}", b"file")
        version = {"version": made.run_id, "run_id": made.run_id, "config_name": f"gamedojo-test-{made.run_id}"}
        at = datetime(2026, 1, number, tzinfo=UTC)
        policies.set_in_service("basic", ServedVersion(at=at, endpoint_name="gamedojo-test-basic", **version))
    current = serve(stack)
    stack.put_document("policies/basic/current.json", current.model_copy(update={"asleep": asleep}))


def test_policies_in_service_are_listed_and_described(stack):
    served = [serve(stack, name) for name in ("basic", "crawler")]
    stack.put("policies/young/young-0001/policy_spec.json", b"{}")  # deployed, not yet verified
    assert document(call("GET", "/policies"), PolicyList).policies == tuple(served)
    described = document(call("GET", "/policies/crawler"), PolicyDescription)
    assert described.endpoint_name == "gamedojo-test-crawler"
    assert described.spec == spec("crawler")


@pytest.mark.parametrize("name", sample_events("control"))
def test_every_sample_event_is_answered(stack, name):
    stack.put("uploads/4f1c/Basic.zip", b"zip")
    key = "uploads/4f1c2d3e4f5061728394a5b6c7d8e9f0/MyGame.zip"
    if "parts" in name:
        stack.s3.create_multipart_upload(Bucket=BUCKET, Key=key)
    else:
        stack.put(key, b"zip")
    serve(stack)
    serve_twice(stack, asleep="wake" in name)
    event = sample_event(name)
    if name == "control/delete_environment":
        write_handler(sample_event("control/post_registry"), LambdaContext())
    named = (event["pathParameters"] or {}).get("run_id")
    if named:
        ended = {"status": RunStatus.FAILED, "notified": True} if "redrive" in name else {}
        ended |= {"artifacts": {"evaluation_report.json": "runs/report.json"}} if "report" in name else {}
        stack.put_document("runs/report.json", REPORT)
        runs_table(stack).admit(record(stack, 9).model_copy(update={"run_id": named} | ended))
        stack.put("runs/basic-0009/build.zip", b"zip")
    handler = read_handler if event["httpMethod"] == "GET" else write_handler
    assert event["resource"] in {route.path for route in CONTROL}
    assert handler(event, LambdaContext())["statusCode"] in {200, 201, 202}
