"""AdmitRun: name the run, refuse a duplicate, keep the very version of the build."""

import contextlib
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pipeline.aws.objects import ObjectStore
from pipeline.aws.runs_table import RunsTable
from pipeline.contracts.base import Contract, RunId
from pipeline.contracts.notes import SettingNote
from pipeline.contracts.request import RunOptions, TrainingRequest
from pipeline.contracts.run import HistoryEntry, RunRecord, RunStatus
from pipeline.contracts.states import ApiEvent, RedriveEvent, RunReference, ServeEvent
from pipeline.contracts.validation import InvalidDocumentError, read_document
from pipeline.errors import BuildNotFoundError, BuildRejectedError, InvalidRequestError
from pipeline.rules import names
from pipeline.rules.run_options import settle
from pipeline.steps.records import entered, now

_RECORDED = {model.model_fields["source"].default for model in (RedriveEvent, ServeEvent)}


class Admission(Contract):
    """Who asks for what: read from the event, the same each time the same event is read."""

    run_id: str
    policy: str
    source_key: str
    version_id: str | None
    etag: str | None = None
    sha256: str | None = None
    options: RunOptions | None = None
    notes: tuple[SettingNote, ...] = ()


def recorded_run(document: dict[str, Any]) -> dict[str, Any] | None:
    """The event of a run that has its record already, whoever started it: a redrive, a rollback, a wake."""
    return document if document.get("source") in _RECORDED else None


def begin(
    execution_arn: str, state: str, document: dict[str, Any], objects: ObjectStore, runs: RunsTable
) -> RunReference:
    """The run that this event is about, written into the table if it is a new one.

    Args:
        execution_arn: of the execution that runs.
        state: the state that runs, for the record's history.
        document: the execution's input.
        objects: the stack's bucket.
        runs: the stack's runs.

    Raises:
        InvalidRequestError: the event is none of ours, or the stored request breaks its contract.
        BuildNotFoundError: the object is gone or replaced.
        BuildRejectedError: it is not the zip whose hash the request names.
        RunNotFoundError: an event about a recorded run, which is not there.
        RunEndedError: it was cancelled.
    """
    if recorded := recorded_run(document):
        return readmit(execution_arn, recorded["run_id"], state, objects, runs)
    return admit(execution_arn, identify(document, objects), objects, runs)


def readmit(execution_arn: str, run_id: str, state: str, objects: ObjectStore, runs: RunsTable) -> RunReference:
    """Go on with a run that has its record, if this execution is the one of its present attempt.

    Raises:
        RunNotFoundError: there is no such run.
        RunEndedError: it was cancelled.
    """
    record = runs.get(run_id)
    mine = record.execution_arn == execution_arn
    if mine:
        runs.update(record.run_id, lambda known: entered(known, state))
    return RunReference(
        run_id=record.run_id,
        policy=record.policy,
        bucket=objects.bucket,
        build_key=record.build_key,
        duplicate=not mine,
        serves=record.serves,
        only_serves=record.serves is not None,
    )


def identify(document: dict[str, Any], objects: ObjectStore) -> Admission:
    """From an EventBridge event of S3, or from the API's event.

    Raises:
        InvalidRequestError: the event is neither, or the stored request breaks its contract.
    """
    if "detail" in document:
        return _dropped(document["detail"])
    try:
        event = read_document(ApiEvent, {k: document[k] for k in ApiEvent.model_fields if k in document})
        request = read_document(TrainingRequest, objects.read(event.request_key))
        options, notes = settle(request)
        source_key = request.build.located_key
    except InvalidDocumentError as error:
        raise InvalidRequestError(str(error)) from error
    return Admission(
        run_id=event.run_id,
        policy=request.policy or names.policy_from_upload(source_key),
        source_key=source_key,
        version_id=request.build.version_id,
        sha256=request.build.sha256,
        options=options,
        notes=notes,
    )


def admit(execution_arn: str, admission: Admission, objects: ObjectStore, runs: RunsTable) -> RunReference:
    """Write the run record once and copy the build to the run's own key.

    Raises:
        BuildNotFoundError: the object is gone or replaced; the record is there and FinishRun will say so in it.
        BuildRejectedError: it is not the zip whose hash the request names.
    """
    build_key = names.run_key(admission.run_id, "build.zip")
    mine = runs.admit(first_record(execution_arn, admission))
    if mine:
        objects.copy(admission.source_key, build_key, admission.version_id or _version_of(admission, objects))
        digest = objects.sha256(build_key)
        runs.update(admission.run_id, lambda known: known.model_copy(update={"build_sha256": digest}))
        _check_hash(admission, digest)
    return RunReference(
        run_id=admission.run_id,
        policy=admission.policy,
        bucket=objects.bucket,
        build_key=build_key,
        duplicate=not mine,
    )


def _check_hash(admission: Admission, digest: str) -> None:
    if admission.sha256 not in (None, digest):
        raise BuildRejectedError(
            f"{admission.source_key} has the SHA-256 {digest}, and not {admission.sha256}, as the request says.",
            "Somebody has changed the object, or it was broken on its way: upload or mirror it anew.",
        )


def _version_of(admission: Admission, objects: ObjectStore) -> str | None:
    """The object's version where the event names none; it must still be the object that the event is about."""
    head = objects.head(admission.source_key)
    if admission.etag is not None and head.etag != admission.etag:
        raise BuildNotFoundError(
            f"{admission.source_key} was replaced before this run began.", "The newer upload has a run of its own."
        )
    return head.version_id


def first_record(execution_arn: str, admission: Admission) -> RunRecord:
    """A run that has just begun."""
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
        build_key=names.run_key(admission.run_id, "build.zip"),
        options=admission.options or RunOptions(),
        notes=admission.notes,
        history=(HistoryEntry(state="AdmitRun", at=moment),),
    )


def identify_unread(document: dict[str, Any]) -> Admission | None:
    """Whose run it is when `identify` fails: an API event names its run even if the stored request cannot be read."""
    with contextlib.suppress(InvalidDocumentError, ValidationError):
        event = read_document(ApiEvent, {k: document[k] for k in ApiEvent.model_fields if k in document})
        run = TypeAdapter(RunId).validate_python(event.run_id)
        return Admission(run_id=run, policy=names.policy_of_run(run), source_key=event.request_key, version_id=None)
    return None


def _dropped(detail: dict[str, Any]) -> Admission:
    try:
        bucket, key = str(detail["bucket"]["name"]), str(detail["object"]["key"])
        version_id, etag = detail["object"].get("version-id"), str(detail["object"]["etag"])
        # Where an event names no version, the same bytes put again are told apart by the sequencer, which every
        # delivery of one event has in common (S3 user guide, "Event message structure").
        version = str(version_id or f"{etag} {detail['object'].get('sequencer', '')}".strip())
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidRequestError("The event names no bucket and object; it must be S3's Object Created.") from error
    policy = names.policy_from_key(key)
    return Admission(
        run_id=names.run_id(policy, bucket, key, version),
        policy=policy,
        source_key=key,
        version_id=version_id,
        etag=etag,
    )
