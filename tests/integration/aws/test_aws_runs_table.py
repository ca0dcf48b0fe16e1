"""Run records: written once, changed without overwriting one another, found again by policy and status."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from pipeline.aws import runs_table
from pipeline.aws.runs_table import RunsTable
from pipeline.contracts.request import RunOptions
from pipeline.contracts.run import HistoryEntry, Progress, RunRecord, RunStatus
from pipeline.errors import (
    InvalidRequestError,
    PipelineError,
    RunNotFoundError,
    ServiceUnavailableError,
    ThrottledError,
)
from tests.fakes.control_stack import REGION, moto_client

BEGIN = datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)


def record(number: int = 1, execution: str = "arn:execution:1", **changes: Any) -> RunRecord:
    fields = {
        "run_id": f"basic-{number}",
        "policy": "basic",
        "status": RunStatus.RUNNING,
        "state": "AdmitRun",
        "created_at": BEGIN + timedelta(minutes=number),
        "updated_at": BEGIN,
        "execution_arn": execution,
        "source_key": "builds/Basic.zip",
        "build_key": f"runs/basic-{number}/build.zip",
        "options": RunOptions(),
    }
    return RunRecord.model_validate(fields | changes)


def test_the_same_execution_is_admitted_again_and_another_is_not(runs: RunsTable) -> None:
    assert runs.admit(record())
    assert runs.admit(record())
    assert not runs.admit(record(execution="arn:execution:2"))
    assert runs.get("basic-1").execution_arn == "arn:execution:1"


def test_admitting_again_leaves_what_was_written_since(runs: RunsTable) -> None:
    runs.admit(record())
    runs.update("basic-1", lambda known: known.model_copy(update={"state": "InspectBuild"}))
    assert runs.admit(record())
    assert runs.get("basic-1").state == "InspectBuild"


def test_a_record_comes_back_exactly_as_it_was_written(runs: RunsTable) -> None:
    written = record(
        options=RunOptions.model_validate({"hyperparameters": {"lr": 1e-05, "gamma": 0.1 + 0.2}}),
        progress=Progress(env_steps=2**40, mean_return=-0.1),
        history=(HistoryEntry(state="AdmitRun", at=BEGIN),),
        artifacts={"Basic.onnx": "runs/basic-1/checkpoint/policies/Basic.onnx"},
    )
    runs.admit(written)
    assert runs.get("basic-1") == written


def test_a_run_that_is_not_there(runs: RunsTable) -> None:
    with pytest.raises(RunNotFoundError, match="basic-9"):
        runs.get("basic-9")
    with pytest.raises(RunNotFoundError):
        runs.update("basic-9", lambda known: known)


def test_two_writers_do_not_overwrite_one_another(runs: RunsTable) -> None:
    runs.admit(record())
    interrupted = []

    def change(known: RunRecord) -> RunRecord:
        if not interrupted:
            interrupted.append(runs.update("basic-1", lambda r: r.model_copy(update={"executable": "Basic.x86_64"})))
        return known.model_copy(update={"state": "InspectBuild"})

    runs.update("basic-1", change)
    assert (runs.get("basic-1").state, runs.get("basic-1").executable) == ("InspectBuild", "Basic.x86_64")


def test_who_is_always_overtaken_gives_up_and_is_tried_again(runs: RunsTable) -> None:
    runs.admit(record())
    count = iter(range(100))

    def change(known: RunRecord) -> RunRecord:
        runs.update("basic-1", lambda r: r.model_copy(update={"executable": f"{next(count)}"}))
        return known.model_copy(update={"state": "InspectBuild"})

    with pytest.raises(ThrottledError, match="written by others"):
        runs.update("basic-1", change)
    assert runs.get("basic-1").state == "AdmitRun"


def test_no_change_is_no_write(runs: RunsTable, stack: Any) -> None:
    runs.admit(record())

    def revision() -> str:
        table = moto_client("dynamodb")
        item = table.get_item(TableName=stack.environment["RUNS_TABLE"], Key={"run_id": {"S": "basic-1"}})["Item"]
        return str(item["revision"]["N"])

    runs.update("basic-1", lambda known: known)
    assert revision() == "0"
    runs.update("basic-1", lambda known: known.model_copy(update={"state": "InspectBuild"}))
    assert revision() == "1"


def listed(runs: RunsTable, **query: Any) -> list[str]:
    return [one.run_id for one in runs.list(**query).runs]


def test_runs_are_listed_newest_first_by_policy_and_status(runs: RunsTable) -> None:
    for number in (2, 1, 3):
        runs.admit(record(number))
    runs.admit(record(4, policy="other"))
    runs.update("basic-3", lambda known: known.model_copy(update={"status": RunStatus.FAILED}))
    assert listed(runs) == ["basic-4", "basic-3", "basic-2", "basic-1"]
    assert listed(runs, policy="basic") == ["basic-3", "basic-2", "basic-1"]
    assert listed(runs, status=RunStatus.FAILED) == ["basic-3"]
    assert listed(runs, policy="other", status=RunStatus.FAILED) == []
    assert listed(runs, policy="unknown") == []


@pytest.mark.parametrize("query", [{}, {"policy": "basic"}, {"status": RunStatus.RUNNING}])
@pytest.mark.parametrize("limit", [1, 2, 3, 7])
@pytest.mark.parametrize("looked_at", [1, 3, 100])
def test_pages_make_up_the_whole_and_the_last_one_has_no_token(
    runs: RunsTable, monkeypatch: pytest.MonkeyPatch, query: dict[str, Any], limit: int, looked_at: int
) -> None:
    monkeypatch.setattr(runs_table, "_FILTERED_PAGE", looked_at)
    for number in range(7):
        # every second run has another status: a filtered page must be filled up all the same
        runs.admit(record(number, status=RunStatus.KEPT if number % 2 else RunStatus.RUNNING))
    found, token, pages = [], None, 0
    while True:
        page = runs.list(**query, limit=limit, next_token=token)
        assert len(page.runs) <= limit
        found += [one.run_id for one in page.runs]
        token, pages = page.next_token, pages + 1
        if token is None:
            break
        assert len(page.runs) == limit, "only the last page may be short"
        assert pages < 20
    assert found == [f"basic-{n}" for n in reversed(range(7)) if "status" not in query or n % 2 == 0]


@pytest.mark.parametrize("limit", [1, 20])
def test_the_one_that_is_looked_for_among_very_many_takes_few_queries(
    runs: RunsTable, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    for number in range(60):
        runs.admit(record(number, status=RunStatus.FAILED if number == 0 else RunStatus.SUCCEEDED))
    monkeypatch.setattr(runs_table, "_FILTERED_PAGE", 25)
    queries: list[str] = []
    runs._client.meta.events.register("before-call.dynamodb.Query", lambda **_: queries.append("Query"))
    page = runs.list(policy="basic", status=RunStatus.FAILED, limit=limit)
    assert [one.run_id for one in page.runs] == ["basic-0"]
    assert len(queries) == 3, "60 runs, 25 by a query"


def token(document: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode()


def position(run_id: str = "basic-1", kind: str = "run", at: str = "2026-01-01T00:00:00+00:00") -> dict[str, Any]:
    return {"run_id": {"S": run_id}, "record_type": {"S": kind}, "created_at": {"S": at}}


@pytest.mark.parametrize(
    "bad",
    [
        "x",
        "é",
        token([]),
        token({}),
        token({"run_id": "basic-1"}),
        token({"run_id": {"S": 1}, "record_type": {"S": "run"}, "created_at": {"S": "x"}}),
        token({"run_id": {"S": "r"}, "policy": {"S": "basic"}, "created_at": {"S": "x"}}),
        # These DynamoDB would refuse, as a fault of ours.
        token(position(kind="other")),
        token(position(run_id="")),
        token(position(run_id="r" * 4000)),
        token(position(run_id="\ud800")),
        token(position(at="")),
        token(position(at="yesterday")),
        token(position() | {"created_at": {"S": "2026-01-01", "N": "1"}}),
        base64.urlsafe_b64encode(b"[" * 100_000).decode(),
    ],
)
def test_a_token_that_is_none_of_ours(runs: RunsTable, bad: str) -> None:
    with pytest.raises(InvalidRequestError, match="next_token"):
        runs.list(next_token=bad)


def test_a_position_that_could_be_one_of_ours_is_taken(runs: RunsTable) -> None:
    """What the tokens above are wrong by is what they say, not their form."""
    runs.admit(record(1))
    assert [one.run_id for one in runs.list(next_token=token(position(at="2100-01-01T00:00:00+00:00"))).runs] == [
        "basic-1"
    ]


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("ProvisionedThroughputExceededException", 400, ThrottledError),
        ("ThrottlingException", 400, ThrottledError),
        ("InternalServerError", 500, ServiceUnavailableError),
        ("AccessDeniedException", 400, PipelineError),
    ],
)
def test_dynamodbs_faults_are_told_apart(code: str, status: int, error: type[PipelineError]) -> None:
    client = boto3.client("dynamodb", region_name=REGION, aws_access_key_id="x", aws_secret_access_key="x")
    table = RunsTable(client, "runs")
    calls = [
        ("get_item", lambda: table.get("basic-1")),
        ("put_item", lambda: table.admit(record())),
        ("query", table.list),
    ]
    for operation, call in calls:
        with Stubber(client) as stubber:
            stubber.add_client_error(operation, code, http_status_code=status)
            with pytest.raises(PipelineError) as caught:
                call()
        assert type(caught.value) is error
