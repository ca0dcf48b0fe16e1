"""The control API's runs: start one, find it, cancel it, redrive it, its report and artifacts.

A run begins when its execution starts; its record is written a moment later, by AdmitRun. In between, the stored
request and the execution of the same name are the record.
"""

import itertools
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from pipeline.api import environments
from pipeline.api.environments import Environments
from pipeline.aws import clients, executions, presigned
from pipeline.aws.executions import Execution
from pipeline.aws.known_requests import KeyedRequest, KnownRequests
from pipeline.aws.objects import ObjectStore
from pipeline.aws.runs_table import RunsTable
from pipeline.contracts.api import AcceptedRun, ArtifactLinks
from pipeline.contracts.base import RUN_ID_PATTERN
from pipeline.contracts.cost import CostEstimate
from pipeline.contracts.evaluation import EvaluationReport
from pipeline.contracts.request import TrainingRequest
from pipeline.contracts.run import Failure, RunRecord, RunStatus
from pipeline.contracts.states import ApiEvent, RedriveEvent
from pipeline.errors import (
    BuildNotFoundError,
    ConflictError,
    NotYetConsistentError,
    ReportNotFoundError,
    RunNotFoundError,
)
from pipeline.rules import names
from pipeline.rules.cost import check_affordable, estimate
from pipeline.rules.environments import located
from pipeline.rules.run_options import as_asked, settle
from pipeline.rules.runs import cancelled, redriven
from pipeline.settings import ControlReadSettings, ControlWriteSettings, PriceSettings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_stepfunctions import SFNClient

ACCEPTED = "Accepted"
"""The state of a run whose execution has not yet reached AdmitRun's end."""

REPORT = "evaluation_report.json"
"""The artifact that an evaluation leaves (steps/promotion.py)."""

_RUN_ID = re.compile(RUN_ID_PATTERN)


@dataclass(frozen=True)
class Runs:
    """All runs of the stack, as the API sees them."""

    table: RunsTable
    known_requests: KnownRequests
    objects: ObjectStore
    environments: Environments
    s3: "S3Client"
    stepfunctions: "SFNClient"
    state_machine_arn: str

    def start(self, request: TrainingRequest, prices: PriceSettings, idempotency_key: str | None = None) -> AcceptedRun:
        """Start the run that this request describes.

        The same request for the same build names the same run, until that has failed or was cancelled: then it is tried
        again as the next attempt, which two equal requests at once name alike, too. With an idempotency key, the same
        key and request are the same run, whatever has come of it; another key is another run.

        Raises:
            BuildNotFoundError: the build is not there, or not in this version.
            EnvironmentNotMirroredError: it names an environment of a registry that is not in the bucket.
            InvalidDocumentError: the run could cost more than it may, or another zip is mirrored than it wants.
            IdempotencyKeyReusedError: the key came with another request before.
        """
        keyed = None if idempotency_key is None else KeyedRequest.of(idempotency_key, as_asked(request))
        known = None if keyed is None else self.known_requests.find(keyed)
        if known is not None:
            return self._begin(known, self._stored(known), prices)
        if request.build.registry is not None:
            request = located(request, self.environments.get(request.build.registry))
        options, _ = settle(request)
        check_affordable(options, _estimate(request, prices))
        key = request.build.located_key
        head = self.objects.head(key, request.build.version_id)
        policy = request.policy or _policy_of(key)
        # What is stored says everything: a build replaced in the meantime must not change what this run trains on.
        build = request.build.model_copy(update={"version_id": head.version_id})
        effective = request.model_copy(update={"policy": policy, "build": build})
        text = as_asked(effective)
        version = head.version_id or head.etag
        if keyed is None:
            attempt = partial(names.run_id, policy, self.objects.bucket, key, version, text.decode())
            run_id = next(name for name in map(attempt, itertools.count(1)) if not self._has_failed(name))
        else:
            run_id = names.run_id(policy, self.objects.bucket, key, version, f"{keyed.key_sha256}{text.decode()}")
        self.objects.write(names.request_key(run_id), text, "application/json")
        if keyed is not None:
            run_id = self.known_requests.keep(keyed, run_id, int(time.time()))
        return self._begin(run_id, effective, prices)

    def _begin(self, run_id: str, request: TrainingRequest, prices: PriceSettings) -> AcceptedRun:
        """Start the execution, unless it was before."""
        event = ApiEvent(run_id=run_id, request_key=names.request_key(run_id))
        executions.start(self.stepfunctions, self.state_machine_arn, run_id, event)
        policy, path = request.policy or "", f"/training-runs/{run_id}"
        links = {"self": path, "artifacts": f"{path}/artifacts", "policy": f"/policies/{policy}"}
        cost = _estimate(request, prices)
        return AcceptedRun(run_id=run_id, policy=policy, status=self._status(run_id), estimate=cost, links=links)

    def get(self, run_id: str) -> RunRecord:
        """One run.

        Raises:
            RunNotFoundError: no run has this id.
            NotYetConsistentError: it was accepted, and is not visible yet.
        """
        _check_id(run_id)
        try:
            return self.table.get(run_id)
        except RunNotFoundError:
            return self._accepted(run_id)

    def cancel(self, run_id: str) -> RunRecord:
        """End the run, whatever it is doing; what it has made is taken back by the sweeper, which is told of its end.

        First the record says so, then the execution is stopped: a state that is at work meanwhile finds its run over.

        Returns:
            The record. It is open until what was made is taken back; a run that was over stays as it was.

        Raises:
            RunNotFoundError: no run has this id.
            NotYetConsistentError: it was accepted, and is not visible yet.
            ThrottledError, ServiceUnavailableError: AWS could not answer; the call may be repeated.
        """
        record = self.get(run_id)
        if not record.status.is_final:
            self.table.admit(record)  # does nothing unless AdmitRun has not come so far, and will find this one
            record = self.table.update(run_id, lambda known: cancelled(known, datetime.now(UTC)))
        if record.status is RunStatus.CANCELLED and record.is_open:
            executions.stop(self.stepfunctions, record.execution_arn)
        return record

    def redrive(self, run_id: str) -> RunRecord:
        """Begin a run that failed or was cancelled again, with its build and options, after its last completed job.

        First the record says so, then the execution is started; a call that is repeated makes up for a lost start.

        Raises:
            RunNotFoundError: no run has this id.
            ConflictError: the run did not fail, and was not cancelled, or it has lost its build.
            NotYetConsistentError: what it made is still being taken back.
            ThrottledError, ServiceUnavailableError: AWS could not answer; the call may be repeated.
        """
        _check_id(run_id)
        record = self.table.get(run_id)
        if record.status.is_final or record.attempt == 1:
            self._require_build(record)
            event = RedriveEvent(run_id=run_id, attempt=record.attempt + 1)
            arn = executions.execution_arn(self.state_machine_arn, event.execution_name)
            record = self.table.update(run_id, lambda known: redriven(known, datetime.now(UTC), arn))
        event = RedriveEvent(run_id=run_id, attempt=record.attempt)
        executions.start(self.stepfunctions, self.state_machine_arn, event.execution_name, event)
        return record

    def _require_build(self, record: RunRecord) -> None:
        try:
            self.objects.head(record.build_key)
        except BuildNotFoundError as error:
            raise ConflictError(
                f"The run {record.run_id} has no build to go on with.", "Upload the build and start a new run."
            ) from error

    def report(self, run_id: str) -> EvaluationReport:
        """The evaluation's report.

        Raises:
            RunNotFoundError: no run has this id.
            ReportNotFoundError: it was not evaluated, or not yet.
        """
        key = self.get(run_id).artifacts.get(REPORT)
        if key is None:
            raise ReportNotFoundError(f"The run {run_id} has no report of an evaluation.")
        try:
            return EvaluationReport.model_validate_json(self.objects.read(key))
        except BuildNotFoundError as error:
            raise ReportNotFoundError(f"The report of the run {run_id} was removed.") from error

    def artifacts(self, run_id: str) -> ArtifactLinks:
        """Presigned URLs of what the run has made so far.

        Raises:
            RunNotFoundError: no run has this id.
        """
        keys = self.get(run_id).artifacts
        urls = {name: presigned.download_url(self.s3, self.objects.bucket, key) for name, key in sorted(keys.items())}
        return ArtifactLinks(artifacts=urls, expires_in_seconds=presigned.EXPIRES_IN_SECONDS)

    def _has_failed(self, run_id: str) -> bool:
        """Whether there is such a run, and nothing will come of it any more."""
        try:
            return self.table.get(run_id).status in {RunStatus.FAILED, RunStatus.CANCELLED}
        except RunNotFoundError:
            execution = executions.describe(self.stepfunctions, self.state_machine_arn, run_id)
            return execution is not None and execution.status not in ("RUNNING", "SUCCEEDED")

    def _status(self, run_id: str) -> RunStatus:
        """RUNNING unless an earlier, equal request has come further."""
        try:
            return self.table.get(run_id).status
        except RunNotFoundError:
            return RunStatus.RUNNING

    def _accepted(self, run_id: str) -> RunRecord:
        request = self._stored(run_id)
        execution = executions.describe(self.stepfunctions, self.state_machine_arn, run_id)
        if execution is None:  # DescribeExecution is eventually consistent
            raise NotYetConsistentError(f"The run {run_id!r} was accepted just now.", "Ask again in some seconds.")
        return _record(run_id, request, execution)

    def _stored(self, run_id: str) -> TrainingRequest:
        try:
            text = self.objects.read(names.request_key(run_id))
        except BuildNotFoundError as error:
            raise RunNotFoundError(f"There is no run {run_id!r}.") from error
        return TrainingRequest.model_validate_json(text)


def connect(settings: ControlReadSettings | ControlWriteSettings) -> Runs:
    """The runs of the stack that the environment names."""
    return Runs(
        RunsTable(clients.dynamodb(), settings.runs_table),
        KnownRequests(clients.dynamodb(), settings.runs_table),
        ObjectStore(clients.s3(), settings.bucket_name),
        environments.connect(settings.bucket_name),
        clients.s3(),
        clients.stepfunctions(),
        settings.state_machine_arn,
    )


def _estimate(request: TrainingRequest, prices: PriceSettings) -> CostEstimate:
    return estimate(settle(request)[0], prices.training_instance_type, prices.evaluation_instance_type)


def _check_id(run_id: str) -> None:
    if not _RUN_ID.fullmatch(run_id):
        raise RunNotFoundError(f"{run_id!r} is no run's id.")


def _policy_of(key: str) -> str:
    return names.policy_from_key(key) if key.startswith(names.BUILDS_PREFIX) else names.policy_from_upload(key)


def _record(run_id: str, request: TrainingRequest, execution: Execution) -> RunRecord:
    running = execution.status == "RUNNING"
    options, notes = settle(request)
    failure = Failure(
        code="NotAdmitted",
        state="AdmitRun",
        cause=f"The run ended ({execution.status}) before it was recorded. {execution.cause or ''}".strip(),
        remedy="Send the request again; if it lasts, look into the state machine's log.",
    )
    return RunRecord(
        run_id=run_id,
        policy=request.policy or "",
        status=RunStatus.RUNNING if running else RunStatus.FAILED,
        state=ACCEPTED,
        created_at=execution.started_at,
        updated_at=execution.stopped_at or execution.started_at,
        finished_at=execution.stopped_at,
        execution_arn=execution.arn,
        source_key=request.build.located_key,
        build_key=names.run_key(run_id, "build.zip"),
        options=options,
        notes=notes,
        failure=None if running else failure,
    )
