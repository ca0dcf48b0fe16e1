"""InspectBuild: what is in the zip, read by ranges."""

from collections.abc import Iterable

from pipeline.aws.objects import ObjectStore
from pipeline.aws.runs_table import RunsTable
from pipeline.contracts.build import BuildManifest
from pipeline.contracts.notes import SettingNote
from pipeline.contracts.request import RunOptions, TrainingRequest
from pipeline.contracts.run import RunRecord
from pipeline.contracts.states import InspectedBuild, RunReference
from pipeline.contracts.validation import InvalidDocumentError, read_document
from pipeline.errors import BuildNotFoundError, BuildRejectedError, InvalidRequestError
from pipeline.rules import names
from pipeline.rules.cost import check_affordable, estimate
from pipeline.rules.inspection import DAMAGED, inspect
from pipeline.rules.run_options import settle_with_build
from pipeline.rules.zip_directory import opened
from pipeline.settings import PriceSettings
from pipeline.steps.records import entered

_OF_THE_BUILD = "build"


def inspect_build(
    run: RunReference, state: str, prices: PriceSettings, objects: ObjectStore, runs: RunsTable
) -> InspectedBuild:
    """Write the manifest, and into the record what the run is told by the zip.

    gamedojo.json in the zip configures a dropped build; a POSTed request is taken without it. An ML-Agents trainer file
    in the zip serves both where they have none of their own.

    Raises:
        BuildRejectedError: the build cannot be trained on.
        InvalidRequestError: gamedojo.json or the trainer file in the zip cannot be taken, a recording is missing, or
            the run could cost more than it may.
    """
    record = runs.update(run.run_id, lambda known: entered(known, state))
    manifest = _read(run.build_key, record, objects)
    manifest_key = names.run_key(run.run_id, "manifest.json")
    objects.write_document(manifest_key, manifest)
    options, notes = settle_with_build(_asked(record, manifest, objects), manifest)
    cost = estimate(options, prices.training_instance_type, prices.evaluation_instance_type)
    noted = _noted(notes or record.notes, manifest)
    found = {"estimate": cost, "options": options, "notes": noted, "executable": manifest.executable}
    runs.update(run.run_id, lambda known: entered(known, state, **found))
    objects.write_document(names.run_key(run.run_id, "options.json"), options)
    try:
        check_affordable(options, cost)
    except InvalidDocumentError as error:
        raise InvalidRequestError(str(error)) from error
    return InspectedBuild(manifest_key=manifest_key, executable=manifest.executable)


def _noted(notes: Iterable[SettingNote], manifest: BuildManifest) -> tuple[SettingNote, ...]:
    """With what is to be said of the build itself; a second try has it already."""
    own = tuple(SettingNote(setting=_OF_THE_BUILD, note=note) for note in manifest.notes)
    return (*(note for note in notes if note.setting != _OF_THE_BUILD), *own)


def _read(key: str, record: RunRecord, objects: ObjectStore) -> BuildManifest:
    size_bytes = objects.head(key).size_bytes
    try:
        with objects.random_access(key) as file, opened(file, size_bytes, record.source_key) as archive:
            return inspect(archive, key, size_bytes, record.options.environment.executable)
    except DAMAGED as error:
        raise BuildRejectedError(
            f"{record.source_key} is no readable zip ({size_bytes} bytes): {error}.",
            "Zip the folder that Unity wrote and upload the zip whole.",
        ) from error


def _asked(record: RunRecord, manifest: BuildManifest, objects: ObjectStore) -> RunOptions:
    """What the request sets itself, as it was stored; of a dropped build, what the zip says."""
    if _was_dropped(record):
        return manifest.options or RunOptions()
    try:
        return read_document(TrainingRequest, objects.read(names.request_key(record.run_id)))
    except BuildNotFoundError:
        return record.options  # a dropped build's, in a second try


def _was_dropped(record: RunRecord) -> bool:
    """No request chose anything."""
    # Not by model_fields_set: a record that was read back from its table has them all.
    return record.source_key.startswith(names.BUILDS_PREFIX) and record.options == RunOptions()
