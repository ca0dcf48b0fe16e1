"""What FinishRun did not finish is finished by the sweeper: told by an event, or found by the schedule."""

from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest

from pipeline.contracts.run import RunRecord, RunStatus
from pipeline.errors import ServiceUnavailableError, ThrottledError
from pipeline.steps import sweeping
from tests.fakes.pipeline_stack import PipelineStack
from tests.fakes.sagemaker_double import COMPLETED, IN_PROGRESS, refused

LONG_ENOUGH = 9  # FinishRun is tried so often


@pytest.fixture(autouse=True)
def _later() -> Any:
    """Records are old enough to be looked at."""
    with patch.object(sweeping, "_GRACE", timedelta(0)):
        yield


def ended_event(execution: dict[str, Any], machine_arn: str) -> dict[str, Any]:
    detail = {
        "executionArn": execution["executionArn"],
        "stateMachineArn": machine_arn,
        "status": execution["status"],
    }
    return {"source": "aws.states", "detail-type": "Step Functions Execution Status Change", "detail": detail}


def break_finish_run(stack: PipelineStack) -> None:
    stack.broken["FinishRun"] = [ServiceUnavailableError("DynamoDB is away.")] * LONG_ENOUGH


def stop_at(stack: PipelineStack, operation: str) -> None:
    """Somebody stops the execution while SageMaker is asked for this."""
    asked = stack.sagemaker._call

    def call(name: str, request: dict[str, Any]) -> None:
        asked(name, request)
        if name == operation:
            running = stack.sfn.list_executions(stateMachineArn=stack.machine_arn, statusFilter="RUNNING")
            for execution in running["executions"]:
                stack.sfn.stop_execution(executionArn=execution["executionArn"])

    stack.sagemaker._call = call  # type: ignore[method-assign]


def assert_ended(stack: PipelineStack, record: RunRecord, *words: str) -> None:
    assert (record.status, record.is_open) == (RunStatus.FAILED, False)
    assert record.failure is not None
    assert record.failure.code == "ExecutionEnded"
    assert [word for word in words if word not in record.failure.cause] == []
    assert "Start the run again" in record.failure.remedy
    assert stack.sagemaker.running_jobs == []
    assert list(stack.runs.open_runs()) == []
    stack.policies.acquire_lease(record.policy, "somebody-else", 0)
    (message,) = stack.messages()
    assert message["status"] == "FAILED"


@pytest.mark.parametrize("told", [True, False], ids=["by the event", "by the schedule"])
def test_a_run_whose_finish_run_failed_to_the_last_try_is_ended(stack: PipelineStack, basic: bytes, told: bool) -> None:
    break_finish_run(stack)
    stack.sagemaker.script = lambda step, request: [
        IN_PROGRESS,
        {"TrainingJobStatus": "Failed", "SecondaryStatus": "Failed"},
    ]
    execution, record = stack.run(stack.put("builds/basic.zip", basic))
    assert (execution["status"], record.status) == ("FAILED", RunStatus.RUNNING)
    swept = stack.sweep(ended_event(execution, stack.machine_arn) if told else None)
    assert swept["ended_runs"] == [record.run_id]
    assert_ended(stack, stack.newest(), "failed before the run was finished")


@pytest.mark.parametrize("told", [True, False], ids=["by the event", "by the schedule"])
def test_a_run_whose_execution_was_stopped_by_somebody_is_ended_and_its_job_too(
    stack: PipelineStack, basic: bytes, told: bool
) -> None:
    stop_at(stack, "DescribeTrainingJob")
    stack.sagemaker.script = lambda step, request: [IN_PROGRESS] * 50
    execution, record = stack.run(stack.put("builds/basic.zip", basic))
    assert (execution["status"], record.status) == ("ABORTED", RunStatus.RUNNING)
    assert len(stack.sagemaker.running_jobs) == 1
    swept = stack.sweep(ended_event(execution, stack.machine_arn) if told else None)
    assert swept["ended_runs"] == [record.run_id]
    assert_ended(stack, stack.newest(), "was stopped in Step Functions")


@pytest.mark.parametrize("posted", [False, True], ids=["dropped", "posted"])
def test_an_execution_that_was_stopped_before_its_run_was_written_down(
    stack: PipelineStack, basic: bytes, posted: bool
) -> None:
    stack.broken["AdmitRun"] = [ThrottledError("slow down")] * LONG_ENOUGH
    break_finish_run(stack)
    event = stack.put("builds/basic.zip", basic)
    if posted:
        request_key = "runs/basic-0123456789ab/request.json"
        stack.put(request_key, b'{"build": {"key": "builds/basic.zip"}}')
        event = {"source": "gamedojo.api", "run_id": "basic-0123456789ab", "request_key": request_key}
    execution = stack.execute(event)
    assert stack.runs.list().runs == ()
    (run_id,) = stack.sweep(ended_event(execution, stack.machine_arn))["ended_runs"]
    assert_ended(stack, stack.runs.get(run_id))


def test_a_second_look_at_what_is_finished_changes_and_tells_nothing(stack: PipelineStack, basic: bytes) -> None:
    stack.sagemaker.script = lambda step, request: [{"TrainingJobStatus": "Failed", "SecondaryStatus": "Failed"}]
    execution, record = stack.run(stack.put("builds/basic.zip", basic))
    assert len(stack.messages()) == 1
    for event in (ended_event(execution, stack.machine_arn), None):
        stack.sweep(event)
        assert stack.newest() == record
        assert stack.messages() == []


def test_a_run_in_service_survives_every_sweep(stack: PipelineStack, basic: bytes) -> None:
    execution, record = stack.run(stack.put("builds/basic.zip", basic))
    stack.sweep(ended_event(execution, stack.machine_arn))
    stack.sweep()
    assert stack.newest() == record
    assert record.endpoint is not None
    assert record.endpoint.name in stack.sagemaker.endpoints


def test_a_run_that_goes_on_is_left_alone(stack: PipelineStack, basic: bytes) -> None:
    looks: list[dict[str, Any]] = []
    asked = stack.sagemaker._call

    def call(name: str, request: dict[str, Any]) -> None:
        asked(name, request)
        if name == "DescribeTrainingJob" and not looks:
            looks.append({})  # the sweep itself describes jobs
            looks[0] = stack.sweep()

    stack.sagemaker._call = call  # type: ignore[method-assign]
    _, record = stack.run(stack.put("builds/basic.zip", basic))
    assert looks == [{"ended_runs": [], "stopped_jobs": []}]
    assert record.status is RunStatus.SUCCEEDED


def test_what_could_not_be_cleaned_up_is_cleaned_up_by_a_later_sweep(stack: PipelineStack, basic: bytes) -> None:
    stack.sagemaker.script = lambda step, request: [IN_PROGRESS] * 50
    stop_at(stack, "DescribeTrainingJob")
    execution, record = stack.run(stack.put("builds/basic.zip", basic))
    stack.sagemaker.faults["StopTrainingJob"] = [refused("StopTrainingJob", "ThrottlingException")]
    with pytest.raises(ThrottledError):
        stack.sweep(ended_event(execution, stack.machine_arn))
    record = stack.newest()
    assert (record.status, record.cleanup_pending) == (RunStatus.FAILED, True)
    assert len(stack.sagemaker.running_jobs) == 1
    stack.sweep()
    assert_ended(stack, stack.newest(), "was stopped in Step Functions")


def test_a_message_that_could_not_be_sent_is_sent_by_a_later_sweep(stack: PipelineStack, basic: bytes) -> None:
    with patch("pipeline.steps.finishing.notifications.publish_outcome", side_effect=ThrottledError("slow down")):
        _, record = stack.run(stack.put("builds/basic.zip", basic))
    assert (record.status, record.notified, record.is_open) == (RunStatus.SUCCEEDED, False, True)
    assert stack.messages() == []
    stack.sweep()
    (message,) = stack.messages()
    assert (message["run_id"], message["status"]) == (record.run_id, "SUCCEEDED")
    assert stack.newest() == record.model_copy(update={"notified": True, "cleanup_pending": False})


@pytest.mark.parametrize("known", [True, False], ids=["of a run that is over", "of no run"])
def test_a_job_that_no_run_wants_any_more_is_stopped(stack: PipelineStack, basic: bytes, known: bool) -> None:
    _, record = stack.run(stack.put("builds/basic.zip", basic))
    job = next(iter(stack.sagemaker.jobs.values()))
    request = dict(job.request, TrainingJobName="gamedojo-test-lost-train-1")
    if not known:
        request["Environment"] = {"GAMEDOJO_RUN_ID": "nobody-0123456789ab"}
    stack.sagemaker.script = lambda step, request: [IN_PROGRESS]
    stack.sagemaker.create_training_job(**request)
    assert stack.sweep()["stopped_jobs"] == ["gamedojo-test-lost-train-1"]
    assert stack.sagemaker.running_jobs == []
    assert stack.newest() == record


def test_jobs_of_other_stages_and_of_strangers_are_left_alone(stack: PipelineStack, basic: bytes) -> None:
    stack.run(stack.put("builds/basic.zip", basic))
    job = next(iter(stack.sagemaker.jobs.values()))
    stack.sagemaker.script = lambda step, request: [IN_PROGRESS]
    for name, environment in (
        ("gamedojo-testing-x-train-1", job.request["Environment"]),
        ("gamedojo-test-by-hand", {}),
    ):
        stack.sagemaker.create_training_job(**dict(job.request, TrainingJobName=name, Environment=environment))
    assert stack.sweep()["stopped_jobs"] == []
    assert len(stack.sagemaker.running_jobs) == 2


def test_a_job_that_was_just_created_is_not_yet_judged(stack: PipelineStack, basic: bytes) -> None:
    stack.run(stack.put("builds/basic.zip", basic))
    job = next(iter(stack.sagemaker.jobs.values()))
    stack.sagemaker.script = lambda step, request: [IN_PROGRESS]
    request = dict(job.request, TrainingJobName="gamedojo-test-x-train-1")
    request["Environment"] = {"GAMEDOJO_RUN_ID": "x-0123456789ab"}  # its record is not visible yet
    stack.sagemaker.create_training_job(**request)
    with patch.object(sweeping, "_GRACE", timedelta(days=100_000)):
        assert stack.sweep() == {"ended_runs": [], "stopped_jobs": []}


def test_one_run_that_cannot_be_finished_now_holds_up_no_other(stack: PipelineStack, basic: bytes) -> None:
    stack.sagemaker.script = lambda step, request: [IN_PROGRESS] * 50
    stop_at(stack, "DescribeTrainingJob")
    for name in ("one", "two"):
        stack.execute(stack.put(f"builds/{name}.zip", basic))
    stack.sagemaker.faults["StopTrainingJob"] = [refused("StopTrainingJob", "ThrottlingException")]
    with pytest.raises(ThrottledError):
        stack.sweep()
    assert {record.status for record in stack.runs.list().runs} == {RunStatus.FAILED}
    stack.sweep()
    assert stack.sagemaker.running_jobs == []
    assert list(stack.runs.open_runs()) == []


def test_an_event_of_another_machine_or_of_an_execution_that_goes_on_does_nothing(
    stack: PipelineStack, basic: bytes
) -> None:
    stack.sagemaker.script = lambda step, request: [COMPLETED]
    execution, _ = stack.run(stack.put("builds/basic.zip", basic))
    event = ended_event(execution | {"executionArn": execution["executionArn"] + "-unknown"}, stack.machine_arn)
    assert stack.sweep(event) == {"ended_runs": [], "stopped_jobs": []}
