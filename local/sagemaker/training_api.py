"""CreateTrainingJob, DescribeTrainingJob, ListTrainingJobs, StopTrainingJob, DeleteTrainingJob."""

from collections.abc import Mapping
from typing import Any

from local.sagemaker.errors import (
    ResourceInUseError,
    ResourceLimitExceededError,
    ResourceNotFoundError,
    ValidationError,
)
from local.sagemaker.listing import page
from local.sagemaker.metrics import LogMetrics
from local.sagemaker.platform import Platform
from local.sagemaker.resources import TrainingJob
from local.sagemaker.tags_api import new_tags
from local.sagemaker.training_rules import check_rules, check_supported
from local.sagemaker.training_run import Ending, TrainingRun, output_uri, settle_without_service
from local.sagemaker.validation import operation_model

_DEFAULT_STOPPING_CONDITION = {"MaxRuntimeInSeconds": 86_400}


class TrainingJobs:
    """The operations, and the jobs that run."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._store = platform.store
        self._runs: dict[str, TrainingRun] = {}
        self._resume()

    def create(self, request: dict[str, Any]) -> dict[str, Any]:
        """CreateTrainingJob."""
        check_supported(request)
        check_rules(request)
        self._platform.image(request["AlgorithmSpecification"]["TrainingImage"])
        LogMetrics(request["AlgorithmSpecification"].get("MetricDefinitions", []))
        name = request["TrainingJobName"]
        now = self._platform.clock.now()
        job = TrainingJob(
            name=name,
            arn=self._platform.config.arn("training-job", name),
            request={"StoppingCondition": _DEFAULT_STOPPING_CONDITION, **request},
            created_at=now,
            modified_at=now,
        )
        job.move("Starting", "Starting the training job", now=now)
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
            run = self._new_run(job)
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
                "EnableManagedSpotTraining": job.is_spot,
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
            return answer | _times(job, self._platform.config.spot_price_share)

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
                job.move("Stopping", "Stopping the training job", "Stopping", now=self._platform.clock.now())
            run = self._runs.get(job.name)
        if run is not None:
            run.end(Ending.STOPPED)
        return {}

    def delete(self, request: dict[str, Any]) -> dict[str, Any]:
        """DeleteTrainingJob; the name is free again."""
        with self._store.change():
            job = self._find(request["TrainingJobName"])
            if not job.has_ended:
                raise ValidationError(f"The request was rejected because the training job is in status {job.status}.")
            del self._store.training_jobs[job.name]
            self._store.tags.pop(job.arn, None)
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

    def _forget(self, name: str, run: TrainingRun) -> None:
        with self._store.lock:
            if self._runs.get(name) is run:  # else its job was deleted, and another has the name
                del self._runs[name]

    def _new_run(self, job: TrainingJob) -> TrainingRun:
        run = TrainingRun(job, self._platform, on_end=lambda: self._forget(job.name, run))
        self._runs[job.name] = run
        return run

    def _resume(self) -> None:
        """Jobs that ran when an earlier service ended: spot jobs are restarted, the others have failed."""
        now = self._platform.clock.now()
        with self._store.change():
            for job in self._store.training_jobs.values():
                settle_without_service(job, now=now)
            left = [job for job in self._store.training_jobs.values() if not job.has_ended]
            for job in left:
                job.interruptions += 1
                job.move("Interrupted", "Training job interrupted: the local service ended", now=now)
                job.move("Starting", "Preparing the instances for training", now=now)
        for job in left:
            self._new_run(job).start()

    def _check_quota(self, request: Mapping[str, Any]) -> None:
        resources, spot = request["ResourceConfig"], bool(request.get("EnableManagedSpotTraining"))
        instance_type, wanted = resources["InstanceType"], resources["InstanceCount"]
        quota = f"{instance_type} for {'spot ' if spot else ''}training job usage"
        limit = self._platform.config.quotas.get(quota)
        used = sum(
            job.instance_count
            for job in self._store.training_jobs.values()
            if not job.has_ended
            and job.is_spot == spot
            and job.request["ResourceConfig"]["InstanceType"] == instance_type
        )
        if limit is not None and used + wanted > limit:
            raise ResourceLimitExceededError(quota_message(quota, limit, used, wanted))


def quota_message(quota: str, limit: int, used: int, wanted: int) -> str:
    """How AWS says that a quota is used up."""
    return (
        f"The account-level service limit '{quota}' is {limit} Instances, with current utilization of {used} Instances "
        f"and a request delta of {wanted} Instances. Please use AWS Service Quotas to request an increase for this "
        "quota. If AWS Service Quotas is not available, contact AWS support to request an increase for this quota."
    )


def _times(job: TrainingJob, spot_price_share: float) -> dict[str, Any]:
    """Times of Training only: what is waited for capacity costs nothing."""
    times: dict[str, Any] = {}
    if job.started_at is not None:
        times["TrainingStartTime"] = job.started_at
    if job.ended_at is not None:
        times["TrainingEndTime"] = job.ended_at
    if job.started_at is not None and job.ended_at is not None:
        share = spot_price_share if job.is_spot else 1.0
        times["TrainingTimeInSeconds"] = max(1, round(job.trained_seconds))
        times["BillableTimeInSeconds"] = max(1, round(job.trained_seconds * share))
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
