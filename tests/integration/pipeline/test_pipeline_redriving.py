"""POST /training-runs/{run_id}/redrive: what was completed stays, what failed is done anew."""

from typing import Any

import pytest

from pipeline.contracts.run import RunRecord, RunStatus
from tests.fakes.control_calls import call, document, problem
from tests.fakes.fault_invariants import sweep_up
from tests.fakes.pipeline_stack import PipelineStack
from tests.fakes.sagemaker_double import COMPLETED, IN_PROGRESS, refused
from tests.integration.pipeline.test_pipeline_cancelling import cancel, once_before

BROKEN: dict[str, Any] = {"TrainingJobStatus": "Failed", "SecondaryStatus": "Failed", "FailureReason": "AlgorithmError"}


def redrive(stack: PipelineStack, run_id: str) -> RunRecord:
    record = document(call("POST", f"/training-runs/{run_id}/redrive"), RunRecord, 202)
    stack.wait_for_executions()
    return record


def fail_once(stack: PipelineStack, step: str) -> None:
    """The first job of this step fails, later ones do well."""
    left = [BROKEN]
    stack.sagemaker.script = lambda made, request: [IN_PROGRESS, left.pop() if made == step and left else COMPLETED]


def jobs(stack: PipelineStack) -> list[str]:
    return [name.split("-", 3)[3] for name in stack.sagemaker.jobs]


def assert_in_service(stack: PipelineStack, record: RunRecord) -> None:
    assert (record.status, record.failure, record.is_open) == (RunStatus.SUCCEEDED, None, False)
    assert stack.policies.version_in_service(record.policy) == record.run_id
    assert stack.sagemaker.running_jobs == []


@pytest.mark.parametrize(
    ("step", "expected"),
    [("train", ["train-1", "train-2", "eval-2"]), ("evaluate", ["train-1", "eval-1", "eval-2"])],
)
def test_a_job_that_failed_is_done_anew_and_one_that_completed_is_not(
    stack: PipelineStack, basic: bytes, step: str, expected: list[str]
) -> None:
    fail_once(stack, step)
    _, failed = stack.run(stack.put("builds/basic.zip", basic))
    assert failed.status is RunStatus.FAILED
    redrive(stack, failed.run_id)
    record = stack.runs.get(failed.run_id)
    assert_in_service(stack, record)
    assert [name.removeprefix(f"{failed.run_id.rpartition('-')[2]}-") for name in jobs(stack)] == expected
    assert [message["status"] for message in stack.messages()] == ["FAILED", "SUCCEEDED"]


def test_the_training_goes_on_from_its_checkpoints(stack: PipelineStack, basic: bytes) -> None:
    fail_once(stack, "train")
    _, failed = stack.run(stack.put("builds/basic.zip", basic))
    redrive(stack, failed.run_id)
    trainings = [job.request for name, job in stack.sagemaker.jobs.items() if "-train-" in name]
    (checkpoints,) = {request["CheckpointConfig"]["S3Uri"] for request in trainings}
    assert checkpoints.endswith(f"runs/{failed.run_id}/checkpoints/")


def test_a_deployment_that_failed_is_tried_again_without_any_job(stack: PipelineStack, basic: bytes) -> None:
    stack.sagemaker.endpoint_script = lambda name: ["Failed"]
    _, failed = stack.run(stack.put("builds/basic.zip", basic))
    assert failed.failure is not None
    made = jobs(stack)
    stack.sagemaker.endpoint_script = lambda name: ["InService"]
    redrive(stack, failed.run_id)
    assert_in_service(stack, stack.runs.get(failed.run_id))
    assert jobs(stack) == made


def test_the_record_keeps_how_it_went_before(stack: PipelineStack, basic: bytes) -> None:
    fail_once(stack, "train")
    _, failed = stack.run(stack.put("builds/basic.zip", basic))
    redrive(stack, failed.run_id)
    record = stack.runs.get(failed.run_id)
    (earlier,) = record.earlier
    assert (earlier.failure, earlier.history) == (failed.failure, failed.history)
    assert earlier.execution_arn == failed.execution_arn != record.execution_arn
    assert record.history[0].state == "AdmitRun"
    assert record.created_at == failed.created_at


def test_a_cancelled_run_is_redriven(stack: PipelineStack, basic: bytes) -> None:
    stack.turn = once_before("CheckTraining", lambda: cancel(stack))
    stack.execute(stack.put("builds/basic.zip", basic))
    run_id = stack.newest().run_id
    answer = problem(call("POST", f"/training-runs/{run_id}/redrive"), 503)
    assert answer.code == "NotYetConsistent", "it is still being cleaned up"
    sweep_up(stack)
    redrive(stack, run_id)
    assert_in_service(stack, stack.runs.get(run_id))


def test_a_run_may_be_redriven_again_and_again(stack: PipelineStack, basic: bytes) -> None:
    left = [BROKEN] * 3
    stack.sagemaker.script = lambda made, request: [left.pop() if left else COMPLETED]
    _, record = stack.run(stack.put("builds/basic.zip", basic))
    for _ in range(3):
        redrive(stack, record.run_id)
    record = stack.runs.get(record.run_id)
    assert_in_service(stack, record)
    assert [one.status for one in record.earlier] == [RunStatus.FAILED] * 3


def test_asking_twice_starts_one_execution(stack: PipelineStack, basic: bytes) -> None:
    fail_once(stack, "train")
    _, failed = stack.run(stack.put("builds/basic.zip", basic))
    answers: list[int] = []
    stack.turn = once_before(
        "AdmitRun", lambda: answers.append(call("POST", f"/training-runs/{failed.run_id}/redrive")["statusCode"])
    )
    redrive(stack, failed.run_id)
    assert answers == [202]
    executions = stack.sfn.list_executions(stateMachineArn=stack.machine_arn)["executions"]
    assert len(executions) == 2
    assert_in_service(stack, stack.runs.get(failed.run_id))


def test_a_start_whose_answer_was_lost_is_made_up_for(
    stack: PipelineStack, basic: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_once(stack, "train")
    _, failed = stack.run(stack.put("builds/basic.zip", basic))
    with monkeypatch.context() as broken:
        broken.setattr(stack.sfn, "start_execution", _away)
        problem(call("POST", f"/training-runs/{failed.run_id}/redrive"), 503)
    assert stack.runs.get(failed.run_id).status is RunStatus.RUNNING
    redrive(stack, failed.run_id)
    assert_in_service(stack, stack.runs.get(failed.run_id))


def test_a_start_that_nobody_makes_up_for_is_ended_by_the_sweeper(
    stack: PipelineStack, basic: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_once(stack, "train")
    _, failed = stack.run(stack.put("builds/basic.zip", basic))
    with monkeypatch.context() as broken:
        broken.setattr(stack.sfn, "start_execution", _away)
        problem(call("POST", f"/training-runs/{failed.run_id}/redrive"), 503)
    sweep_up(stack)
    record = stack.runs.get(failed.run_id)
    assert (record.status, record.is_open) == (RunStatus.FAILED, False)
    redrive(stack, failed.run_id)
    assert_in_service(stack, stack.runs.get(failed.run_id))


def test_what_tells_late_of_an_earlier_attempt_ends_nothing(stack: PipelineStack, basic: bytes) -> None:
    """The event of the first execution's end is delivered again while the second attempt goes on."""
    fail_once(stack, "train")
    execution, failed = stack.run(stack.put("builds/basic.zip", basic))
    detail = {
        "executionArn": execution["executionArn"],
        "stateMachineArn": stack.machine_arn,
        "status": execution["status"],
    }
    event = {"source": "aws.states", "detail-type": "Step Functions Execution Status Change", "detail": detail}
    swept: list[Any] = []
    stack.turn = once_before("CheckTraining", lambda: swept.append(stack.sweep(event)))
    redrive(stack, failed.run_id)
    assert swept == [{"ended_runs": [], "stopped_jobs": []}]
    assert_in_service(stack, stack.runs.get(failed.run_id))


def test_a_job_that_an_earlier_attempt_left_running_is_stopped(stack: PipelineStack, basic: bytes) -> None:
    """A Lambda of the first attempt was at work when that was ended, and made its job after the redrive."""
    fail_once(stack, "train")
    _, failed = stack.run(stack.put("builds/basic.zip", basic))
    request = next(iter(stack.sagemaker.jobs.values())).request

    def make_it() -> None:
        script, stack.sagemaker.script = stack.sagemaker.script, lambda step, request: [IN_PROGRESS]
        stack.sagemaker.create_training_job(**dict(request, TrainingJobName="gamedojo-test-late-train-1"))
        stack.sagemaker.script = script
        sweep_up(stack)

    stack.turn = once_before("CheckTraining", make_it)
    redrive(stack, failed.run_id)
    assert_in_service(stack, stack.runs.get(failed.run_id))


@pytest.mark.parametrize("status", [RunStatus.SUCCEEDED, RunStatus.RUNNING])
def test_only_what_failed_is_redriven(stack: PipelineStack, basic: bytes, status: RunStatus) -> None:
    answers: list[Any] = []

    def ask() -> None:
        answers.append(problem(call("POST", f"/training-runs/{stack.newest().run_id}/redrive"), 409))

    if status is RunStatus.RUNNING:
        stack.turn = once_before("CheckTraining", ask)
    stack.execute(stack.put("builds/basic.zip", basic))
    if status is RunStatus.SUCCEEDED:
        ask()
    assert [answer.code for answer in answers] == ["Conflict"]
    assert status.value in answers[0].detail
    assert_in_service(stack, stack.newest())


def test_a_run_that_has_lost_its_build_is_not_redriven(stack: PipelineStack, basic: bytes) -> None:
    fail_once(stack, "train")
    _, failed = stack.run(stack.put("builds/basic.zip", basic))
    stack.s3.delete_object(Bucket="gamedojo-test-bucket", Key=failed.build_key)
    assert "no build" in problem(call("POST", f"/training-runs/{failed.run_id}/redrive"), 409).detail
    assert stack.runs.get(failed.run_id) == failed


@pytest.mark.parametrize("run_id", ["nobody-0123456789ab", "No Run"])
def test_an_unknown_run_is_not_found(stack: PipelineStack, run_id: str) -> None:
    assert problem(call("POST", f"/training-runs/{run_id}/redrive"), 404).code == "RunNotFound"


def _away(**request: Any) -> Any:
    raise refused("StartExecution", "ServiceUnavailable", status=503)
