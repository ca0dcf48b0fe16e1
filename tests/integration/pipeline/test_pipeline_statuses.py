"""Every status and secondary status that SageMaker's model knows, and one that it does not, leads somewhere."""

import itertools
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from botocore.loaders import Loader

from pipeline.contracts.run import RunStatus
from pipeline.steps import jobs
from tests.fakes.pipeline_stack import BETTER_AND_BETTER, PREFIX, PipelineStack
from tests.fakes.sagemaker_double import COMPLETED, IN_PROGRESS

UNKNOWN = "Hibernating"
ENDS_WELL = {"Completed"}
GOES_ON = {"InProgress", "Stopping", UNKNOWN}
FAILURES = {"Failed", "Stopped", "Deleting"}
SECONDARY_OF_AN_END = {"Completed", "Failed", "Stopped", "MaxRuntimeExceeded", "MaxWaitTimeExceeded"}


@cache
def enum(shape: str) -> list[str]:
    return list(Loader().load_service_model("sagemaker", "service-2")["shapes"][shape]["enum"])


def run_with(stack: PipelineStack, basic: bytes, step: str, *looks: dict[str, Any]) -> Any:
    stack.sagemaker.script = lambda made, request: list(looks) if made == step else [COMPLETED]
    return stack.run(stack.put("builds/basic.zip", basic))


def test_what_is_said_here_is_what_the_model_knows() -> None:
    assert set(enum("TrainingJobStatus")) | {UNKNOWN} == ENDS_WELL | GOES_ON | FAILURES
    assert set(enum("SecondaryStatus")) >= SECONDARY_OF_AN_END


@pytest.mark.parametrize("step", ["train", "evaluate"])
@pytest.mark.parametrize("status", sorted(FAILURES))
@pytest.mark.parametrize("secondary", ["Failed", "Stopped", "MaxRuntimeExceeded", "MaxWaitTimeExceeded", UNKNOWN])
def test_a_job_that_ended_otherwise_than_well_fails_the_run_at_once(
    stack: PipelineStack, basic: bytes, step: str, status: str, secondary: str
) -> None:
    bad = {"TrainingJobStatus": status, "SecondaryStatus": secondary}
    execution, record = run_with(stack, basic, step, bad)
    state = {"train": "CheckTraining", "evaluate": "CheckEvaluation"}[step]
    assert (execution["status"], record.status) == ("FAILED", RunStatus.FAILED)
    assert record.failure is not None
    assert record.failure.state == state
    assert record.failure.cause
    assert record.failure.remedy
    assert execution["states"].count(state) == 1, "nothing is waited for any more"
    assert stack.sagemaker.endpoints == {}


@pytest.mark.parametrize("secondary", [*enum("SecondaryStatus"), UNKNOWN])
@pytest.mark.parametrize("status", sorted(GOES_ON))
def test_a_job_that_goes_on_is_waited_for_whatever_it_is_doing(
    stack: PipelineStack, basic: bytes, status: str, secondary: str
) -> None:
    going_on = {"TrainingJobStatus": status, "SecondaryStatus": secondary}
    execution, record = run_with(stack, basic, "train", going_on, going_on, COMPLETED)
    assert (execution["status"], record.status) == ("SUCCEEDED", RunStatus.SUCCEEDED)
    assert execution["states"].count("CheckTraining") == 3


def test_a_job_that_goes_on_for_good_is_stopped_at_our_own_deadline(
    stack: PipelineStack, basic: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = itertools.count()
    monkeypatch.setattr(jobs, "now", lambda: datetime(2025, 1, 1, tzinfo=UTC) + timedelta(days=next(days)))
    stack.sagemaker.script = lambda step, request: [IN_PROGRESS]
    _, record = stack.run(stack.put("builds/basic.zip", basic))
    assert record.failure is not None
    assert record.failure.code == "DeadlineExceeded"
    assert "is still InProgress" in record.failure.cause
    assert stack.sagemaker.running_jobs == []


CHANGES = {"Creating", "Updating", "SystemUpdating", "RollingBack", UNKNOWN}
BROKEN = {"OutOfService", "Deleting", "Failed", "UpdateRollbackFailed"}


def test_what_is_said_here_of_endpoints_is_what_the_model_knows() -> None:
    assert set(enum("EndpointStatus")) | {UNKNOWN} == CHANGES | BROKEN | {"InService"}


@pytest.mark.parametrize("status", sorted(CHANGES))
def test_an_endpoint_that_changes_is_waited_for(stack: PipelineStack, basic: bytes, status: str) -> None:
    stack.sagemaker.endpoint_script = lambda name: [status, status, "InService"]
    execution, record = stack.run(stack.put("builds/basic.zip", basic))
    assert record.status is RunStatus.SUCCEEDED
    assert execution["states"].count("CheckEndpoint") == 4, "Creating, and what follows"


@pytest.mark.parametrize("status", sorted(BROKEN))
@pytest.mark.parametrize("is_update", [False, True])
def test_an_endpoint_that_breaks_fails_the_run(
    stack: PipelineStack, basic: bytes, status: str, is_update: bool
) -> None:
    stack.returns[:] = BETTER_AND_BETTER
    first = stack.run(stack.put("builds/basic.zip", basic))[1] if is_update else None
    stack.sagemaker.endpoint_script = lambda name: ["Updating", status]
    execution, record = stack.run(stack.put("builds/basic.zip", basic))
    assert (execution["status"], record.status) == ("FAILED", RunStatus.FAILED)
    assert record.failure is not None
    assert record.failure.state == "CheckEndpoint"
    assert (record.failure.code, record.failure.remedy != "") == ("DeploymentFailed", True)
    assert stack.policies.version_in_service("basic") == (first.run_id if first else None)


def test_an_update_that_sagemaker_rolled_back_is_no_success(stack: PipelineStack, basic: bytes) -> None:
    stack.returns[:] = BETTER_AND_BETTER
    _, first = stack.run(stack.put("builds/basic.zip", basic))
    stack.sagemaker.endpoint_script = lambda name: ["Updating", "RollingBack", "rolled back"]
    _, record = stack.run(stack.put("builds/basic.zip", basic))
    assert record.status is RunStatus.FAILED
    assert record.failure is not None
    assert record.failure.code == "DeploymentFailed"
    assert stack.policies.version_in_service("basic") == first.run_id
    assert first.endpoint is not None
    assert stack.sagemaker.endpoints[f"{PREFIX}-basic"]["config"] == first.endpoint.config_name
