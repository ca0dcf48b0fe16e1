"""The series of a training: out of its artifact, out of its last checkpoint and its log, and while nothing is there."""

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.aws.runs_table import RunsTable
from pipeline.contracts.api import MetricsSeries
from pipeline.contracts.evaluation import EvaluationReport
from pipeline.contracts.run import JobRecord, Progress
from tests.fakes.control_calls import call, document, problem
from tests.fakes.control_stack import control_stack, moto_client
from tests.fakes.run_records import training_run

RUN = "basic-0001"
JOB = "gamedojo-test-basic-0001-train-1"
GROUP = "/aws/sagemaker/TrainingJobs"
NOW = datetime.now(UTC)


@pytest.fixture
def stack():
    with control_stack() as made:
        yield made


def record(stack, **more) -> None:
    made = training_run(RUN, NOW, progress=Progress(env_steps=900, iteration=9), **more)
    table = RunsTable(moto_client("dynamodb"), stack.environment["RUNS_TABLE"])
    assert table.admit(made)


def lines(*iterations: int, behavior: str = "Basic") -> str:
    return "".join(
        json.dumps({"behavior": behavior, "iteration": n, "env_steps": 100 * n, "mean_return": n / 10}) + "\n"
        for n in iterations
    )


def log(text: str, at: datetime, stream: str = "algo-1-1700000000") -> None:
    logs = moto_client("logs")
    for create in (
        lambda: logs.create_log_group(logGroupName=GROUP),
        lambda: logs.create_log_stream(logGroupName=GROUP, logStreamName=f"{JOB}/{stream}"),
    ):
        with suppress(logs.exceptions.ResourceAlreadyExistsException):
            create()
    events = [{"timestamp": int(at.timestamp() * 1000), "message": one} for one in text.splitlines()]
    logs.put_log_events(logGroupName=GROUP, logStreamName=f"{JOB}/{stream}", logEvents=events)


def read(query=None) -> MetricsSeries:
    return document(call("GET", f"/training-runs/{RUN}/metrics", query=query), MetricsSeries)


def test_of_a_training_that_has_ended_the_artifact_tells(stack):
    record(stack, artifacts={"progress.jsonl": f"runs/{RUN}/checkpoint/progress.jsonl"}, training_job=job("Completed"))
    stack.put(f"runs/{RUN}/checkpoint/progress.jsonl", (lines(1, 2) + lines(1, behavior="Goalie")).encode())
    log(lines(99), NOW)
    found = read()
    assert [(one.behavior, one.iterations) for one in found.behaviors] == [("Basic", 2), ("Goalie", 1)]
    assert found.behaviors[0].columns == {
        "iteration": (1, 2),
        "env_steps": (100, 200),
        "mean_return": (0.1, 0.2),
    }
    assert found.progress.env_steps == 900


def job(status: str = "InProgress") -> JobRecord:
    return JobRecord(name=JOB, status=status)


def test_while_it_trains_the_last_checkpoint_and_the_log_since_then_tell(stack):
    record(stack, training_job=job())
    for number, upto in ((1, 2), (2, 4), (10, 6)):
        stack.put(f"runs/{RUN}/checkpoints/{number:08d}/progress.jsonl", lines(*range(1, upto + 1)).encode())
        stack.put(f"runs/{RUN}/checkpoints/{number:08d}/state.json", b"{}")
    log("Starting\n" + lines(5, 6, 7, 8) + "a warning\n", datetime.now(UTC))
    (found,) = read().behaviors
    assert found.columns["iteration"] == tuple(range(1, 9))


def test_before_the_first_checkpoint_the_log_alone_tells(stack):
    record(stack, training_job=job())
    log(lines(1, 2, 3), NOW - timedelta(hours=2))
    log(lines(7), NOW, stream="algo-2-1700000000")
    (found,) = read().behaviors
    assert found.columns["iteration"] == (1, 2, 3)


def test_a_job_that_began_anew_is_read_where_it_prints_now(stack):
    record(stack, training_job=job())
    log(lines(1), NOW - timedelta(minutes=10), stream="algo-1-1700000000")
    log(lines(2), NOW, stream="algo-1-1700009999")
    (found,) = read().behaviors
    assert found.columns["iteration"] == (2,)


def test_a_log_of_many_pages_is_read_so_far(stack):
    record(stack, training_job=job())
    for start in range(0, 25_000, 5_000):
        log(lines(*range(start, start + 5_000)), NOW - timedelta(seconds=30_000 - start))
    (found,) = read({"points": "2"}).behaviors
    assert found.columns["iteration"][0] == 0
    assert found.iterations == 25_000


@pytest.mark.parametrize("more", [{}, {"training_job": job()}])
def test_before_anything_is_told_there_is_no_series(stack, more):
    record(stack, **more)
    assert read({"metrics": "entropy"}).behaviors == ()


def test_points_metrics_and_behavior_choose(stack):
    record(stack, artifacts={"progress.jsonl": "runs/p"})
    stack.put("runs/p", (lines(*range(1, 101)) + lines(*range(1, 3), behavior="Goalie")).encode())
    (found,) = read({"points": "5", "metrics": "mean_return, env_steps", "behavior": "Basic"}).behaviors
    assert list(found.columns) == ["mean_return", "env_steps"]
    assert found.columns["env_steps"][0] == 100
    assert found.columns["env_steps"][-1] == 10_000
    assert len(found.columns["env_steps"]) == 5


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"points": "1"}, "points"),
        ({"points": "2001"}, "points"),
        ({"points": "few"}, "points"),
        ({"metrics": "mean_returns"}, "metrics"),
        ({"behavior": "Nobody"}, "behavior"),
        ({"behaviour": "Basic"}, "behaviour"),
    ],
)
def test_what_cannot_be_chosen_is_named(stack, query, field):
    record(stack, artifacts={"progress.jsonl": "runs/p"})
    stack.put("runs/p", lines(1).encode())
    answer = call("GET", f"/training-runs/{RUN}/metrics", query=query)
    assert [one.field for one in problem(answer, 400).errors] == [field]


def test_an_artifact_that_was_removed_is_no_error(stack):
    record(stack, artifacts={"progress.jsonl": "runs/gone"}, training_job=job("Completed"))
    assert read().behaviors == ()


@pytest.mark.parametrize("path", ["metrics", "report"])
def test_of_an_unknown_run_nothing_is_told(stack, path):
    assert problem(call("GET", f"/training-runs/basic-0000/{path}"), 404).code == "RunNotFound"


def test_a_report_is_the_document_that_the_evaluation_left(stack):
    from tests.integration.api.test_api_control import REPORT

    record(stack, artifacts={"evaluation_report.json": "runs/report"})
    stack.put_document("runs/report", REPORT)
    assert document(call("GET", f"/training-runs/{RUN}/report"), EvaluationReport) == REPORT


@pytest.mark.parametrize("artifacts", [{}, {"evaluation_report.json": "runs/gone"}])
def test_without_a_report_the_answer_says_so(stack, artifacts):
    record(stack, artifacts=artifacts)
    assert problem(call("GET", f"/training-runs/{RUN}/report"), 404).code == "ReportNotFound"
