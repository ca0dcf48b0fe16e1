"""Objects that somebody removed before a state needs them: the run says which, instead of that access is denied."""

from collections.abc import Callable

import pytest

from pipeline.contracts.run import RunStatus
from tests.fakes.control_stack import BUCKET
from tests.fakes.failed_runs import expect, failed
from tests.fakes.pipeline_stack import BETTER_AND_BETTER, PipelineStack


def removed_before(stack: PipelineStack, state: str, ending: str) -> Callable[[str, str], None]:
    """As the state begins, no key of a run ends like this any more."""

    def turn(execution: str, entered: str) -> None:
        gone = [key for key in stack.keys("runs/") if key.endswith(ending)] if entered == state else []
        for key in gone:
            stack.s3.delete_object(Bucket=BUCKET, Key=key)

    return turn


@pytest.mark.parametrize(
    ("state", "ending"),
    [
        ("InspectBuild", "/build.zip"),
        ("ExtractCheckpoint", "/output/model.tar.gz"),
        ("DecidePromotion", "/output/model.tar.gz"),
        ("DeployEndpoint", "/serving/model.tar.gz"),
        ("VerifyEndpoint", "/evaluation/parity.json"),
    ],
)
def test_the_run_fails_and_names_what_is_gone(stack: PipelineStack, basic: bytes, state: str, ending: str) -> None:
    stack.turn = removed_before(stack, state, ending)
    record = failed(stack, stack.put("builds/basic.zip", basic))
    expect(record, "BuildNotFound", state, f"There is no object runs/{record.run_id}/", ending)


def test_a_policy_whose_rivals_artifact_is_gone_is_evaluated_alone(stack: PipelineStack, basic: bytes) -> None:
    stack.returns[:] = BETTER_AND_BETTER
    stack.run(stack.put("builds/basic.zip", basic))
    (rival,) = [key for key in stack.keys("runs/") if key.endswith("/serving/model.tar.gz")]
    stack.s3.delete_object(Bucket=BUCKET, Key=rival)
    _, record = stack.run(stack.put("builds/basic.zip", basic + b"\0"))
    assert record.status is RunStatus.SUCCEEDED
    assert record.evaluation_job is not None
    channels = stack.sagemaker.jobs[record.evaluation_job.name].request["InputDataConfig"]
    assert "incumbent" not in {one["ChannelName"] for one in channels}
