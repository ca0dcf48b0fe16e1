"""FinishRun: stop what still runs, take back what failed, write the outcome, notify."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from pipeline.aws import endpoints, notifications, scaling, training_jobs
from pipeline.aws.clients import HostingClients
from pipeline.aws.objects import ObjectStore
from pipeline.aws.policies_table import PoliciesTable
from pipeline.aws.runs_table import RunsTable
from pipeline.aws.turns_table import TurnsTable
from pipeline.contracts.base import Contract
from pipeline.contracts.policy import CurrentPolicy
from pipeline.contracts.request import EndpointRequest
from pipeline.contracts.run import EndpointRecord, Failure, HistoryEntry, RunRecord, RunStatus
from pipeline.errors import BuildNotFoundError, NotYetConsistentError, PipelineError, RunNotFoundError
from pipeline.rules import names
from pipeline.rules.cost import spent_usd
from pipeline.rules.failures import FOR_OPERATORS, classify
from pipeline.rules.statuses import Outlook, endpoint_outlook, job_outlook
from pipeline.rules.turns import released
from pipeline.steps.admission import first_record, identify, identify_unread, recorded_run
from pipeline.steps.records import now

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient

_STATE = "FinishRun"


class Finished(Contract):
    """What the state machine's last Choice reads, and what the log's metrics are made of (template.yaml).

    `run_id` and `policy` are None when the execution's input names no run. `for_operators`: its failure is for those to
    mend who run the stack. `spent_usd`: by its jobs, at the list's prices.
    """

    run_id: str | None
    policy: str | None = None
    outcome: RunStatus
    error: str = ""
    cause: str = ""
    for_operators: bool = False
    spent_usd: float = 0.0


@dataclass
class _Cleanup:
    """Each part of the cleaning up is tried, whatever became of the others."""

    errors: list[PipelineError] = field(default_factory=list)

    @contextlib.contextmanager
    def part(self) -> Iterator[None]:
        try:
            yield
        except PipelineError as error:
            self.errors.append(error)


def finish_run(
    execution_arn: str,
    document: dict[str, Any],
    topic_arn: str,
    clients: HostingClients,
    sns: "SNSClient",
    objects: ObjectStore,
    runs: RunsTable,
    policies: PoliciesTable,
    turns: TurnsTable,
) -> Finished:
    """End the run whichever way it went. May be called again: what is done stays done.

    Raises:
        PipelineError: something could not be cleaned up yet; the outcome is written all the same.
    """
    failure = _failure(document, "AdmitRun")
    record = _record(execution_arn, document, objects, runs)
    if record is None:
        return _failed(Finished(run_id=None, outcome=RunStatus.FAILED), failure)
    if record.status.is_final:  # a second try, or the sweeper's: the outcome stands, what is left to do is done
        failure = record.failure
    elif failure is not None:
        failure = failure.model_copy(update={"state": record.state})
    cleanup = _Cleanup()
    if failure is not None or record.status is RunStatus.CANCELLED:
        _take_back(record, clients, objects, runs, policies, cleanup)
    if not cleanup.errors:  # an endpoint that is still to be taken back must not change hands
        with cleanup.part():
            policies.release_lease(record.policy, record.run_id)
        with cleanup.part():
            turns.update(partial(released, run_id=record.run_id))
    if not record.status.is_final:
        status, moment = _outcome(document, failure), now()
        record = runs.update(record.run_id, lambda known: _ended(known, status, failure, moment))
    record = _told(record, topic_arn, sns, runs, cleanup)
    if cleanup.errors:
        raise cleanup.errors[0]
    finished = Finished(
        run_id=record.run_id, policy=record.policy, outcome=record.status, spent_usd=spent_usd(record, now())
    )
    return _failed(finished, record.failure)


def _told(record: RunRecord, topic_arn: str, sns: "SNSClient", runs: RunsTable, cleanup: _Cleanup) -> RunRecord:
    """Notify unless that is done, and write down whether anything is left to do, for the next try or the sweeper."""
    notified = record.notified
    if not notified:
        with cleanup.part():
            notifications.publish_outcome(sns, topic_arn, record)
            notified = True

    def told(known: RunRecord) -> RunRecord:
        # A state that was still at work when the run was cancelled may have made something since the record was read.
        left = bool(cleanup.errors) or known.updated_at != record.updated_at
        return known.model_copy(update={"notified": notified, "cleanup_pending": left})

    return runs.update(record.run_id, told)


def _failed(finished: Finished, failure: Failure | None) -> Finished:
    if failure is None:
        return finished
    return finished.model_copy(
        update={
            "error": failure.code,
            "cause": f"{failure.cause} Remedy: {failure.remedy}",
            "for_operators": failure.code in FOR_OPERATORS,
        }
    )


def _record(execution_arn: str, document: dict[str, Any], objects: ObjectStore, runs: RunsTable) -> RunRecord | None:
    """The run's record; AdmitRun may have failed before it could tell the run's id, or write the record."""
    run = document.get("run") or recorded_run(document)
    if run is not None:
        return _own(runs.get(str(run["run_id"])), execution_arn)
    try:
        admission = identify(document, objects)
    except (PipelineError, ValidationError):
        admission = None
    admission = admission or identify_unread(document)
    if admission is None:
        return None
    try:
        found = runs.get(admission.run_id)
    except RunNotFoundError:
        found = first_record(execution_arn, admission)
        runs.admit(found)
    return _own(found, execution_arn)


def _own(record: RunRecord, execution_arn: str) -> RunRecord | None:
    """Another execution's run, or another attempt of it, is none of ours to end."""
    return record if record.execution_arn == execution_arn else None


def _failure(document: dict[str, Any], state: str) -> Failure | None:
    error = document.get("error")
    return classify(state, str(error.get("Error", "")), str(error.get("Cause", ""))) if error else None


def _outcome(document: dict[str, Any], failure: Failure | None) -> RunStatus:
    if failure is not None:
        return RunStatus.FAILED
    return RunStatus.SUCCEEDED if document["promotion"]["promote"] else RunStatus.KEPT


def _ended(known: RunRecord, status: RunStatus, failure: Failure | None, moment: datetime) -> RunRecord:
    return known.model_copy(
        update={
            "status": status,
            "state": _STATE,
            "failure": failure,
            "updated_at": moment,
            "finished_at": moment,
            "cleanup_pending": True,  # until what follows is done
            "history": (*known.history, HistoryEntry(state=_STATE, at=moment)),
        }
    )


def _take_back(
    record: RunRecord,
    clients: HostingClients,
    objects: ObjectStore,
    runs: RunsTable,
    policies: PoliciesTable,
    cleanup: _Cleanup,
) -> None:
    for job in (record.training_job, record.evaluation_job):
        if job is not None and job_outlook(job.status) is Outlook.WAIT:
            with cleanup.part():
                training_jobs.stop(clients.sagemaker, job.name)
    if record.endpoint is not None:
        with cleanup.part():
            # A run that failed after its policy was verified has nothing to take back: it is what games ask.
            in_service = policies.version_awake(record.policy)
            if in_service != record.version:
                _restore_current(record, objects, policies)
                former = _former_hosting(record.endpoint, in_service, runs)
                if _restore_endpoint(record.endpoint, former, clients) and former is not None:
                    _restore_scaling(record.endpoint.name, former, clients)


def _restore_current(record: RunRecord, objects: ObjectStore, policies: PoliciesTable) -> None:
    """VerifyEndpoint may have told games of the version, and then failed to record that it is in service."""
    key = names.policy_key(record.policy, "current.json")
    try:
        told = CurrentPolicy.model_validate_json(objects.read(key))
    except BuildNotFoundError:
        return
    if told.version != record.version or told.asleep:
        return
    if policies.version_in_service(record.policy) is None:
        objects.delete(key)
        return
    former = policies.history(record.policy)[-1]
    spec_key = names.policy_key(record.policy, f"{former.version}/policy_spec.json")
    current = CurrentPolicy(
        policy=record.policy,
        version=former.version,
        endpoint_name=former.endpoint_name,
        spec_key=spec_key,
        asleep=former.asleep_since is not None,
    )
    objects.write_document(key, current)


def _former_hosting(ours: EndpointRecord, in_service: str | None, runs: RunsTable) -> EndpointRequest | None:
    """How the version in service is served, if it is by this endpoint."""
    if in_service is None:
        return None
    try:
        made_by = runs.get(in_service)
    except RunNotFoundError:
        return None
    return made_by.options.endpoint if made_by.endpoint is not None and made_by.endpoint.name == ours.name else None


def _restore_endpoint(ours: EndpointRecord, former: EndpointRequest | None, clients: HostingClients) -> bool:
    """Back to the former config, or no endpoint if there was none before; answers whether a former version is served.

    Raises:
        NotYetConsistentError: the endpoint is changing; it can be moved once it has settled.
    """
    found = endpoints.describe(clients.sagemaker, ours.name)
    if found is None or (found.status in {"Deleting", "Failed"} and ours.previous_config_name):
        return False  # a Failed endpoint can only be deleted; the next run of the policy does, and makes a new one
    changing = endpoint_outlook(found.status) is Outlook.WAIT
    if found.config_name != ours.config_name and not changing:
        return True  # SageMaker rolled it back, or another run has taken it over
    if ours.previous_config_name is None:
        endpoints.take_down(clients, ours.name)
        return False
    if changing:
        raise NotYetConsistentError(
            f"The endpoint {ours.name} is {found.status}; it is moved back once it has settled."
        )
    has_own_count = former is not None and former.mode == "realtime" and not former.is_scaled
    endpoints.update(clients.sagemaker, ours.name, ours.previous_config_name, keep_count=not has_own_count)
    return True


def _restore_scaling(endpoint: str, former: EndpointRequest, clients: HostingClients) -> None:
    """DeployEndpoint may have ended the former version's autoscaling, or VerifyEndpoint have begun the failed one's."""
    if former.is_scaled:
        scaling.register(clients.autoscaling, endpoint, former)
    elif former.mode == "realtime":
        scaling.deregister(clients.autoscaling, endpoint)
