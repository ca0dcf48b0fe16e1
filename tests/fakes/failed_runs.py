"""Runs of the pipeline that are to fail, and what holds for all of them."""

import json
from typing import Any

from pipeline.contracts.run import RunRecord, RunStatus
from tests.fakes.artifact_archives import invocation_answer
from tests.fakes.pipeline_stack import PipelineStack


def failed(stack: PipelineStack, document: dict[str, Any]) -> RunRecord:
    """Run to a failure, and check what holds for all of them."""
    execution, record = stack.run(document)
    assert record.status is RunStatus.FAILED
    assert record.failure is not None
    assert record.failure.cause
    assert record.failure.remedy
    assert execution["status"] == "FAILED"
    assert (execution["error"], execution["states"][-1]) == (record.failure.code, "RunFailed")
    assert record.failure.remedy in execution["cause"]
    assert record.history[-1].state == "FinishRun"
    assert stack.sagemaker.running_jobs == []
    stack.policies.acquire_lease(record.policy, "somebody-else", 0)
    stack.policies.release_lease(record.policy, "somebody-else")
    messages = stack.messages()
    assert [message["run_id"] for message in messages if message["status"] == "FAILED"] == [record.run_id]
    return record


def expect(record: RunRecord, code: str, state: str, *words: str) -> None:
    assert record.failure is not None
    assert (record.failure.code, record.failure.state) == (code, state), record.failure
    for word in words:
        assert word in record.failure.cause + record.failure.remedy


def wrong_actions(request: Any, version: str) -> bytes:
    answer = json.loads(invocation_answer(request, version))
    return json.dumps({**answer, "discrete": [[2], [1]]}).encode()
