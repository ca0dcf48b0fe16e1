"""Training and evaluation jobs: create them, then look at them until they end."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pipeline.aws import job_logs, training_jobs
from pipeline.aws.objects import ObjectStore
from pipeline.aws.policies_table import PoliciesTable
from pipeline.aws.runs_table import RunsTable
from pipeline.aws.training_jobs import JobDescription, JobRequest
from pipeline.contracts.job import EvaluationJobConfig, TrainingJobInput, to_hyperparameters
from pipeline.contracts.request import RunOptions
from pipeline.contracts.run import JobRecord, Progress, RunRecord
from pipeline.contracts.states import ExtractedCheckpoint, InspectedBuild, JobHandle, JobPoll, RunReference
from pipeline.errors import (
    BuildNotFoundError,
    DeadlineExceededError,
    EvaluationFailedError,
    RunEndedError,
    StepFailedError,
    TrainingFailedError,
)
from pipeline.rules import names
from pipeline.rules.cost import with_price
from pipeline.rules.instances import has_own_disks
from pipeline.rules.job_failures import is_explained, job_failure
from pipeline.rules.statuses import Outlook, job_outlook
from pipeline.rules.waiting import wait_seconds
from pipeline.settings import JobSettings
from pipeline.steps.records import check_wanted, entered, now

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_sagemaker import SageMakerClient

QUEUE_SECONDS = 6 * 3600
"""How long a job may wait for a machine beside the time that it may run."""

_ENDING_SECONDS = 900
"""For SageMaker to end a job that has reached a limit of its own, and to say so."""

_JobField = Literal["training_job", "evaluation_job"]
_ARTIFACT = "model.tar.gz"
_COUNTS = {"env_steps", "env_steps_limit", "episodes", "iteration"}


def start_training(
    run: RunReference,
    build: InspectedBuild,
    state: str,
    settings: JobSettings,
    default_instance_type: str,
    sagemaker: "SageMakerClient",
    runs: RunsTable,
) -> JobHandle:
    """Create the training job and record it.

    Raises:
        RunNotFoundError, TrainingFailedError: there is no artifact of the run to begin with, or none whose hash it
            recorded.
        CapacityError, ThrottledError, ServiceUnavailableError, PipelineError: SageMaker does not take the job.
    """
    record = runs.get(run.run_id)
    options = with_price(record.options, default_instance_type)
    config = options.training_job()
    environment = config.environment.model_copy(update={"executable": build.executable})
    channels, digest = _initial_channel(run, options.start_from, runs)
    told = config.model_copy(update={"environment": environment})
    instance_type = options.instances.instance_type or default_instance_type
    request = JobRequest(
        name=_name(record, record.training_job, "train", settings),
        run_id=run.run_id,
        policy=run.policy,
        tags=names.tags(settings.resource_prefix, run.policy, run.run_id),
        image_uri=settings.training_image_uri,
        role_arn=settings.job_role_arn,
        entrypoint=None,
        hyperparameters=to_hyperparameters(TrainingJobInput(**dict(told), initial_sha256=digest)),
        channels={"build": _uri(run, run.build_key), **channels},
        output_uri=_uri(run, names.run_key(run.run_id, "output")),
        checkpoint_uri=_uri(run, names.run_key(run.run_id, "checkpoints/")),
        instance_type=instance_type,
        instance_count=options.instances.instance_count,
        volume_size_gb=options.instances.volume_size_gb,
        max_runtime_seconds=options.instances.max_runtime_seconds,
        max_wait_seconds=options.instances.max_runtime_seconds + QUEUE_SECONDS if options.instances.spot else None,
        **_keys(settings, instance_type),
    )
    return _start(request, state, settings.poll_min_seconds, sagemaker, runs, "training_job")


def _initial_channel(run: RunReference, start_from: str | None, runs: RunsTable) -> tuple[dict[str, str], str | None]:
    """The artifact of the run to begin with, as one more channel of the training job, and the hash recorded of it."""
    if start_from is None:
        return {}, None
    earlier = runs.get(start_from)
    key = earlier.artifacts.get(_ARTIFACT)
    if key is None:
        raise TrainingFailedError(
            f"The run {start_from}, which this one is to begin with, has left no {_ARTIFACT}.",
            "Name a run whose training has succeeded.",
        )
    if earlier.artifact_sha256 is None:
        raise TrainingFailedError(
            f"The run {start_from}, which this one is to begin with, recorded no hash of its {_ARTIFACT}.",
            "Train that run's build again, and name the new run.",
        )
    return {"initial": _uri(run, key)}, earlier.artifact_sha256


def start_evaluation(
    run: RunReference,
    build: InspectedBuild,
    checkpoint: ExtractedCheckpoint,
    state: str,
    settings: JobSettings,
    instance_type: str,
    sagemaker: "SageMakerClient",
    objects: ObjectStore,
    runs: RunsTable,
    policies: PoliciesTable,
) -> JobHandle:
    """Create the evaluation job and record it.

    A try that comes after the job was created finds the job as it is, with the policy that was in service then: its
    report names that policy, and DecidePromotion looks whether it still is in service.

    Raises:
        CapacityError, ThrottledError, ServiceUnavailableError, PipelineError: SageMaker does not take the job.
    """
    record = runs.get(run.run_id)
    options = record.options
    config = EvaluationJobConfig(
        episodes=options.evaluation.episodes,
        seed=options.evaluation.seed,
        success_return=options.evaluation.success_return,
        replay_episodes=options.evaluation.replay_episodes,
        environment=options.environment.model_copy(update={"executable": build.executable}),
    )
    request = JobRequest(
        name=_name(record, record.evaluation_job, "eval", settings),
        run_id=run.run_id,
        policy=run.policy,
        tags=names.tags(settings.resource_prefix, run.policy, run.run_id),
        image_uri=settings.training_image_uri,
        role_arn=settings.job_role_arn,
        entrypoint="evaluate",
        hyperparameters=to_hyperparameters(config),
        channels={
            "build": _uri(run, run.build_key),
            "model": _uri(run, checkpoint.serving_artifact_key),
            **_incumbent_channel(run, options, objects, policies),
        },
        output_uri=_uri(run, names.run_key(run.run_id, "output")),
        checkpoint_uri=None,
        instance_type=instance_type,
        instance_count=1,
        volume_size_gb=options.instances.volume_size_gb,
        max_runtime_seconds=options.evaluation.max_runtime_seconds,
        **_keys(settings, instance_type),
    )
    return _start(request, state, settings.poll_min_seconds, sagemaker, runs, "evaluation_job")


def _incumbent_channel(
    run: RunReference, options: RunOptions, objects: ObjectStore, policies: PoliciesTable
) -> dict[str, str]:
    """The policy in service, as one more channel of the evaluation job; none where there is nothing to compare with."""
    if options.evaluation.promote_if == "always":
        return {}
    version = policies.version_in_service(run.policy)
    if version is None or version == run.run_id:
        return {}
    key = names.serving_artifact_key(version)
    try:
        objects.head(key)
    except BuildNotFoundError:
        return {}  # somebody removed it; SageMaker would refuse the whole job
    return {"incumbent": _uri(run, key)}


def check_training(
    run: RunReference,
    job: JobHandle,
    state: str,
    poll_min_seconds: int,
    sagemaker: "SageMakerClient",
    logs: "CloudWatchLogsClient",
    runs: RunsTable,
) -> JobPoll:
    """Look at the training job, and copy its metrics into the run record.

    Raises:
        TrainingFailedError: it failed, was stopped, or is none of this run's.
        DeadlineExceededError: it takes longer than it may.
    """
    description = _described(run, job, state, sagemaker, runs, "training_job", TrainingFailedError)
    progress = _progress(description.metrics)
    runs.update(
        run.run_id,
        lambda known: entered(known, state, training_job=_record(description), progress=progress or known.progress),
    )
    return _polled(run, job, description, poll_min_seconds, TrainingFailedError, logs)


def check_evaluation(
    run: RunReference,
    job: JobHandle,
    state: str,
    poll_min_seconds: int,
    sagemaker: "SageMakerClient",
    logs: "CloudWatchLogsClient",
    runs: RunsTable,
) -> JobPoll:
    """Look at the evaluation job.

    Raises:
        EvaluationFailedError: it failed, was stopped, or is none of this run's.
        DeadlineExceededError: it takes longer than it may.
    """
    description = _described(run, job, state, sagemaker, runs, "evaluation_job", EvaluationFailedError)
    runs.update(run.run_id, lambda known: entered(known, state, evaluation_job=_record(description)))
    return _polled(run, job, description, poll_min_seconds, EvaluationFailedError, logs)


def _start(
    request: JobRequest,
    state: str,
    poll_min_seconds: int,
    sagemaker: "SageMakerClient",
    runs: RunsTable,
    field: _JobField,
) -> JobHandle:
    # First the record, then the job: FinishRun stops what is written there, and a job that nobody knows of costs money.
    job = JobRecord(name=request.name, status="Requested")
    runs.update(request.run_id, lambda known: entered(known, state, **({} if getattr(known, field) else {field: job})))
    training_jobs.create(sagemaker, request)
    _stop_if_unwanted(request, sagemaker, runs)
    started = int(now().timestamp())
    return JobHandle(
        job_name=request.name,
        wait_seconds=poll_min_seconds,
        started_at_epoch=started,
        deadline_epoch=started + request.max_runtime_seconds + QUEUE_SECONDS + _ENDING_SECONDS,
    )


def _name(record: RunRecord, known: JobRecord | None, step: str, settings: JobSettings) -> str:
    """The job that the record knows, of an earlier try of this state or of an earlier attempt; else a new one's."""
    return known.name if known else names.job_name(settings.resource_prefix, record.run_id, step, record.attempt)


def _stop_if_unwanted(request: JobRequest, sagemaker: "SageMakerClient", runs: RunsTable) -> None:
    """Whoever cancels a run writes that first and stops its jobs then; one that was not there yet is stopped here."""
    try:
        check_wanted(runs.get(request.run_id))
    except RunEndedError:
        training_jobs.stop(sagemaker, request.name)
        raise


def _described(
    run: RunReference,
    job: JobHandle,
    state: str,
    sagemaker: "SageMakerClient",
    runs: RunsTable,
    field: _JobField,
    failure: type[StepFailedError],
) -> JobDescription:
    """A job whose name was in use when it was to be created is the run's own, as a rule: of an earlier try."""
    description = training_jobs.describe(sagemaker, job.job_name)
    if description.run_id != run.run_id:
        runs.update(run.run_id, lambda known: entered(known, state, **{field: None}))  # it is not ours to stop
        raise failure(
            f"The name {job.job_name} is in use by a job that this run has not created.",
            "Deploy the stack with another Stage, or start a run with another seed.",
        )
    return description


def _polled(
    run: RunReference,
    job: JobHandle,
    description: JobDescription,
    poll_min_seconds: int,
    failure: type[StepFailedError],
    logs: "CloudWatchLogsClient",
) -> JobPoll:
    outlook = job_outlook(description.status)
    if outlook is Outlook.FAILED:
        raise _ended_badly(description, failure, logs)
    moment = now().timestamp()
    if outlook is Outlook.WAIT and moment > job.deadline_epoch:
        raise DeadlineExceededError(
            f"The job {job.job_name} is still {description.status} after {int(moment) - job.started_at_epoch} s.",
            "Ask AWS whether the instance type has capacity in this region, or choose another one.",
        )
    return JobPoll(
        job_name=job.job_name,
        done=outlook is Outlook.DONE,
        wait_seconds=wait_seconds(moment - job.started_at_epoch, poll_min_seconds),
        started_at_epoch=job.started_at_epoch,
        deadline_epoch=job.deadline_epoch,
        status=description.status,
        secondary_status=description.secondary_status,
        model_artifact_key=_key(run, description.artifact_uri),
    )


def _ended_badly(job: JobDescription, failure: type[StepFailedError], logs: "CloudWatchLogsClient") -> StepFailedError:
    if job.secondary_status == "MaxRuntimeExceeded":
        ours = failure is TrainingFailedError
        field, less = ("instances", "a smaller stop.env_steps") if ours else ("evaluation", "fewer evaluation.episodes")
        return failure(
            f"The job ran longer than its limit of {job.max_runtime_seconds} s.",
            f"Raise {field}.max_runtime_seconds, or ask for {less}.",
        )
    if job.secondary_status == "MaxWaitTimeExceeded":
        return failure(
            "[Capacity] Spot machines were not to be had, or were taken away, for longer than the job may wait.",
            "Start the run again with instances.spot false, or choose another instances.instance_type.",
        )
    if job.status == "Stopped":
        return failure("The job was stopped from outside.", "Start the run again.")
    log = "" if is_explained(job.failure_reason) else job_logs.tail(logs, job.name)
    found = job_failure(job.failure_reason, log)
    # The code goes in front, where `failures.classify` finds it again.
    return failure(f"[{found.code}] {found.cause}" if found.code else found.cause, found.remedy)


def _progress(metrics: Mapping[str, float]) -> Progress | None:
    """SageMaker keeps every metric as a float; those that count something are whole numbers."""
    known = {name: metrics[name] for name in Progress.model_fields if name in metrics}
    if not known:
        return None
    return Progress.model_validate({name: int(known[name]) if name in _COUNTS else known[name] for name in known})


def _record(job: JobDescription) -> JobRecord:
    return JobRecord(
        name=job.name,
        status=job.status,
        secondary_status=job.secondary_status,
        started_at=job.started_at or job.created_at,
        ended_at=job.ended_at,
    )


def _keys(settings: JobSettings, instance_type: str) -> dict[str, str | None]:
    """The KMS keys of a job, if there is one to be used."""
    volume = None if has_own_disks(instance_type) else settings.kms_key
    return {"output_key_arn": settings.kms_key, "volume_key_arn": volume}


def _uri(run: RunReference, key: str) -> str:
    return f"s3://{run.bucket}/{key}"


def _key(run: RunReference, uri: str | None) -> str | None:
    return uri.removeprefix(f"s3://{run.bucket}/") if uri else None
