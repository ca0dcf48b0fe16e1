"""Names that are in use: what the run has made itself is taken over, what somebody else has made is left alone."""

from typing import Any

import pytest

from pipeline.contracts.run import RunStatus
from tests.fakes.failed_runs import failed
from tests.fakes.pipeline_stack import PREFIX, PipelineStack
from tests.fakes.sagemaker_double import COMPLETED, IN_PROGRESS

ENDPOINT = f"{PREFIX}-basic"
THEIRS = {"GAMEDOJO_RUN_ID": "somebody-0123456789ab"}


def created_before(stack: PipelineStack, step: str, **changes: Any) -> list[str]:
    """A job of the name that the run's job of this step will have, made a moment before; answers the names."""
    create, names = stack.sagemaker.create_training_job, list[str]()

    def after_somebody(**request: Any) -> Any:
        is_evaluation = request["AlgorithmSpecification"].get("ContainerEntrypoint") == ["evaluate"]
        if (step == "evaluate") == is_evaluation:
            names.append(request["TrainingJobName"])
            create(**request | changes)
        return create(**request)

    stack.sagemaker.create_training_job = after_somebody  # type: ignore[method-assign]
    return names


@pytest.mark.parametrize("step", ["train", "evaluate"])
def test_a_job_of_the_runs_own_is_taken_over(stack: PipelineStack, basic: bytes, step: str) -> None:
    names = created_before(stack, step)
    _, record = stack.run(stack.put("builds/basic.zip", basic))
    assert (record.status, record.failure) == (RunStatus.SUCCEEDED, None)
    assert len(names) == 1
    assert len(stack.sagemaker.jobs) == 2


@pytest.mark.parametrize("step", ["train", "evaluate"])
@pytest.mark.parametrize("environment", [THEIRS, {}])
def test_a_job_of_somebody_elses_fails_the_run_and_goes_on(
    stack: PipelineStack, basic: bytes, step: str, environment: dict[str, str]
) -> None:
    stack.sagemaker.script = lambda made, request: [IN_PROGRESS if made == step else COMPLETED]
    names = created_before(stack, step, Environment=environment)
    failure = stack.run(stack.put("builds/basic.zip", basic))[1].failure
    (name,) = names
    assert failure is not None
    assert failure.code == {"train": "TrainingFailed", "evaluate": "EvaluationFailed"}[step]
    assert failure.cause == f"The name {name} is in use by a job that this run has not created."
    assert stack.sagemaker.running_jobs == [name]
    assert "StopTrainingJob" not in stack.sagemaker.calls


def test_an_endpoint_of_somebody_elses_is_neither_updated_nor_deleted(stack: PipelineStack, basic: bytes) -> None:
    role = "arn:aws:iam::123456789012:role/theirs"
    stack.sagemaker.create_model(ModelName="theirs", PrimaryContainer={"Image": "i"}, ExecutionRoleArn=role)
    variant = {"VariantName": "v", "ModelName": "theirs", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
    stack.sagemaker.create_endpoint_config(EndpointConfigName="their-config", ProductionVariants=[variant])
    stack.sagemaker.create_endpoint(EndpointName=ENDPOINT, EndpointConfigName="their-config", Tags=[])
    failure = failed(stack, stack.put("builds/basic.zip", basic)).failure
    assert failure is not None
    assert (failure.code, failure.state) == ("DeploymentFailed", "DeployEndpoint")
    assert f"The name {ENDPOINT} is in use by an endpoint that serves their-config" in failure.cause
    assert "another Stage" in failure.remedy
    assert stack.sagemaker.endpoints[ENDPOINT]["config"] == "their-config"
    assert not {"UpdateEndpoint", "DeleteEndpoint"} & set(stack.sagemaker.calls)
