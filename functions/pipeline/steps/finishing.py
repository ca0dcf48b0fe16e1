"""FinishRun: stop what still runs, take back what failed, write the outcome, notify."""

from typing import TYPE_CHECKING, Any

from pipeline.aws import endpoints, notifications, training_jobs
from pipeline.aws.objects import ObjectStore
from pipeline.aws.policies_table import PoliciesTable
from pipeline.aws.runs_table import RunsTable
from pipeline.contracts.base import Contract
from pipeline.contracts.request import RunOptions
from pipeline.contracts.run import Failure, HistoryEntry, RunRecord, RunStatus
from pipeline.contracts.states import EndpointHandle
from pipeline.errors import RunNotFoundError
from pipeline.rules.failures import classify
from pipeline.rules.statuses import Outlook, job_outlook
from pipeline.steps.admission import Admission, identify
from pipeline.steps.records import now

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sns import SNSClient


class Finished(Contract):
    """What the state machine's last Choice reads."""

    run_id: str
    outcome: RunStatus
    error: str = ""
    cause: str = ""


def finish_run(
    execution_arn: str,
    document: dict[str, Any],
    topic_arn: str,
    sagemaker: "SageMakerClient",
    sns: "SNSClient",
    objects: ObjectStore,
    runs: RunsTable,
    policies: PoliciesTable,
) -> Finished:
    """End the run whichever way it went. May be called again: what is done stays done."""
    record = _record(execution_arn, document, objects, runs)
    failure = _failure(document, record.state)
    if failure is not None:
        _stop_jobs(record, sagemaker)
        _restore_endpoint(document, sagemaker)
    policies.release_lease(record.policy, record.run_id)
    first_time = not record.status.is_final
    if first_time:
        status = _outcome(document, failure)
        record = runs.update(record.run_id, lambda known: _finished(known, status, failure))
        notifications.publish_outcome(sns, topic_arn, record)
    return Finished(
        run_id=record.run_id,
        outcome=record.status,
        error=record.failure.code if record.failure else "",
        cause=f"{record.failure.cause} Remedy: {record.failure.remedy}" if record.failure else "",
    )


def _record(execution_arn: str, document: dict[str, Any], objects: ObjectStore, runs: RunsTable) -> RunRecord:
    """The run's record; AdmitRun may have failed before it could tell the run's id, or write the record."""
    run = document.get("run")
    if run is not None:
        return runs.get(str(run["run_id"]))
    admission = identify(document, objects)
    try:
        return runs.get(admission.run_id)
    except RunNotFoundError:
        record = _unadmitted(execution_arn, admission)
        runs.admit(record)
        return record


def _unadmitted(execution_arn: str, admission: Admission) -> RunRecord:
    moment = now()
    return RunRecord(
        run_id=admission.run_id,
        policy=admission.policy,
        status=RunStatus.RUNNING,
        state="AdmitRun",
        created_at=moment,
        updated_at=moment,
        execution_arn=execution_arn,
        source_key=admission.source_key,
        build_key=admission.source_key,
        options=admission.options or RunOptions(),
        history=(HistoryEntry(state="AdmitRun", at=moment),),
    )


def _failure(document: dict[str, Any], state: str) -> Failure | None:
    error = document.get("error")
    return classify(state, str(error.get("Error", "")), str(error.get("Cause", ""))) if error else None


def _outcome(document: dict[str, Any], failure: Failure | None) -> RunStatus:
    if failure is not None:
        return RunStatus.FAILED
    return RunStatus.SUCCEEDED if document["promotion"]["promote"] else RunStatus.KEPT


def _finished(known: RunRecord, status: RunStatus, failure: Failure | None) -> RunRecord:
    moment = now()
    history = (*known.history, HistoryEntry(state="FinishRun", at=moment))
    return known.model_copy(
        update={
            "status": status,
            "state": "FinishRun",
            "failure": failure,
            "updated_at": moment,
            "finished_at": moment,
            "history": history,
        }
    )


def _stop_jobs(record: RunRecord, sagemaker: "SageMakerClient") -> None:
    for job in (record.training_job, record.evaluation_job):
        if job is not None and job_outlook(job.status) is Outlook.WAIT:
            training_jobs.stop(sagemaker, job.name)


def _restore_endpoint(document: dict[str, Any], sagemaker: "SageMakerClient") -> None:
    """Back to the former config, or no endpoint if there was none before; nothing once the policy was verified."""
    if "endpoint" not in document or "verified" in document:
        return
    fields = {name: value for name, value in document["endpoint"].items() if name in EndpointHandle.model_fields}
    handle = EndpointHandle.model_validate(fields)
    found = endpoints.describe(sagemaker, handle.endpoint_name)
    if found is None or found.config_name != handle.config_name:
        return
    if handle.created:
        endpoints.delete(sagemaker, handle.endpoint_name)
    elif handle.previous_config_name and found.status == "InService":
        endpoints.update(sagemaker, handle.endpoint_name, handle.previous_config_name)
