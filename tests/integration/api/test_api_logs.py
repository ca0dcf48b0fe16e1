"""What a run's jobs print: the newest lines, what has come since, and nothing of anybody else's."""

import base64
import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.stub import Stubber

from pipeline.api.logs import Logs
from pipeline.aws import clients
from pipeline.aws.job_logs import GROUP
from pipeline.aws.runs_table import RunsTable
from pipeline.contracts.api import LogPage, LogQuery
from pipeline.contracts.run import JobRecord, RunStatus
from tests.fakes.control_calls import call, document, problem
from tests.fakes.control_stack import control_stack, moto_client
from tests.fakes.run_records import training_run

RUN = "basic-0001"
TRAINING, EVALUATION = (f"gamedojo-test-{RUN}-{step}-1" for step in ("train", "eval"))
NOW = datetime.now(UTC).replace(microsecond=0)
STREAM = "algo-1-1700000000"


@pytest.fixture
def stack():
    with control_stack() as made:
        yield made


def record(stack, *jobs: str, status: RunStatus = RunStatus.RUNNING, run_id: str = RUN) -> None:
    made = training_run(
        run_id,
        NOW,
        status=status,
        training_job=JobRecord(name=TRAINING, status="InProgress") if TRAINING in jobs else None,
        evaluation_job=JobRecord(name=EVALUATION, status="InProgress") if EVALUATION in jobs else None,
    )
    table = RunsTable(moto_client("dynamodb"), stack.environment["RUNS_TABLE"])
    assert table.admit(made)


def log(*lines: str, job: str = TRAINING, stream: str = STREAM, at: datetime = NOW) -> None:
    logs = moto_client("logs")
    for create in (
        lambda: logs.create_log_group(logGroupName=GROUP),
        lambda: logs.create_log_stream(logGroupName=GROUP, logStreamName=f"{job}/{stream}"),
    ):
        with suppress(logs.exceptions.ResourceAlreadyExistsException):
            create()
    first = int(at.timestamp() * 1000)
    events: Any = [{"timestamp": first + n, "message": line} for n, line in enumerate(lines)]
    logs.put_log_events(logGroupName=GROUP, logStreamName=f"{job}/{stream}", logEvents=events)


def ask(**query: str) -> LogPage:
    return document(call("GET", f"/training-runs/{RUN}/logs", query=query or None), LogPage)


def texts(page: LogPage) -> list[str]:
    return [line.text for line in page.lines]


def test_the_newest_lines_come_and_then_what_was_printed_since(stack):
    record(stack, TRAINING)
    log(*(f"line {n}" for n in range(10)))
    page = ask(limit="3")
    assert texts(page) == ["line 7", "line 8", "line 9"]
    assert page.lines[0].job == "training"
    assert page.lines[0].at == NOW + timedelta(milliseconds=7)
    assert page.status is RunStatus.RUNNING
    assert texts(ask(next_token=page.next_token)) == []
    log("line 10", "line 11", "line 12", at=NOW + timedelta(seconds=1))
    found = []
    token = page.next_token
    for _ in range(3):
        later = ask(next_token=token, limit="2")
        found.append(texts(later))
        token = later.next_token
    assert found == [["line 10", "line 11"], ["line 12"], []]


def test_a_reader_goes_on_where_the_job_began_anew_and_with_the_next_job(stack):
    record(stack, TRAINING, EVALUATION)
    log("first machine")
    page = ask(job="training")
    log("second machine", stream="algo-1-1700009999")
    log("another host", stream="algo-2-1700000000")
    log("evaluates", job=EVALUATION)
    of_training = ask(job="training", next_token=page.next_token)
    assert texts(of_training) == ["second machine"]
    assert texts(ask(job="training", next_token=of_training.next_token)) == []
    of_all = ask(next_token=page.next_token)
    assert [(line.job, line.text) for line in of_all.lines] == [
        ("training", "second machine"),
        ("evaluation", "evaluates"),
    ]
    assert texts(ask(next_token=of_all.next_token)) == []


def test_without_a_token_the_job_that_printed_last_tells_and_any_job_may_be_named(stack):
    record(stack, TRAINING, EVALUATION)
    log("trains")
    assert texts(ask()) == ["trains"]
    log("evaluates", job=EVALUATION)
    assert texts(ask()) == ["evaluates"]
    assert texts(ask(job="training")) == ["trains"]


@pytest.mark.parametrize("jobs", [(), (TRAINING,)])
@pytest.mark.parametrize("others", [False, True])
def test_before_anything_is_printed_there_is_nothing_to_go_on_from(stack, jobs, others):
    record(stack, *jobs, status=RunStatus.FAILED)
    if others:
        log("of another run", job="gamedojo-test-other-train-1")
    assert ask() == LogPage(run_id=RUN, status=RunStatus.FAILED, lines=())


def test_secrets_are_unreadable_even_over_several_lines(stack):
    record(stack, TRAINING)
    log("key AKIAIOSFODNN7EXAMPLE", "-----BEGIN PRIVATE KEY-----", "abcd", "-----END PRIVATE KEY-----", "\x1b[2Jdone")
    assert texts(ask()) == ["key ***", "***", "", "", "\ufffd[2Jdone"]


def token(stream: Any, position: Any = None) -> str:
    return base64.urlsafe_b64encode(json.dumps([stream, position]).encode()).decode()


@pytest.mark.parametrize(
    "wrong",
    [
        "x",
        "é",
        base64.urlsafe_b64encode(b"[1]").decode(),
        base64.urlsafe_b64encode(b"{}").decode(),
        token(f"gamedojo-test-other-train-1/{STREAM}"),
        token(f"{TRAINING}0/{STREAM}"),
        token(f"{EVALUATION}/{STREAM}"),
        token(f"{TRAINING}/nowhere"),
        token(7),
        token(f"{TRAINING}/{STREAM}", 7),
        token(f"{TRAINING}/\ud800"),
        token(f"{TRAINING}/{STREAM}", "f/\ud800"),
        base64.urlsafe_b64encode(b"[" * 100_000).decode(),
    ],
)
def test_a_token_that_is_none_of_this_runs_is_refused(stack, wrong):
    record(stack, TRAINING)
    log("a secret of another run", job="gamedojo-test-other-train-1")
    log("ours")
    answer = call("GET", f"/training-runs/{RUN}/logs", query={"next_token": wrong})
    assert problem(answer, 400).code == "InvalidRequest"


@pytest.mark.parametrize(("name", "text"), [("job", "serving"), ("limit", "0"), ("limit", "501"), ("limit", "all")])
def test_what_cannot_be_chosen_is_named(stack, name, text):
    record(stack, TRAINING)
    answer = call("GET", f"/training-runs/{RUN}/logs", query={name: text})
    assert [one.field for one in problem(answer, 400).errors] == [name]


def test_of_an_unknown_run_nothing_is_told(stack):
    assert problem(call("GET", "/training-runs/basic-0000/logs"), 404).code == "RunNotFound"


def read_with(stack, *answers: tuple[str, Any]) -> LogPage:
    """What is answered where CloudWatch Logs answers so to what comes after a token."""
    from control_read import app

    logs = moto_client("logs")
    with Stubber(logs) as stub:
        for operation, answer in answers:
            if isinstance(answer, str):
                stub.add_client_error(operation, answer, http_status_code=400)
            else:
                stub.add_response(operation, answer)
        query = LogQuery(next_token=token(f"{TRAINING}/{STREAM}", "f/0"))
        page = Logs(app._runs(), logs).read(RUN, query)
        stub.assert_no_pending_responses()
    return page


def page_of(position: str, *lines: str) -> Any:
    events = [{"timestamp": 1000, "message": line, "ingestionTime": 1000} for line in lines]
    return ("get_log_events", {"events": events, "nextForwardToken": position, "nextBackwardToken": "b/0"})


def test_an_empty_page_before_the_end_is_passed_over(stack):
    record(stack, TRAINING)
    end = ("describe_log_streams", {"logStreams": [{"logStreamName": f"{TRAINING}/{STREAM}"}]})
    page = read_with(stack, page_of("f/1"), page_of("f/2", "line"), page_of("f/2"), end)
    assert texts(page) == ["line"]
    assert page.next_token == token(f"{TRAINING}/{STREAM}", "f/2")


def test_pages_that_stay_empty_are_left_to_the_next_request(stack):
    record(stack, TRAINING)
    page = read_with(stack, *(page_of(f"f/{n}") for n in range(1, 7)))
    assert page.next_token == token(f"{TRAINING}/{STREAM}", "f/6")


@pytest.mark.parametrize(
    ("code", "error"), [("InvalidParameterException", "InvalidRequest"), ("ThrottlingException", "Throttled")]
)
def test_what_cloudwatch_refuses_is_told_as_what_it_is(stack, code, error):
    from pipeline.errors import PipelineError

    record(stack, TRAINING)
    with pytest.raises(PipelineError) as raised:
        read_with(stack, ("get_log_events", code))
    assert raised.value.code() == error


def test_where_no_job_has_ever_printed_there_is_no_log_group(stack):
    record(stack, TRAINING)
    with pytest.raises(clients.logs().exceptions.ResourceNotFoundException):
        clients.logs().describe_log_streams(logGroupName=GROUP)
    assert ask().lines == ()
