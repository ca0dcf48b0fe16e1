"""What Lambdas print: whose run each line is about, nothing secret, and what CloudWatch makes metrics of."""

import io
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pipeline.observability import logger
from tests.fakes.configured_builds import configured
from tests.fakes.control_calls import call
from tests.fakes.control_stack import BUCKET
from tests.fakes.operations_template import counted, of_type
from tests.fakes.pipeline_stack import PipelineStack
from tests.fakes.sagemaker_double import COMPLETED

Line = dict[str, Any]
Printed = Callable[[], list[Line]]

SECRETS = re.compile(r"AKIA|ASIA|X-Amz-Signature=|X-Amz-Credential=|x-api-key|aws_secret|password", re.IGNORECASE)


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Printed]:
    """The lines that were logged since the last look."""
    stream = io.StringIO()
    handler = logger.registered_handler
    former = handler.setStream(stream)  # type: ignore[attr-defined]

    def read() -> list[Line]:
        text = stream.getvalue()
        stream.seek(0)
        stream.truncate()
        assert not SECRETS.search(text)
        return [json.loads(line) for line in text.splitlines()]

    yield read
    handler.setStream(former)  # type: ignore[attr-defined]


def test_each_line_of_a_run_says_which_run_policy_and_state_it_is_about(
    stack: PipelineStack, basic: bytes, printed: Printed
) -> None:
    execution, record = stack.run(stack.put("builds/basic.zip", basic))
    lines = printed()
    assert {(one["run_id"], one["policy"]) for one in lines} == {(record.run_id, "basic")}
    assert {one["execution_arn"] for one in lines} == {execution["executionArn"]}
    assert {one["state"] for one in lines} == {*(entry.state for entry in record.history), "TakeTurn"}
    assert all({"level", "message", "timestamp", "function_name", "function_request_id"} <= set(one) for one in lines)


@pytest.mark.parametrize(
    ("what", "code", "for_operators"),
    [("no zip", "BuildRejected", False), ("unforeseen", "Internal", True), ("no machine", "Capacity", True)],
)
def test_each_line_of_a_run_that_fails_does_too(
    stack: PipelineStack, basic: bytes, printed: Printed, what: str, code: str, for_operators: bool
) -> None:
    build = b"no zip" if what == "no zip" else basic
    if what == "unforeseen":
        stack.broken["StartTraining"] = [RuntimeError("nobody thought of this")]
    if what == "no machine":
        failed = COMPLETED | {"TrainingJobStatus": "Failed", "FailureReason": "CapacityError: no machine is free"}
        stack.sagemaker.script = lambda step, request: [failed]
    _, record = stack.run(stack.put("builds/basic.zip", build))
    assert record.failure is not None
    lines = printed()
    assert {one["run_id"] for one in lines} == {record.run_id}
    (outcome,) = [one["result"] for one in lines if "outcome" in one.get("result", {})]
    assert (outcome["error"], outcome["run_id"], outcome["policy"]) == (code, record.run_id, "basic")
    assert outcome["for_operators"] is for_operators


def test_requests_to_the_api_tell_their_run_and_their_route(
    stack: PipelineStack, basic: bytes, printed: Printed
) -> None:
    stack.s3.put_object(Bucket=BUCKET, Key="uploads/1/basic.zip", Body=basic)
    answer = call("POST", "/training-runs", {"build": {"key": "uploads/1/basic.zip"}})
    started = json.loads(answer["body"])
    stack.wait_for_executions()
    printed()
    call("GET", f"/training-runs/{started['run_id']}")
    call("GET", f"/training-runs/{started['run_id']}/report")
    call("DELETE", "/policies/nobody")
    lines = printed()
    assert [one["run_id"] for one in lines if "run_id" in one] == [started["run_id"]] * 2
    assert {one["policy"] for one in lines if "policy" in one} == {"nobody"}
    answered = [one for one in lines if one["message"] == "answered"]
    assert [(one["method"], one["status"]) for one in answered] == [("GET", 200), ("GET", 200), ("DELETE", 404)]


def test_a_request_that_starts_a_run_tells_its_id(stack: PipelineStack, basic: bytes, printed: Printed) -> None:
    stack.s3.put_object(Bucket=BUCKET, Key="uploads/1/basic.zip", Body=basic)
    started = json.loads(call("POST", "/training-runs", {"build": {"key": "uploads/1/basic.zip"}})["body"])
    own = [one for one in printed() if one["message"] == "answered"]
    assert [one["run_id"] for one in own] == [started["run_id"]]
    stack.wait_for_executions()


# ── The metrics that operations.yaml makes of the lines ─────


def test_a_run_that_succeeds_is_counted_and_nothing_rings(stack: PipelineStack, basic: bytes, printed: Printed) -> None:
    stack.run(stack.put("builds/basic.zip", basic))
    found = counted("PipelineLog", printed())
    assert found.pop(("SpentUsd",), 0.0) >= 0.0
    assert found == {("RunsEnded", "SUCCEEDED"): 1.0}


def test_a_build_that_is_no_build_is_its_senders_fault(stack: PipelineStack, printed: Printed) -> None:
    stack.run(stack.put("builds/basic.zip", b"no zip"))
    assert counted("PipelineLog", printed()) == {("RunsEnded", "FAILED"): 1.0}


def test_what_nobody_foresaw_is_a_fault_and_for_operators(
    stack: PipelineStack, basic: bytes, printed: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_: Any, **__: Any) -> None:
        raise RuntimeError("nobody thought of this")

    monkeypatch.setattr("pipeline.steps.jobs.training_jobs.create", explode)
    stack.run(stack.put("builds/basic.zip", basic))
    assert counted("PipelineLog", printed()) == {
        ("RunsEnded", "FAILED"): 1.0,
        ("RunsFailedForOperators",): 1.0,
        ("FunctionFaults",): 1.0,
    }


def test_what_jobs_cost_is_summed(stack: PipelineStack, basic: bytes, printed: Printed) -> None:
    stack.run(stack.put("builds/basic.zip", configured(basic, instances={"spot": False})))
    lines = printed()
    (spent,) = [one["result"]["spent_usd"] for one in lines if "spent_usd" in one.get("result", {})]
    assert counted("PipelineLog", lines).get(("SpentUsd",), 0.0) == spent


def test_a_sweep_tells_of_idle_endpoints_each_time(stack: PipelineStack, basic: bytes, printed: Printed) -> None:
    stack.run(stack.put("builds/basic.zip", configured(basic, endpoint={"mode": "realtime"})))
    printed()
    swept = stack.sweep_endpoints()
    found = counted("PipelineLog", printed())
    assert found == {("IdleEndpoints",): 0.0, ("SpentUsd",): swept["usd_per_hour"]}


def test_a_request_that_is_refused_is_no_fault_and_one_that_breaks_is(
    stack: PipelineStack, printed: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("GET", "/training-runs/nobody-000000000000")
    assert counted("ApiLog", printed()) == {}
    monkeypatch.setattr("pipeline.aws.runs_table.RunsTable.list", lambda *_, **__: 1 / 0)
    call("GET", "/training-runs")
    assert counted("ApiLog", printed()) == {("FunctionFaults",): 1.0}


@pytest.mark.parametrize(
    ("line", "faults"),
    [
        ({"type": "platform.report", "record": {"status": "timeout"}}, 1),
        ({"type": "platform.report", "record": {"status": "error", "errorType": "Runtime.ExitError"}}, 1),
        ({"log_level": "ERROR", "errorType": "Runtime.ImportModuleError", "errorMessage": "x"}, 1),
        ({"type": "platform.report", "record": {"status": "success"}}, 0),
        ({"log_level": "ERROR", "errorType": "BuildRejectedError", "errorMessage": "a state's answer"}, 0),
    ],
)
def test_lines_of_lambda_itself_are_faults_where_it_ended_the_function(line: Line, faults: int) -> None:
    for group in ("PipelineLog", "ApiLog", "PredictLog"):
        assert counted(group, [line]).get(("FunctionFaults",), 0) == faults


def test_fields_that_queries_name_stand_in_the_lines(
    stack: PipelineStack, basic: bytes, printed: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.run(stack.put("builds/basic.zip", configured(basic, endpoint={"mode": "realtime"})))
    stack.run(stack.put("builds/bad.zip", b"no zip"))
    stack.sweep_endpoints()
    call("GET", "/training-runs/nobody-000000000000")
    monkeypatch.setattr("pipeline.aws.runs_table.RunsTable.list", lambda *_, **__: 1 / 0)
    call("GET", "/training-runs")
    known = {name for line in printed() for name in _names(line)}
    # Of Lambda's own lines (its guide, "JSON structured logs"), and of Logs Insights.
    known |= {"type", "errorType", "record.status", "record.errorType"}
    known |= {f"record.metrics.{name}" for name in ("durationMs", "initDurationMs", "maxMemoryUsedMB")}
    known |= {"@timestamp", "@message", "@log"}
    for name, query in of_type("AWS::Logs::QueryDefinition").items():
        assert _asked(query["QueryString"]) <= known, name


_WORDS = {
    *("fields", "filter", "sort", "stats", "limit", "as", "by", "asc", "desc", "or", "and", "in", "like"),
    *("count", "sum", "max", "pct", "latest", "bin", "ispresent"),
}


def _asked(query: str) -> set[str]:
    """Fields that a query reads: neither its words nor the names that it gives itself."""
    bare = re.sub(r'"[^"]*"|/\^?[^/\n]*/|\b\d+[mh]?\b', " ", query)
    given = set(re.findall(r"\bas (\w+)", bare))
    return set(re.findall(r"@?[A-Za-z_][\w.]*", bare)) - _WORDS - given


def _names(line: Line, prefix: str = "") -> Iterator[str]:
    for name, value in line.items():
        yield f"{prefix}{name}"
        if isinstance(value, dict):
            yield from _names(value, f"{prefix}{name}.")
