"""SageMaker training jobs; the evaluation is one too, with another entry point."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import Field

from pipeline.aws.translation import error_code, translate
from pipeline.contracts.base import Contract
from pipeline.errors import NotYetConsistentError

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

METRICS = ("env_steps", "env_steps_limit", "mean_return", "episodes", "iteration", "env_steps_per_second")
"""What the training job prints as JSON and SageMaker parses out of its log."""

_RUN_ID_VARIABLE = "GAMEDOJO_RUN_ID"


class JobDescription(Contract):
    """What SageMaker says of a job."""

    name: str
    run_id: str | None = None
    status: str
    secondary_status: str | None = None
    failure_reason: str = ""
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    max_runtime_seconds: int
    artifact_uri: str | None = None
    metrics: dict[str, float] = Field(default_factory=dict)


class JobRequest(Contract):
    """Everything that differs from job to job."""

    name: str
    run_id: str
    policy: str
    tags: dict[str, str]
    image_uri: str
    role_arn: str
    entrypoint: str | None
    hyperparameters: dict[str, str]
    channels: dict[str, str]
    output_uri: str
    checkpoint_uri: str | None
    instance_type: str
    instance_count: int
    volume_size_gb: int
    max_runtime_seconds: int
    max_wait_seconds: int | None = None
    """Of a spot job: for waiting and running together; None: the job is none."""
    output_key_arn: str | None = None
    """KMS key of what the job leaves in S3; None: the bucket's own way."""
    volume_key_arn: str | None = None
    """KMS key of the machines' volumes; SageMaker refuses one for machines with disks of their own."""


def create(client: "SageMakerClient", request: JobRequest) -> None:
    """Create the job; one of this name that exists already is ours, because the name is made from the run's id.

    Raises:
        CapacityError: a quota is used up.
        ThrottledError, ServiceUnavailableError: SageMaker could not answer.
        PipelineError: SageMaker refuses the request.
    """
    try:
        client.create_training_job(**_parameters(request))
    except (ClientError, BotoCoreError) as error:
        if error_code(error) != "ResourceInUse":
            raise translate("SageMaker", error) from error


def describe(client: "SageMakerClient", name: str) -> JobDescription:
    """The job as it is now.

    Raises:
        NotYetConsistentError: there is no such job, or not yet.
        ThrottledError, ServiceUnavailableError: SageMaker could not answer.
    """
    try:
        answer = client.describe_training_job(TrainingJobName=name)
    except (ClientError, BotoCoreError) as error:
        if error_code(error) in {"ValidationException", "ResourceNotFound"}:
            raise NotYetConsistentError(f"SageMaker knows no job {name}.", "Start the run again.") from error
        raise translate("SageMaker", error) from error
    return JobDescription(
        name=name,
        run_id=answer.get("Environment", {}).get(_RUN_ID_VARIABLE),
        status=answer["TrainingJobStatus"],
        secondary_status=answer.get("SecondaryStatus"),
        failure_reason=answer.get("FailureReason", ""),
        created_at=answer["CreationTime"],
        started_at=answer.get("TrainingStartTime"),
        ended_at=answer.get("TrainingEndTime"),
        max_runtime_seconds=answer["StoppingCondition"].get("MaxRuntimeInSeconds", 86_400),
        artifact_uri=answer.get("ModelArtifacts", {}).get("S3ModelArtifacts"),
        metrics={
            metric["MetricName"]: metric["Value"]
            for metric in answer.get("FinalMetricDataList", [])
            if "MetricName" in metric and "Value" in metric
        },
    )


def running(client: "SageMakerClient", prefix: str) -> tuple[str, ...]:
    """Names of the jobs that are InProgress and whose name begins so.

    Raises:
        ThrottledError, ServiceUnavailableError: SageMaker could not answer.
    """
    pages = client.get_paginator("list_training_jobs").paginate(NameContains=prefix, StatusEquals="InProgress")
    try:
        names = [job["TrainingJobName"] for page in pages for job in page["TrainingJobSummaries"]]
    except (ClientError, BotoCoreError) as error:
        raise translate("SageMaker", error) from error
    return tuple(name for name in names if name.startswith(f"{prefix}-"))


def stop(client: "SageMakerClient", name: str) -> None:
    """Stop the job; one that has ended, or never was, is left alone.

    Raises:
        ThrottledError, ServiceUnavailableError: SageMaker could not answer.
    """
    try:
        client.stop_training_job(TrainingJobName=name)
    except (ClientError, BotoCoreError) as error:
        # SageMaker answers ValidationException for a job that is not running.
        if error_code(error) not in {"ValidationException", "ResourceNotFound"}:
            raise translate("SageMaker", error) from error


def _parameters(request: JobRequest) -> dict[str, Any]:
    algorithm: dict[str, Any] = {
        "TrainingImage": request.image_uri,
        "TrainingInputMode": "File",
        "EnableSageMakerMetricsTimeSeries": False,
        "MetricDefinitions": [
            {"Name": name, "Regex": rf'"{name}": (-?[0-9.]+(?:[eE][-+]?[0-9]+)?)'} for name in METRICS
        ],
    }
    if request.entrypoint is not None:
        algorithm["ContainerEntrypoint"] = [request.entrypoint]
    parameters: dict[str, Any] = {
        "TrainingJobName": request.name,
        "AlgorithmSpecification": algorithm,
        "RoleArn": request.role_arn,
        "HyperParameters": request.hyperparameters,
        "InputDataConfig": [
            {
                "ChannelName": channel,
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "S3Prefix",
                        "S3Uri": uri,
                        "S3DataDistributionType": "FullyReplicated",
                    }
                },
                "InputMode": "File",
            }
            for channel, uri in sorted(request.channels.items())
        ],
        "OutputDataConfig": {"S3OutputPath": request.output_uri},
        "ResourceConfig": {
            "InstanceType": request.instance_type,
            "InstanceCount": request.instance_count,
            "VolumeSizeInGB": request.volume_size_gb,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": request.max_runtime_seconds},
        "Environment": {_RUN_ID_VARIABLE: request.run_id, "GAMEDOJO_POLICY": request.policy},
        "EnableNetworkIsolation": True,
        "Tags": [{"Key": key, "Value": value} for key, value in request.tags.items()],
    }
    if request.output_key_arn is not None:
        parameters["OutputDataConfig"]["KmsKeyId"] = request.output_key_arn
    if request.volume_key_arn is not None:
        parameters["ResourceConfig"]["VolumeKmsKeyId"] = request.volume_key_arn
    if request.max_wait_seconds is not None:
        parameters["EnableManagedSpotTraining"] = True
        parameters["StoppingCondition"]["MaxWaitTimeInSeconds"] = request.max_wait_seconds
    if request.checkpoint_uri is not None:
        parameters["CheckpointConfig"] = {"S3Uri": request.checkpoint_uri, "LocalPath": "/opt/ml/checkpoints"}
    return parameters
