"""AdmitRun: name the run, refuse a duplicate, keep the very version of the build."""

from typing import Any

from pipeline.aws.objects import ObjectStore
from pipeline.aws.runs_table import RunsTable
from pipeline.contracts.base import Contract
from pipeline.contracts.request import RunOptions, TrainingRequest
from pipeline.contracts.run import HistoryEntry, RunRecord, RunStatus
from pipeline.contracts.states import ApiEvent, RunReference
from pipeline.contracts.validation import InvalidDocumentError, read_document
from pipeline.errors import InvalidRequestError
from pipeline.rules import names
from pipeline.steps.records import now


class Admission(Contract):
    """Who asks for what: read from the event, the same each time the same event is read."""

    run_id: str
    policy: str
    source_key: str
    version_id: str | None
    options: RunOptions | None


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
    except InvalidDocumentError as error:
        raise InvalidRequestError(str(error)) from error
    return Admission(
        run_id=event.run_id,
        policy=request.policy or names.policy_from_upload(request.build.key),
        source_key=request.build.key,
        version_id=request.build.version_id,
        options=RunOptions.model_validate({name: getattr(request, name) for name in RunOptions.model_fields}),
    )


def admit(execution_arn: str, admission: Admission, objects: ObjectStore, runs: RunsTable) -> RunReference:
    """Write the run record once and copy the build to the run's own key.

    Raises:
        BuildNotFoundError: the object is gone; the record is there and FinishRun will say so in it.
    """
    build_key = names.run_key(admission.run_id, "build.zip")
    moment = now()
    mine = runs.admit(
        RunRecord(
            run_id=admission.run_id,
            policy=admission.policy,
            status=RunStatus.RUNNING,
            state="AdmitRun",
            created_at=moment,
            updated_at=moment,
            execution_arn=execution_arn,
            source_key=admission.source_key,
            build_key=build_key,
            options=admission.options or RunOptions(),
            history=(HistoryEntry(state="AdmitRun", at=moment),),
        )
    )
    if mine:
        objects.copy(admission.source_key, build_key, admission.version_id)
    return RunReference(
        run_id=admission.run_id,
        policy=admission.policy,
        bucket=objects.bucket,
        build_key=build_key,
        duplicate=not mine,
    )


def _dropped(detail: dict[str, Any]) -> Admission:
    try:
        bucket, key = detail["bucket"]["name"], detail["object"]["key"]
        version_id, etag = detail["object"].get("version-id"), detail["object"].get("etag", "")
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidRequestError("The event names no bucket and object; it must be S3's Object Created.") from error
    policy = names.policy_from_key(key)
    return Admission(
        run_id=names.run_id(policy, bucket, key, version_id or etag),
        policy=policy,
        source_key=key,
        version_id=version_id,
        options=None,
    )
