"""CreateTrainingJob, DescribeTrainingJob, ListTrainingJobs, StopTrainingJob."""

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from local.sagemaker.errors import (
    NotImplementedLocallyError,
    ResourceInUseError,
    ResourceLimitExceededError,
    ResourceNotFoundError,
    ValidationError,
)
from local.sagemaker.job_folder import CONTAINER_BASE_DIR
from local.sagemaker.listing import page
from local.sagemaker.metrics import LogMetrics
from local.sagemaker.platform import Platform
from local.sagemaker.resources import TrainingJob
from local.sagemaker.tags_api import new_tags
from local.sagemaker.training_run import Ending, TrainingRun, output_uri
from local.sagemaker.validation import operation_model

_MAX_RUNTIME_SECONDS = 28 * 86_400
_MAX_HYPERPARAMETERS = 100
_DEFAULT_STOPPING_CONDITION = {"MaxRuntimeInSeconds": 86_400}

_IMPLEMENTED = {
    "TrainingJobName",
    "HyperParameters",
    "AlgorithmSpecification",
    "RoleArn",
    "InputDataConfig",
    "OutputDataConfig",
    "ResourceConfig",
    "StoppingCondition",
    "Tags",
    "EnableNetworkIsolation",
    "EnableInterContainerTrafficEncryption",
    "CheckpointConfig",
    "Environment",
}
"""Members of CreateTrainingJob that have their effect here; any other is refused unless it asks for nothing."""


class TrainingJobs:
    """The operations, and the jobs that run."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._store = platform.store
        self._runs: dict[str, TrainingRun] = {}
        self._fail_interrupted()

    def create(self, request: dict[str, Any]) -> dict[str, Any]:
        """CreateTrainingJob."""
        _check_supported(request)
        _check_rules(request)
        self._platform.image(request["AlgorithmSpecification"]["TrainingImage"])
        LogMetrics(request["AlgorithmSpecification"].get("MetricDefinitions", []))
        name = request["TrainingJobName"]
        now = time.time()
        job = TrainingJob(
            name=name,
            arn=self._platform.config.arn("training-job", name),
            request={"StoppingCondition": _DEFAULT_STOPPING_CONDITION, **request},
            created_at=now,
            modified_at=now,
        )
        job.move("Starting", "Starting the training job")
        with self._store.change():
            if name in self._store.training_jobs:
                raise ResourceInUseError(
                    "Training job names must be unique within an AWS account and region, and a training job with this "
                    f"name already exists ({job.arn})"
                )
            self._check_quota(request)
            tags = new_tags(request)
            self._store.training_jobs[name] = job
            self._store.tags[job.arn] = tags
            run = self._runs[name] = TrainingRun(job, self._platform, on_end=lambda: self._forget(name))
        run.start()
        return {"TrainingJobArn": job.arn}

    def describe(self, request: dict[str, Any]) -> dict[str, Any]:
        """DescribeTrainingJob."""
        with self._store.lock:
            job = self._find(request["TrainingJobName"])
            shape = operation_model("DescribeTrainingJob").output_shape
            members = getattr(shape, "members", {})
            answer = {name: value for name, value in job.request.items() if name in members}
            answer |= {
                "TrainingJobName": job.name,
                "TrainingJobArn": job.arn,
                "TrainingJobStatus": job.status,
                "SecondaryStatus": job.secondary_status,
                "SecondaryStatusTransitions": [dict(each) for each in job.transitions],
                "CreationTime": job.created_at,
                "LastModifiedTime": job.modified_at,
                "ModelArtifacts": {"S3ModelArtifacts": f"{output_uri(job.request)}/model.tar.gz"},
                "EnableNetworkIsolation": job.request.get("EnableNetworkIsolation", False),
                "EnableManagedSpotTraining": False,
                "EnableInterContainerTrafficEncryption": False,
            }
            answer["AlgorithmSpecification"] = {
                "EnableSageMakerMetricsTimeSeries": False,
                **job.request["AlgorithmSpecification"],
            }
            if job.metrics:
                answer["FinalMetricDataList"] = [dict(each) for each in list(job.metrics.values())]
            if job.failure_reason:
                answer["FailureReason"] = job.failure_reason
            return answer | _times(job)

    def list(self, request: dict[str, Any]) -> dict[str, Any]:
        """ListTrainingJobs."""
        with self._store.lock:
            summaries = [_summary(job) for job in self._store.training_jobs.values()]
        found, token = page(request, summaries, resource="TrainingJob", default_order="Descending")
        return {"TrainingJobSummaries": found} | ({"NextToken": token} if token else {})

    def stop(self, request: dict[str, Any]) -> dict[str, Any]:
        """StopTrainingJob."""
        with self._store.change():
            job = self._find(request["TrainingJobName"])
            if job.has_ended:
                raise ValidationError(f"The request was rejected because the training job is in status {job.status}.")
            if job.status != "Stopping":
                job.move("Stopping", "Stopping the training job", "Stopping")
            run = self._runs.get(job.name)
        if run is not None:
            run.end(Ending.STOPPED)
        return {}

    def end_all(self) -> None:
        """The service ends: make all jobs end."""
        for run in list(self._runs.values()):
            run.end(Ending.SHUTDOWN)

    def join(self) -> None:
        """Wait until nothing of any job is left."""
        for run in list(self._runs.values()):
            run.join()

    def _find(self, name: str) -> TrainingJob:
        job = self._store.training_jobs.get(name)
        if job is None:
            raise ResourceNotFoundError("Requested resource not found.")
        return job

    def _forget(self, name: str) -> None:
        with self._store.lock:
            self._runs.pop(name, None)

    def _fail_interrupted(self) -> None:
        """Jobs that ran when an earlier service was killed."""
        with self._store.change():
            for job in self._store.training_jobs.values():
                if not job.has_ended:
                    job.failure_reason = "InternalServerError: The local service ended while the job was running."
                    job.move("Failed", "Training job failed", "Failed")

    def _check_quota(self, request: Mapping[str, Any]) -> None:
        wanted = request["ResourceConfig"]["InstanceType"]
        quota = f"{wanted} for training job usage"
        limit = self._platform.config.quotas.get(quota)
        used = Counter(
            job.request["ResourceConfig"]["InstanceType"]
            for job in self._store.training_jobs.values()
            if not job.has_ended
        )[wanted]
        if limit is not None and used + 1 > limit:
            raise ResourceLimitExceededError(quota_message(quota, limit, used))


def quota_message(quota: str, limit: int, used: int) -> str:
    """How AWS says that a quota is used up."""
    return (
        f"The account-level service limit '{quota}' is {limit} Instances, with current utilization of {used} Instances "
        "and a request delta of 1 Instances. Please use AWS Service Quotas to request an increase for this quota. If "
        "AWS Service Quotas is not available, contact AWS support to request an increase for this quota."
    )


def _times(job: TrainingJob) -> dict[str, Any]:
    times: dict[str, Any] = {}
    if job.started_at is not None:
        times["TrainingStartTime"] = job.started_at
    if job.ended_at is not None:
        times["TrainingEndTime"] = job.ended_at
    if job.started_at is not None and job.ended_at is not None:
        seconds = max(1, round(job.ended_at - job.started_at))
        times |= {"TrainingTimeInSeconds": seconds, "BillableTimeInSeconds": seconds}
    return times


def _summary(job: TrainingJob) -> dict[str, Any]:
    summary = {
        "TrainingJobName": job.name,
        "TrainingJobArn": job.arn,
        "CreationTime": job.created_at,
        "LastModifiedTime": job.modified_at,
        "TrainingJobStatus": job.status,
        "SecondaryStatus": job.secondary_status,
    }
    return summary | ({"TrainingEndTime": job.ended_at} if job.ended_at is not None else {})


def _check_rules(request: Mapping[str, Any]) -> None:
    """What SageMaker checks beyond its model.

    Raises:
        ValidationError: one of these does not hold.
    """
    for name in ("AlgorithmSpecification", "ResourceConfig", "StoppingCondition"):
        if name not in request:
            raise ValidationError(f"{name} is required for a training job.")
    if "TrainingImage" not in request["AlgorithmSpecification"]:
        raise ValidationError("You must specify a TrainingImage or an AlgorithmName.")
    for name in ("InstanceType", "InstanceCount", "VolumeSizeInGB"):
        if name not in request["ResourceConfig"]:
            raise ValidationError(f"ResourceConfig lacks {name}.")
    if len(request.get("HyperParameters", {})) > _MAX_HYPERPARAMETERS:
        raise ValidationError(f"A training job takes at most {_MAX_HYPERPARAMETERS} hyperparameters.")
    runtime_seconds = request["StoppingCondition"].get("MaxRuntimeInSeconds", 0)
    if runtime_seconds > _MAX_RUNTIME_SECONDS:
        raise ValidationError(f"MaxRuntimeInSeconds must be at most {_MAX_RUNTIME_SECONDS} (28 days).")
    if "MaxWaitTimeInSeconds" in request["StoppingCondition"]:
        raise ValidationError("MaxWaitTimeInSeconds above 0 is only allowed for Managed Spot Training.")
    names = [channel["ChannelName"] for channel in request.get("InputDataConfig", [])]
    if len(names) != len(set(names)):
        raise ValidationError("Channel names must be unique within InputDataConfig.")


def _check_supported(request: Mapping[str, Any]) -> None:
    """Refuse what would be accepted and then not done.

    Raises:
        NotImplementedLocallyError: the request asks for such a thing.
    """
    for name, value in request.items():
        if name not in _IMPLEMENTED and value:
            raise NotImplementedLocallyError(f"CreateTrainingJob with {name}")
    algorithm, resources = request.get("AlgorithmSpecification", {}), request.get("ResourceConfig", {})
    refused = {
        "AlgorithmSpecification.AlgorithmName": "AlgorithmName" in algorithm,
        "TrainingInputMode Pipe": algorithm.get("TrainingInputMode") == "Pipe",
        "ResourceConfig.InstanceCount other than 1": resources.get("InstanceCount", 1) != 1,
        "ResourceConfig.InstanceGroups": bool(resources.get("InstanceGroups")),
        "ResourceConfig.KeepAlivePeriodInSeconds": bool(resources.get("KeepAlivePeriodInSeconds")),
        "OutputDataConfig.CompressionType NONE": request["OutputDataConfig"].get("CompressionType") == "NONE",
        "OutputDataConfig on https": not request["OutputDataConfig"]["S3OutputPath"].startswith("s3://"),
    }
    for channel in request.get("InputDataConfig", []):
        source = channel["DataSource"].get("S3DataSource", {})
        refused |= {
            "a channel that is not in S3": not source,
            "S3DataType other than S3Prefix": source.get("S3DataType") != "S3Prefix",
            "a channel of InputMode Pipe": channel.get("InputMode") == "Pipe",
            "a channel with a RecordWrapper": channel.get("RecordWrapperType", "None") != "None",
            "ShuffleConfig": "ShuffleConfig" in channel,
        }
        if any(refused.values()):
            break
    local_path = request.get("CheckpointConfig", {}).get("LocalPath", str(CONTAINER_BASE_DIR))
    refused["CheckpointConfig.LocalPath outside /opt/ml"] = not local_path.startswith(f"{CONTAINER_BASE_DIR}")
    for what, is_asked in refused.items():
        if is_asked:
            raise NotImplementedLocallyError(f"CreateTrainingJob with {what}")
