"""A serverless endpoint from before the names of two policies' endpoints could no longer be the same.

The policy `basic-rt` was served by `gamedojo-test-basic-rt`, which is the name of `basic`'s real-time endpoint.
"""

from typing import Any
from unittest.mock import patch

from pipeline.contracts.run import RunRecord, RunStatus
from pipeline.rules import names
from tests.fakes.configured_builds import configured
from tests.fakes.pipeline_stack import PREFIX, PipelineStack

OLD, NEW = f"{PREFIX}-basic-rt", f"{PREFIX}-basic-rt--s"


def former_name(prefix: str, policy: str, mode: str) -> str:
    return f"{prefix}-{policy}{'-rt' if mode == 'realtime' else ''}"


def deploy(stack: PipelineStack, basic: bytes, policy: str, seed: int, **endpoint: Any) -> RunRecord:
    build = configured(basic, seed=seed, endpoint=endpoint, evaluation={"promote_if": "always"})
    _, record = stack.run(stack.put(f"builds/{policy}.zip", build))
    assert record.status is RunStatus.SUCCEEDED
    return record


def deploy_as_formerly(stack: PipelineStack, basic: bytes) -> None:
    with patch.object(names, "endpoint_name", former_name):
        deploy(stack, basic, "basic-rt", 0)
    assert set(stack.sagemaker.endpoints) == {OLD}


def test_the_endpoint_of_the_former_name_serves_until_the_next_version_and_is_collected_then(
    stack: PipelineStack, basic: bytes
) -> None:
    deploy_as_formerly(stack, basic)
    assert stack.sweep_endpoints()["deleted_endpoints"] == []
    deploy(stack, basic, "basic-rt", 1)
    assert set(stack.sagemaker.endpoints) == {OLD, NEW}
    assert stack.sweep_endpoints()["deleted_endpoints"] == [OLD]
    assert set(stack.sagemaker.endpoints) == {NEW}
    assert stack.sweep_endpoints()["deleted_endpoints"] == []


def test_the_name_is_free_then_for_whom_it_belongs_to(stack: PipelineStack, basic: bytes) -> None:
    deploy_as_formerly(stack, basic)
    deploy(stack, basic, "basic-rt", 1)
    stack.sweep_endpoints()
    other = deploy(stack, basic, "basic", 2, mode="realtime")
    assert other.endpoint is not None
    assert other.endpoint.name == OLD
    assert stack.sweep_endpoints()["deleted_endpoints"] == []
    assert set(stack.sagemaker.endpoints) == {OLD, NEW}
