"""POST /training-runs with an Idempotency-Key: one key and request is one run, whatever happens in between."""

import pytest

from pipeline.aws import executions
from pipeline.aws.known_requests import KEPT_SECONDS, KeyedRequest, KnownRequests
from pipeline.aws.runs_table import RunsTable
from pipeline.contracts.api import AcceptedRun
from pipeline.contracts.run import RunPage, RunStatus
from pipeline.errors import IdempotencyKeyReusedError, ServiceUnavailableError
from tests.fakes.control_calls import call, document, problem
from tests.fakes.control_stack import control_stack, moto_client

BUILD_KEY = "uploads/4f1c/Basic.zip"
REQUEST = {"build": {"key": BUILD_KEY}}


@pytest.fixture
def stack():
    with control_stack() as made:
        made.put(BUILD_KEY, b"zip")
        yield made


def start(key: str | None, request=REQUEST, header="Idempotency-Key"):
    headers = {"x-api-key": "k"} | ({header: key} if key is not None else {})
    multi = {name: [text] for name, text in headers.items()}
    return call("POST", "/training-runs", request, headers=headers, multiValueHeaders=multi)


def run_id(answer) -> str:
    return document(answer, AcceptedRun, 202).run_id


def table(stack) -> RunsTable:
    return RunsTable(moto_client("dynamodb"), stack.environment["RUNS_TABLE"])


def test_the_same_key_and_request_are_one_run_in_any_case_of_the_header(stack):
    first = start("a-key")
    assert start("a-key", header="idempotency-key")["body"] == first["body"]
    assert stack.executions() == [run_id(first)]


def test_another_key_is_another_run_and_so_is_none(stack):
    runs = {run_id(start(key)) for key in ("one", "two", None)}
    assert sorted(stack.executions()) == sorted(runs)
    assert len(runs) == 3


def test_a_key_with_another_request_is_refused_with_what_to_do(stack):
    start("a-key")
    found = problem(start("a-key", {**REQUEST, "seed": 1}), 422)
    assert found.code == "IdempotencyKeyReused"
    assert "another key" in found.remedy
    assert len(stack.executions()) == 1


def test_the_same_key_is_the_same_run_although_it_has_failed(stack):
    first = run_id(start("a-key"))
    from tests.integration.api.test_api_control import record

    ended = record(stack, 1, status=RunStatus.FAILED)
    table(stack).admit(ended.model_copy(update={"run_id": first}))
    again = document(start("a-key"), AcceptedRun, 202)
    assert (again.run_id, again.status) == (first, RunStatus.FAILED)
    assert run_id(start(None)) != first


def test_the_same_key_is_the_same_run_although_the_build_was_replaced(stack):
    first = run_id(start("a-key"))
    stack.put(BUILD_KEY, b"another zip")
    assert run_id(start("a-key")) == first
    stack.s3.delete_object(Bucket=stack.environment["BUCKET_NAME"], Key=BUILD_KEY)
    assert run_id(start("a-key")) == first


def test_a_call_whose_start_was_lost_is_made_up_for(stack, monkeypatch):
    def lost(*_):
        raise ServiceUnavailableError("the connection broke")

    with monkeypatch.context() as patch:
        patch.setattr(executions, "start", lost)
        assert problem(start("a-key"), 503).code == "ServiceUnavailable"
    assert stack.executions() == []
    assert stack.executions() == [] != [run_id(start("a-key"))] == stack.executions()


def test_of_two_at_once_the_quicker_one_counts_for_both(stack):
    known = KnownRequests(moto_client("dynamodb"), stack.environment["RUNS_TABLE"])
    mine = KeyedRequest.of("a-key", b"request")
    assert known.find(mine) is None
    assert known.keep(mine, "basic-1", 0) == "basic-1"
    assert known.keep(mine, "basic-2", 0) == "basic-1"
    with pytest.raises(IdempotencyKeyReusedError):
        known.keep(KeyedRequest.of("a-key", b"another request"), "basic-3", 0)


def test_keys_are_no_runs_are_not_kept_in_plain_words_and_expire(stack):
    start("a-secret-of-mine")
    assert document(call("GET", "/training-runs"), RunPage).runs == ()
    dynamodb = moto_client("dynamodb")
    (item,) = dynamodb.scan(TableName=stack.environment["RUNS_TABLE"])["Items"]
    assert "a-secret-of-mine" not in str(item)
    assert int(item["expires_at"]["N"]) > KEPT_SECONDS


@pytest.mark.parametrize("key", ["", " ", "a b", "é", "x" * 256, "a\n"])
def test_a_key_that_is_none_is_refused_by_name(stack, key):
    found = problem(start(key), 400)
    assert [one.field for one in found.errors] == ["Idempotency-Key"]
    assert stack.executions() == []
