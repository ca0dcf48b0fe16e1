"""SageMaker and others fail for a while, or answer too late: what is tried again, what goes back, what is told."""

from typing import Any

from botocore.exceptions import EndpointConnectionError

from pipeline import errors
from pipeline.contracts.run import RunStatus
from tests.fakes.failed_runs import expect, failed, wrong_actions
from tests.fakes.pipeline_stack import BETTER_AND_BETTER, PREFIX, PipelineStack
from tests.fakes.run_documents import CHAIN
from tests.fakes.sagemaker_double import IN_PROGRESS, refused

ENDPOINT = f"{PREFIX}-basic"


def test_what_is_transient_is_tried_again_in_every_state(stack: PipelineStack, basic: bytes) -> None:
    kinds = (errors.ThrottledError, errors.ServiceUnavailableError, errors.NotYetConsistentError)
    stack.broken = {state: [kind("for a while") for kind in kinds] for state in CHAIN}
    _, record = stack.run(stack.put("builds/basic.zip", basic))
    assert record.status is RunStatus.SUCCEEDED, record.failure
    assert not any(stack.broken.values())
    assert len(stack.pauses) == 6 + 3 * len(CHAIN)
    assert len(stack.messages()) == 1


def test_a_queue_is_waited_in_longer_than_a_fault_is(stack: PipelineStack, basic: bytes) -> None:
    full, held = errors.CapacityError("no machine"), errors.LeaseHeldError("another run")
    queues = {"StartTraining": full, "StartEvaluation": full, "DecidePromotion": held, "DeployEndpoint": full}
    stack.broken = {state: [error] * 20 for state, error in queues.items()}
    _, record = stack.run(stack.put("builds/basic.zip", basic))
    assert record.status is RunStatus.SUCCEEDED, record.failure
    assert not any(stack.broken.values())


def test_an_endpoint_that_is_starting_is_asked_again(stack: PipelineStack, basic: bytes) -> None:
    stack.runtime.faults = [refused("InvokeEndpoint", "ModelNotReadyException", status=429)] * 3
    _, record = stack.run(stack.put("builds/basic.zip", basic))
    assert record.status is RunStatus.SUCCEEDED, record.failure


def test_what_stays_transient_fails_at_last_and_may_be_tried_again(stack: PipelineStack, basic: bytes) -> None:
    stack.broken["InspectBuild"] = [errors.ThrottledError("slow down")] * 100
    record = failed(stack, stack.put("builds/basic.zip", basic))
    assert record.failure is not None
    assert (record.failure.code, record.failure.retryable) == ("Throttled", True)
    assert len(stack.broken["InspectBuild"]) == 100 - 9


def test_a_quota_that_is_used_up_is_waited_for(stack: PipelineStack, basic: bytes) -> None:
    used_up = refused("CreateTrainingJob", "ResourceLimitExceeded", "0 Instances")
    stack.sagemaker.faults["CreateTrainingJob"] = [used_up, used_up]
    execution, record = stack.run(stack.put("builds/basic.zip", basic))
    assert record.status is RunStatus.SUCCEEDED
    assert execution["states"].count("FinishRun") == 1
    assert len(stack.sagemaker.jobs) == 2


UNREACHABLE = EndpointConnectionError(endpoint_url="https://sagemaker")
FIVE_HUNDRED = refused("Any", "InternalFailure", status=500)
THROTTLED = refused("Any", "ThrottlingException", "Rate exceeded")
OPERATIONS = [
    "CreateTrainingJob",
    "DescribeTrainingJob",
    "CreateModel",
    "CreateEndpointConfig",
    "CreateEndpoint",
    "DescribeEndpoint",
]


def test_sagemaker_may_fail_on_any_call_for_a_while(stack: PipelineStack, basic: bytes) -> None:
    kinds = [(UNREACHABLE, THROTTLED), (FIVE_HUNDRED, UNREACHABLE), (THROTTLED, FIVE_HUNDRED)] * 2
    stack.sagemaker.faults = {name: list(faults) for name, faults in zip(OPERATIONS, kinds, strict=True)}
    _, record = stack.run(stack.put("builds/basic.zip", basic))
    assert record.status is RunStatus.SUCCEEDED, record.failure
    assert not any(stack.sagemaker.faults.values())
    assert len(stack.sagemaker.jobs) == 2


def test_a_call_that_was_carried_out_and_not_answered_is_not_carried_out_twice(
    stack: PipelineStack, basic: bytes
) -> None:
    """The connection breaks after SageMaker has created the thing; the next try meets it."""
    for name in ("create_training_job", "create_model", "create_endpoint_config", "create_endpoint"):
        _answer_lost_once(stack, name)
    _, record = stack.run(stack.put("builds/basic.zip", basic))
    assert record.status is RunStatus.SUCCEEDED, record.failure
    assert len(stack.sagemaker.jobs) == 2
    assert record.endpoint is not None
    assert record.endpoint.previous_config_name is None


def test_an_endpoint_whose_update_was_not_answered_can_still_go_back(stack: PipelineStack, basic: bytes) -> None:
    stack.returns[:] = BETTER_AND_BETTER
    _, first = stack.run(stack.put("builds/basic.zip", basic))
    stack.messages()
    _answer_lost_once(stack, "update_endpoint")
    stack.runtime.answer = wrong_actions
    failed(stack, stack.put("builds/basic.zip", basic))
    assert first.endpoint is not None
    assert stack.sagemaker.endpoints[ENDPOINT]["config"] == first.endpoint.config_name


def _answer_lost_once(stack: PipelineStack, name: str) -> None:
    real, lost = getattr(stack.sagemaker, name), []

    def call(**request: Any) -> Any:
        answer = real(**request)
        if not lost:
            lost.append(name)
            raise UNREACHABLE
        return answer

    setattr(stack.sagemaker, name, call)


def test_a_model_that_sagemaker_refuses_is_told_in_its_words(stack: PipelineStack, basic: bytes) -> None:
    bad = refused("CreateModel", "ValidationException", "Could not access model data")
    stack.sagemaker.faults["CreateModel"] = [bad] * 100
    record = failed(stack, stack.put("builds/basic.zip", basic))
    expect(record, "NotYetConsistent", "DeployEndpoint", "Could not access model data")
    assert stack.sagemaker.endpoints == {}


def test_an_endpoint_in_motion_is_taken_back_once_it_has_settled(stack: PipelineStack, basic: bytes) -> None:
    """Our own deadline has passed while it was being created: FinishRun tries until SageMaker lets it go."""
    stack.sagemaker.endpoint_script = lambda name: ["Creating"] * 5 + ["InService"]
    stack.broken["CheckEndpoint"] = [errors.DeadlineExceededError("too long", "see the log")]
    record = failed(stack, stack.put("builds/basic.zip", basic))
    expect(record, "DeadlineExceeded", "DeployEndpoint", "see the log")
    assert stack.sagemaker.endpoints == {}
    assert stack.sagemaker.calls.count("DeleteEndpoint") > 1


def test_the_outcome_is_written_even_if_the_cleaning_up_cannot_be_finished(stack: PipelineStack, basic: bytes) -> None:
    stack.sagemaker.script = lambda step, request: [IN_PROGRESS]
    stack.broken["CheckTraining"] = [KeyError("oops")]
    stack.sagemaker.faults["StopTrainingJob"] = [FIVE_HUNDRED] * 100
    execution, record = stack.run(stack.put("builds/basic.zip", basic))
    assert execution["status"] == "FAILED"
    assert execution["error"] == "ServiceUnavailableError"
    assert record.status is RunStatus.FAILED
    assert [message["status"] for message in stack.messages()] == ["FAILED"], "told once, however often it was tried"
