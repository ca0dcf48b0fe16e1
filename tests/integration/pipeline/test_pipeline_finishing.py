"""FinishRun, called as often as Step Functions may call it."""

import json
from typing import Any

import pytest

from finish_run.app import handler
from pipeline.errors import LeaseHeldError
from tests.fakes.control_stack import LambdaContext
from tests.fakes.pipeline_stack import BETTER_AND_BETTER, PipelineStack


def finish_again(stack: PipelineStack, execution: dict[str, Any]) -> dict[str, Any]:
    """The same task once more, with the document that the execution ended with."""
    document = json.loads(execution["output"])
    event = {"execution_arn": execution["executionArn"], "state": "FinishRun", "document": document}
    answer: dict[str, Any] = handler(event, LambdaContext())  # type: ignore[arg-type]
    return answer


def test_a_run_that_is_finished_twice_is_told_once_and_stays_as_it_was(stack: PipelineStack, basic: bytes) -> None:
    execution, record = stack.run(stack.put("builds/Basic.zip", basic))
    assert len(stack.messages()) == 1
    calls = list(stack.sagemaker.calls)
    assert finish_again(stack, execution)["outcome"] == "SUCCEEDED"
    assert stack.messages() == []
    assert stack.newest() == record
    assert stack.sagemaker.calls == calls, "nothing was asked of SageMaker"


def test_finishing_a_run_again_after_the_next_one_leaves_the_next_one_alone(stack: PipelineStack, basic: bytes) -> None:
    stack.returns[:] = BETTER_AND_BETTER
    first, _ = stack.run(stack.put("builds/Basic.zip", basic))
    document = json.loads(first["output"])
    document["error"] = {"Error": "States.Timeout", "Cause": ""}
    first["output"] = json.dumps(document)
    _, second = stack.run(stack.put("builds/Basic.zip", basic))
    assert finish_again(stack, first)["outcome"] == "SUCCEEDED", "what was written first counts"
    assert second.endpoint is not None
    found = stack.sagemaker.describe_endpoint(EndpointName=second.endpoint.name)
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", second.endpoint.config_name)
    assert stack.policies.version_in_service("basic") == second.run_id


def test_a_late_finish_does_not_take_the_lease_from_the_run_that_deploys_now(
    stack: PipelineStack, basic: bytes
) -> None:
    execution, _ = stack.run(stack.put("builds/Basic.zip", basic))
    stack.policies.acquire_lease("basic", "basic-next", 2_000_000_000)
    finish_again(stack, execution)
    with pytest.raises(LeaseHeldError):
        stack.policies.acquire_lease("basic", "basic-third", 2_000_000_000)
