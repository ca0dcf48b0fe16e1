"""Jobs and endpoints as SageMaker is asked for them: requests and answers by botocore's model, errors by code."""

import re
from typing import Any

import pytest

from pipeline.aws import endpoints, training_jobs
from pipeline.aws.endpoints import Served
from pipeline.aws.training_jobs import JobRequest
from pipeline.contracts.request import EndpointRequest
from pipeline.errors import (
    CapacityError,
    NotYetConsistentError,
    PipelineError,
    ServiceUnavailableError,
    ThrottledError,
)
from tests.fakes.sagemaker_double import SageMakerDouble, refused

FAULTS = [
    ("ThrottlingException", 400, ThrottledError),
    ("ResourceLimitExceeded", 400, CapacityError),
    ("InternalFailure", 500, ServiceUnavailableError),
    ("ServiceUnavailable", 503, ServiceUnavailableError),
    ("AccessDeniedException", 400, PipelineError),
]


TAGS = {"project": "gamedojo", "stage": "test", "policy": "basic", "run_id": "basic-1"}


def job(**changes: Any) -> JobRequest:
    fields = {
        "name": "gamedojo-test-basic-train-1",
        "run_id": "basic-1",
        "policy": "basic",
        "tags": TAGS,
        "image_uri": "gamedojo-training:1",
        "role_arn": "arn:aws:iam::123456789012:role/jobs",
        "entrypoint": None,
        "hyperparameters": {"seed": "1"},
        "channels": {"model": "s3://b/m", "build": "s3://b/x"},
        "output_uri": "s3://b/runs/basic-1/output",
        "checkpoint_uri": "s3://b/runs/basic-1/checkpoints/",
        "instance_type": "ml.c7i.xlarge",
        "instance_count": 1,
        "volume_size_gb": 30,
        "max_runtime_seconds": 3600,
    }
    return JobRequest.model_validate(fields | changes)


def served(version: str = "v1", **hosting: Any) -> Served:
    return Served(
        model_name=f"gamedojo-test-{version}",
        config_name=f"gamedojo-test-{version}",
        image_uri="gamedojo-inference:1",
        artifact_uri="s3://b/policies/basic/v1/model.tar.gz",
        role_arn="arn:aws:iam::123456789012:role/endpoints",
        tags=TAGS,
        hosting=EndpointRequest.model_validate(hosting),
    )


@pytest.fixture
def sagemaker() -> SageMakerDouble:
    return SageMakerDouble()


def test_a_job_of_the_same_name_is_ours(sagemaker: Any) -> None:
    training_jobs.create(sagemaker, job())
    training_jobs.create(sagemaker, job())
    assert list(sagemaker.jobs) == ["gamedojo-test-basic-train-1"]


def test_a_job_is_cut_off_from_the_network_and_says_whose_it_is(sagemaker: Any) -> None:
    training_jobs.create(sagemaker, job())
    request = sagemaker.jobs["gamedojo-test-basic-train-1"].request
    assert request["EnableNetworkIsolation"] is True
    assert request["Environment"] == {"GAMEDOJO_RUN_ID": "basic-1", "GAMEDOJO_POLICY": "basic"}
    assert {tag["Key"]: tag["Value"] for tag in request["Tags"]} == TAGS
    assert [one["ChannelName"] for one in request["InputDataConfig"]] == ["build", "model"]
    assert request["CheckpointConfig"]["S3Uri"] == "s3://b/runs/basic-1/checkpoints/"
    assert "ContainerEntrypoint" not in request["AlgorithmSpecification"]


def test_an_evaluation_has_an_entry_point_and_no_checkpoints(sagemaker: Any) -> None:
    training_jobs.create(sagemaker, job(entrypoint="evaluate", checkpoint_uri=None))
    request = sagemaker.jobs["gamedojo-test-basic-train-1"].request
    assert request["AlgorithmSpecification"]["ContainerEntrypoint"] == ["evaluate"]
    assert "CheckpointConfig" not in request


@pytest.mark.parametrize("value", ["0", "-0.5", "12", "1e-05", "2.5E+3"])
def test_metrics_are_read_out_of_what_training_prints(sagemaker: Any, value: str) -> None:
    training_jobs.create(sagemaker, job())
    definitions = sagemaker.jobs["gamedojo-test-basic-train-1"].request["AlgorithmSpecification"]["MetricDefinitions"]
    assert {one["Name"] for one in definitions} == set(training_jobs.METRICS)
    line = "{" + ", ".join(f'"{name}": {value}' for name in training_jobs.METRICS) + "}"
    for one in definitions:
        assert re.findall(one["Regex"], line) == [value]
        assert re.findall(one["Regex"], f'{{"{one["Name"]}": null, "x_{one["Name"]}": 1}}') == []


def test_a_job_is_described_by_what_sagemaker_says(sagemaker: Any) -> None:
    metrics = [{"MetricName": "env_steps", "Value": 512.0}, {"MetricName": "odd"}, {"Value": 1.0}]
    sagemaker.script = lambda step, request: [
        {"TrainingJobStatus": "InProgress", "SecondaryStatus": "Training", "FinalMetricDataList": metrics},
        {"TrainingJobStatus": "Completed", "SecondaryStatus": "Completed"},
    ]
    training_jobs.create(sagemaker, job())
    running = training_jobs.describe(sagemaker, job().name)
    assert (running.status, running.secondary_status) == ("InProgress", "Training")
    assert running.metrics == {"env_steps": 512.0}
    assert running.max_runtime_seconds == 3600
    ended = training_jobs.describe(sagemaker, job().name)
    assert ended.artifact_uri == f"s3://b/runs/basic-1/output/{job().name}/output/model.tar.gz"


def test_a_job_that_is_not_there_may_come_yet(sagemaker: Any) -> None:
    with pytest.raises(NotYetConsistentError, match="no-such-job"):
        training_jobs.describe(sagemaker, "no-such-job")


def test_stopping_stops_and_leaves_alone_what_has_ended_or_never_was(sagemaker: Any) -> None:
    training_jobs.create(sagemaker, job())
    training_jobs.stop(sagemaker, job().name)
    assert training_jobs.describe(sagemaker, job().name).status == "Stopped"
    training_jobs.stop(sagemaker, job().name)
    training_jobs.stop(sagemaker, "no-such-job")


def in_service(sagemaker: Any, version: str = "v1") -> str:
    endpoints.create_config(sagemaker, served(version))
    endpoints.create(sagemaker, "e", served(version))
    while (found := endpoints.describe(sagemaker, "e")) is None or found.status != "InService":
        pass
    return found.config_name


def test_an_endpoint_is_created_updated_and_deleted(sagemaker: Any) -> None:
    assert endpoints.describe(sagemaker, "e") is None
    assert in_service(sagemaker) == "gamedojo-test-v1"
    endpoints.create_config(sagemaker, served("v2"))
    endpoints.update(sagemaker, "e", "gamedojo-test-v2")
    found = endpoints.describe(sagemaker, "e")
    assert found is not None
    assert (found.status, found.config_name) == ("Updating", "gamedojo-test-v2")
    endpoints.describe(sagemaker, "e")
    endpoints.delete(sagemaker, "e")
    assert endpoints.describe(sagemaker, "e") is None
    endpoints.delete(sagemaker, "e")


def test_model_and_config_that_exist_are_ours_and_what_was_refused_is_told(sagemaker: Any) -> None:
    assert endpoints.create_config(sagemaker, served()) == ""
    again = endpoints.create_config(sagemaker, served())
    assert "already existing model" in again
    assert "already existing endpoint configuration" in again
    assert (len(sagemaker.models), len(sagemaker.configs)) == (1, 1)


def test_serverless_and_realtime_are_asked_for_as_sagemaker_wants_them(sagemaker: Any) -> None:
    endpoints.create_config(sagemaker, served("serverless", memory_size_mb=3072, max_concurrency=7))
    endpoints.create_config(sagemaker, served("rt", mode="realtime", instance_type="ml.m7i.large", instance_count=2))
    (serverless,) = sagemaker.configs["gamedojo-test-serverless"]["ProductionVariants"]
    (realtime,) = sagemaker.configs["gamedojo-test-rt"]["ProductionVariants"]
    assert serverless["ServerlessConfig"] == {"MemorySizeInMB": 3072, "MaxConcurrency": 7}
    assert "InstanceType" not in serverless
    assert (realtime["InstanceType"], realtime["InitialInstanceCount"]) == ("ml.m7i.large", 2)
    assert "ServerlessConfig" not in realtime
    isolated = {name: model["EnableNetworkIsolation"] for name, model in sagemaker.models.items()}
    assert isolated == {"gamedojo-test-serverless": False, "gamedojo-test-rt": True}


def test_what_is_not_visible_yet_is_tried_again(sagemaker: Any) -> None:
    with pytest.raises(NotYetConsistentError, match="Could not find endpoint configuration"):
        endpoints.create(sagemaker, "e", served())
    with pytest.raises(NotYetConsistentError):
        endpoints.update(sagemaker, "e", "gamedojo-test-v1")


def test_an_endpoint_in_motion_takes_neither_update_nor_deletion(sagemaker: Any) -> None:
    endpoints.create_config(sagemaker, served())
    sagemaker.endpoint_script = lambda name: ["Creating", "InService"]
    endpoints.create(sagemaker, "e", served())
    with pytest.raises(NotYetConsistentError):
        endpoints.update(sagemaker, "e", "gamedojo-test-v1")
    with pytest.raises(NotYetConsistentError, match="is Creating and cannot be deleted yet"):
        endpoints.delete(sagemaker, "e")
    assert "e" in sagemaker.endpoints


CALLS = {
    "CreateTrainingJob": lambda client: training_jobs.create(client, job()),
    "DescribeTrainingJob": lambda client: training_jobs.describe(client, job().name),
    "StopTrainingJob": lambda client: training_jobs.stop(client, job().name),
    "CreateModel": lambda client: endpoints.create_config(client, served()),
    "CreateEndpointConfig": lambda client: endpoints.create_config(client, served()),
    "CreateEndpoint": lambda client: endpoints.create(client, "e", served()),
    "UpdateEndpoint": lambda client: endpoints.update(client, "e", "c"),
    "DescribeEndpoint": lambda client: endpoints.describe(client, "e"),
    "DeleteEndpoint": lambda client: endpoints.delete(client, "e"),
}


@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize(("code", "status", "error"), FAULTS)
def test_faults_are_told_apart_by_their_codes(
    sagemaker: Any, operation: str, code: str, status: int, error: type[PipelineError]
) -> None:
    sagemaker.faults[operation] = [refused(operation, code, "words that change", status)]
    with pytest.raises(PipelineError) as caught:
        CALLS[operation](sagemaker)
    assert type(caught.value) is error
