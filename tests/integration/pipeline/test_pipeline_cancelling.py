"""DELETE /training-runs/{run_id} ends a run from any state, twice as well as once, and nothing of it stays behind."""

import io
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.contracts.run import RunRecord, RunStatus
from tests.fakes.control_calls import call, document, problem
from tests.fakes.fault_invariants import assert_whole, sweep_up
from tests.fakes.pipeline_stack import PipelineStack
from tests.fakes.run_documents import CHAIN
from tests.fakes.sagemaker_double import IN_PROGRESS, refused

STATES = CHAIN[1:-1]
"""In which a run can be met: it is admitted first and finished last."""


def run_id_of(stack: PipelineStack) -> str:
    return stack.newest().run_id


def cancel(stack: PipelineStack) -> RunRecord:
    answer = call("DELETE", f"/training-runs/{run_id_of(stack)}")
    return document(answer, RunRecord, answer["statusCode"])


def once_before(state: str, action: Callable[[], Any]) -> Callable[[str, str], None]:
    """Do it before the first task of this state begins."""
    left = [action]

    def turn(execution: str, entered: str) -> None:
        if entered == state and left:
            left.pop()()

    return turn


def once_within(stack: PipelineStack, operation: str, action: Callable[[], Any]) -> None:
    """Do it while SageMaker is at this call: what it was asked for is made, and answered afterwards."""
    method = "".join("_" + letter.lower() if letter.isupper() else letter for letter in operation).lstrip("_")
    asked = getattr(stack.sagemaker, method)
    left = [action]

    def call_it(**request: Any) -> Any:
        if left:
            left.pop()()
        return asked(**request)

    setattr(stack.sagemaker, method, call_it)


def assert_cancelled(stack: PipelineStack, record: RunRecord) -> None:
    assert record.status is RunStatus.CANCELLED
    assert record.failure is None
    assert record.finished_at is not None
    assert not record.is_open
    assert_whole(stack)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("times", [1, 2])
def test_a_run_is_cancelled_in_any_state_and_nothing_stays_behind(
    stack: PipelineStack, basic: bytes, state: str, times: int
) -> None:
    stack.turn = once_before(state, lambda: [cancel(stack) for _ in range(times)])
    execution = stack.execute(stack.put("builds/basic.zip", basic))
    following = execution["states"][execution["states"].index(state) + 1 :]
    assert set(following) <= {"FinishRun", "HasFailed", "RunEnded"}, "no state goes on with it"
    sweep_up(stack)
    assert_cancelled(stack, stack.newest())
    assert stack.sagemaker.endpoints == {}


@pytest.mark.parametrize(
    ("operation", "state"),
    [
        ("CreateTrainingJob", "StartTraining"),
        ("CreateTrainingJob", "StartEvaluation"),
        ("CreateEndpoint", "DeployEndpoint"),
    ],
)
def test_what_is_being_made_while_the_run_is_cancelled_is_taken_back(
    stack: PipelineStack, basic: bytes, operation: str, state: str
) -> None:
    """The sweeper has come and gone when SageMaker makes it."""

    def cancel_and_clean() -> None:
        cancel(stack)
        sweep_up(stack)
        assert not stack.newest().is_open

    stack.turn = once_before(state, lambda: once_within(stack, operation, cancel_and_clean))
    stack.execute(stack.put("builds/basic.zip", basic))
    sweep_up(stack)
    assert_cancelled(stack, stack.newest())
    assert stack.sagemaker.endpoints == {}


def test_an_endpoint_that_the_run_was_updating_goes_back_to_what_it_served(stack: PipelineStack, basic: bytes) -> None:
    stack.returns = [0.8, 0.93]
    stack.execute(stack.put("builds/basic.zip", basic))
    first = run_id_of(stack)
    stack.turn = once_before("VerifyEndpoint", lambda: cancel(stack))
    stack.execute(stack.put("builds/basic.zip", basic + b"\0"))
    assert run_id_of(stack) != first
    sweep_up(stack)
    assert_cancelled(stack, stack.newest())
    assert stack.policies.version_in_service("basic") == first


def test_the_execution_that_could_not_be_stopped_ends_itself(
    stack: PipelineStack, basic: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every later state finds that its run is over."""
    monkeypatch.setattr("pipeline.aws.executions.stop", lambda client, arn: None)
    stack.turn = once_before("CheckTraining", lambda: cancel(stack))
    execution = stack.execute(stack.put("builds/basic.zip", basic))
    assert execution["states"][-1] == "RunEnded"
    assert_cancelled(stack, stack.newest())
    assert execution["states"].count("CheckTraining") == 1


def test_an_execution_that_still_runs_is_stopped_by_the_sweeper(stack: PipelineStack, basic: bytes) -> None:
    def cancel_without_an_answer() -> None:
        stack.sfn.stop_execution, stop = _away, stack.sfn.stop_execution
        try:
            problem(call("DELETE", f"/training-runs/{run_id_of(stack)}"), 503)
        finally:
            stack.sfn.stop_execution = stop
        assert stack.newest().status is RunStatus.CANCELLED
        sweep_up(stack)

    stack.turn = once_before("CheckTraining", cancel_without_an_answer)
    execution = stack.execute(stack.put("builds/basic.zip", basic))
    assert execution["states"].count("CheckTraining") == 1
    sweep_up(stack)
    assert_cancelled(stack, stack.newest())


def test_what_cannot_be_stopped_at_once_is_stopped_later(stack: PipelineStack, basic: bytes) -> None:
    stack.sagemaker.script = lambda step, request: [IN_PROGRESS] * 50
    stack.turn = once_before("CheckTraining", lambda: cancel(stack))
    stack.execute(stack.put("builds/basic.zip", basic))
    stack.sagemaker.faults["StopTrainingJob"] = [refused("StopTrainingJob", "ThrottlingException")]
    sweep_up(stack)
    assert_cancelled(stack, stack.newest())


@pytest.mark.parametrize("status", [RunStatus.SUCCEEDED, RunStatus.KEPT, RunStatus.FAILED])
def test_a_run_that_is_over_stays_as_it_was(stack: PipelineStack, basic: bytes, status: RunStatus) -> None:
    if status is RunStatus.KEPT:
        stack.returns = [-10.0]
    if status is RunStatus.FAILED:
        stack.sagemaker.script = lambda step, request: [{"TrainingJobStatus": "Failed", "SecondaryStatus": "Failed"}]
    options = '{"evaluation": {"min_mean_return": 0.5}}'
    _, record = stack.run(stack.put("builds/basic.zip", with_options(basic, options)))
    assert record.status is status
    answer = call("DELETE", f"/training-runs/{record.run_id}")
    assert document(answer, RunRecord, 200) == record
    sweep_up(stack)
    assert stack.newest() == record
    assert_whole(stack)


def test_the_answer_says_whether_anything_is_left_to_take_back(stack: PipelineStack, basic: bytes) -> None:
    answers: list[Any] = []
    stack.turn = once_before(
        "CheckTraining", lambda: answers.append(call("DELETE", f"/training-runs/{run_id_of(stack)}"))
    )
    stack.execute(stack.put("builds/basic.zip", basic))
    assert [answer["statusCode"] for answer in answers] == [202]
    sweep_up(stack)
    assert call("DELETE", f"/training-runs/{run_id_of(stack)}")["statusCode"] == 200


def test_a_posted_run_is_cancelled_before_its_record_is_there(stack: PipelineStack, basic: bytes) -> None:
    stack.put("uploads/1/Basic.zip", basic)
    made: list[str] = []

    def cancel_it(execution: str, state: str) -> None:
        if state == "AdmitRun" and not made:
            made.append(execution.rpartition(":")[2])
            record = document(call("DELETE", f"/training-runs/{made[0]}"), RunRecord, 202)
            assert record.status is RunStatus.CANCELLED

    stack.turn = cancel_it
    started = call("POST", "/training-runs", {"build": {"key": "uploads/1/Basic.zip"}})
    assert started["statusCode"] == 202
    stack.wait_for_executions()
    sweep_up(stack)
    assert_cancelled(stack, stack.runs.get(made[0]))
    assert stack.sagemaker.jobs == {}


def test_the_same_request_after_a_cancelled_run_is_another_attempt(stack: PipelineStack, basic: bytes) -> None:
    stack.put("uploads/1/Basic.zip", basic)
    stack.turn = once_before("CheckTraining", lambda: cancel(stack))
    request = {"build": {"key": "uploads/1/Basic.zip"}}
    for _ in range(2):
        assert call("POST", "/training-runs", request)["statusCode"] == 202
        stack.wait_for_executions()
    sweep_up(stack)
    newest, oldest = stack.runs.list().runs
    assert (oldest.status, newest.status) == (RunStatus.CANCELLED, RunStatus.SUCCEEDED)
    assert_whole(stack)


@pytest.mark.parametrize("run_id", ["nobody-0123456789ab", "No Run"])
def test_an_unknown_run_is_not_found(stack: PipelineStack, run_id: str) -> None:
    assert problem(call("DELETE", f"/training-runs/{run_id}"), 404).code == "RunNotFound"


def _away(**request: Any) -> Any:
    raise refused("StopExecution", "ServiceUnavailable", status=503)


def with_options(build: bytes, options: str) -> bytes:
    buffer = io.BytesIO(build)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("gamedojo.json", options)
    return buffer.getvalue()
