"""Calls that a run makes to AWS go wrong, in every way: a few of them here, all of them by `make test-faults`."""

import pytest

from tests.fakes.fault_invariants import assert_whole, sweep_up
from tests.fakes.faulty_clients import KINDS, Call
from tests.fakes.pipeline_stack import PipelineStack


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "call",
    [
        Call("AdmitRun", "dynamodb", "put_item", 0),
        Call("AdmitRun", "s3", "copy_object", 0),
        Call("StartTraining", "sagemaker", "create_training_job", 0),
        Call("DeployEndpoint", "sagemaker", "create_endpoint", 0),
        Call("CheckEndpoint", "sagemaker", "describe_endpoint", 0),
        Call("FinishRun", "sns", "publish", 0),
    ],
    ids=str,
)
def test_whatever_goes_wrong_nothing_is_lost_doubled_or_left_running(
    stack: PipelineStack, basic: bytes, call: Call, kind: str
) -> None:
    stack.faults.planned[call] = kind
    stack.execute(stack.put("builds/Basic.zip", basic))
    assert stack.faults.hit == [call]
    sweep_up(stack)
    assert_whole(stack)
