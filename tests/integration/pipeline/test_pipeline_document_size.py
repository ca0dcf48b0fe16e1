"""What travels through the machine stays small, however much a run has to say: Step Functions takes 256 KiB."""

import json
from typing import Any

from pipeline.contracts.run import RunStatus
from tests.fakes.control_calls import call
from tests.fakes.pipeline_stack import PipelineStack

SMALL = 16 * 1024
"""A sixteenth of the limit."""


def largest_document(stack: PipelineStack) -> int:
    """Bytes of the largest thing that any event of any execution's history holds."""
    sizes = [0]
    for execution in stack.sfn.list_executions(stateMachineArn=stack.machine_arn)["executions"]:
        history = stack.sfn.get_execution_history(executionArn=execution["executionArn"], maxResults=1000)
        for event in history["events"]:
            sizes += [len(text.encode()) for text in texts(event)]
    return max(sizes)


def texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for one in value.values() for text in texts(one)]
    return [value] if isinstance(value, str) else []


def test_a_request_with_very_many_settings(stack: PipelineStack, basic: bytes) -> None:
    stack.put("uploads/1/Basic.zip", basic)
    trainer_file = "behaviors: {Basic: {trainer_type: ppo}}\n" + "# why it is so\n" * 4000
    request = {"build": {"key": "uploads/1/Basic.zip"}, "mlagents": trainer_file}
    assert len(json.dumps(request)) > 2 * SMALL
    answer = call("POST", "/training-runs", request)
    assert answer["statusCode"] == 202, answer["body"]
    stack.wait_for_executions()
    assert stack.newest().status is RunStatus.SUCCEEDED
    assert 500 < largest_document(stack) < SMALL


def test_a_job_that_failed_with_very_many_words(stack: PipelineStack, basic: bytes) -> None:
    reason = "AlgorithmError: " + "x" * 1000
    stack.sagemaker.script = lambda step, request: [
        {"TrainingJobStatus": "Failed", "SecondaryStatus": "Failed", "FailureReason": reason}
    ]
    event = stack.put("builds/basic.zip", basic)
    started = stack.sagemaker.create_training_job

    def create(**asked: Any) -> Any:
        stack.print(asked["TrainingJobName"], *[f"line {number} " + "y" * 2000 for number in range(200)])
        return started(**asked)

    stack.sagemaker.create_training_job = create  # type: ignore[method-assign]
    execution = stack.execute(event)
    assert execution["status"] == "FAILED"
    assert stack.newest().failure is not None
    assert largest_document(stack) < SMALL
