"""How executions are named."""

import pytest

from pipeline.aws.executions import execution_arn

MACHINE = "arn:aws:states:eu-central-1:123456789012:stateMachine:TrainAndDeploy-abc"


@pytest.mark.parametrize("arn", [MACHINE, f"{MACHINE}:live", f"{MACHINE}:3"])
def test_an_execution_is_the_machines_whoever_started_it(arn: str) -> None:
    """Step Functions: an alias or a version qualifies the machine's ARN, not the execution's."""
    assert execution_arn(arn, "basic-1") == (
        "arn:aws:states:eu-central-1:123456789012:execution:TrainAndDeploy-abc:basic-1"
    )
