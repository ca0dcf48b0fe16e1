"""AWS refuses a call because another change is at the same thing, or because a thing is not there: what a user sees."""

import pytest

from pipeline.contracts.run import Failure, RunStatus
from tests.fakes.failed_runs import failed
from tests.fakes.fault_scenarios import next_run
from tests.fakes.faulty_clients import Call
from tests.fakes.pipeline_stack import PREFIX, PipelineStack
from tests.fakes.sagemaker_double import refused


def failure_of(stack: PipelineStack, build: bytes) -> Failure:
    failure = failed(stack, stack.put("builds/basic.zip", build)).failure
    assert failure is not None
    return failure


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (Call("AdmitRun", "s3", "copy_object", 0), "conflict"),
        (Call("ExtractCheckpoint", "s3", "put_object", 0), "conflict"),
        (Call("CheckEndpoint", "sagemaker", "describe_endpoint", 0), "not found"),
        (Call("VerifyEndpoint", "dynamodb", "update_item", 1), "conflict"),
    ],
    ids=str,
)
def test_what_passes_is_waited_for(stack: PipelineStack, basic: bytes, call: Call, kind: str) -> None:
    stack.faults.planned[call] = kind
    _, record = stack.run(stack.put("builds/basic.zip", basic))
    assert stack.faults.hit == [call]
    assert (record.status, record.failure) == (RunStatus.SUCCEEDED, None)


def test_a_lease_that_another_run_has_by_now_ends_the_deployment(stack: PipelineStack, basic: bytes) -> None:
    stack.faults.planned[Call("VerifyEndpoint", "dynamodb", "update_item", 0)] = "conflict"
    failure = failure_of(stack, basic)
    assert (failure.code, failure.state) == ("DeploymentFailed", "VerifyEndpoint")
    assert "Another run is deploying the policy basic" in failure.cause
    assert "lease of 3 h" in failure.cause
    assert failure.remedy == "Redrive the run once the other one is over."
    assert stack.sagemaker.endpoints == {}


def test_an_endpoint_that_is_gone_says_so(stack: PipelineStack, basic: bytes) -> None:
    """One that served before does not hide for a moment: somebody has deleted it."""
    next_run(stack, basic)
    gone = refused("DescribeEndpoint", "ValidationException", "Could not find endpoint")

    def delete_before(execution: str, state: str) -> None:
        if state == "CheckEndpoint":
            stack.sagemaker.faults["DescribeEndpoint"] = [gone]

    stack.turn = delete_before
    failure = failure_of(stack, basic)
    assert (failure.code, failure.cause) == (
        "DeploymentFailed",
        f"The endpoint {PREFIX}-basic was deleted meanwhile.",
    )


def test_a_new_endpoint_that_never_shows_is_not_waited_for_for_ever(stack: PipelineStack, basic: bytes) -> None:
    gone = refused("DescribeEndpoint", "ValidationException", "Could not find endpoint")

    def hide(execution: str, state: str) -> None:
        if state == "CheckEndpoint":
            stack.sagemaker.faults["DescribeEndpoint"] = [gone]

    stack.turn = hide
    failure = failure_of(stack, basic)
    assert (failure.code, failure.remedy) == ("NotYetConsistent", "Redrive the run.")
    assert f"{PREFIX}-basic" in failure.cause
    assert stack.sagemaker.endpoints == {}


def test_what_somebody_has_removed_is_no_build_to_upload(stack: PipelineStack, basic: bytes) -> None:
    stack.faults.planned[Call("VerifyEndpoint", "s3", "get_object", 0)] = "not found"
    failure = failure_of(stack, basic)
    assert "evaluation/parity.json" in failure.cause
    assert "removed" in failure.remedy
    assert "Upload" not in failure.remedy


@pytest.mark.parametrize(
    ("call", "service"),
    [
        (Call("TakeTurn", "dynamodb", "get_item", 0), "DynamoDB"),
        (Call("InspectBuild", "s3", "put_object", 0), "S3"),
        (Call("StartTraining", "sagemaker", "create_training_job", 0), "SageMaker"),
    ],
    ids=str,
)
def test_a_part_of_the_stack_that_is_gone_is_named(
    stack: PipelineStack, basic: bytes, call: Call, service: str
) -> None:
    stack.faults.planned[call] = "not found"
    failure = failure_of(stack, basic)
    assert (failure.code, failure.retryable) == ("Internal", False)
    assert failure.cause.startswith(f"{service} does not find what it is to work with: ")
    assert "deploy it again" in failure.remedy
