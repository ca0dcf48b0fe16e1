"""ExtractCheckpoint: from the training job's model.tar.gz to the run's artifacts and to what is served."""

from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import ValidationError

from pipeline.aws.objects import ObjectStore
from pipeline.aws.runs_table import RunsTable
from pipeline.contracts.policy import ArtifactManifest, PolicySpec
from pipeline.contracts.run import RunRecord
from pipeline.contracts.states import ExtractedCheckpoint, JobPoll, RunReference
from pipeline.errors import ArtifactInvalidError
from pipeline.rules import names
from pipeline.steps import archives
from pipeline.steps.records import entered

_SPEC = "policy_spec.json"
_SERVED = {_SPEC, "config.json", "training_summary.json", "progress.jsonl"}
"""What the serving artifact holds beside the models: the spec, and what the evaluation's report tells of training."""
_REMEDY = "Start the run again; if it lasts, look into the training job's log."
_CONTENT_TYPES = {".json": "application/json", ".png": "image/png", ".jsonl": "application/x-ndjson"}


def extract_checkpoint(
    run: RunReference, training: JobPoll, state: str, objects: ObjectStore, runs: RunsTable
) -> ExtractedCheckpoint:
    """Check every file's hash, put the files below `runs/<run_id>/checkpoint/`, pack the serving artifact.

    The archive's own hash is recorded: a later run begins with these bytes or with none.

    Raises:
        ArtifactInvalidError: the archive is incomplete, altered, or no longer the one that an earlier try recorded.
    """
    if training.model_artifact_key is None:
        raise ArtifactInvalidError(f"The job {training.job_name} ended without a model artifact.", _REMEDY)
    known = runs.update(run.run_id, lambda known: entered(known, state))
    prefix = names.run_key(run.run_id, "checkpoint/")
    with TemporaryDirectory() as directory:
        folder = Path(directory) / "model"
        folder.mkdir()
        digest = archives.unpack(objects, training.model_artifact_key, folder)
        _check_unchanged(known, training.model_artifact_key, digest)
        manifest = archives.check_manifest(folder, training.model_artifact_key)
        _check_spec(run, folder, manifest, training.model_artifact_key)
        for name in (*manifest.files, "manifest.json"):
            content_type = _CONTENT_TYPES.get(Path(name).suffix, "application/octet-stream")
            objects.upload(folder / name, prefix + name, content_type)
        serving_key = _pack_serving(run, folder, manifest, objects)
    artifacts = {
        name.rsplit("/", 1)[-1]: prefix + name for name in manifest.files if not name.startswith("checkpoint/")
    } | {"model.tar.gz": training.model_artifact_key}
    runs.update(
        run.run_id,
        lambda known: entered(known, state, artifacts=known.artifacts | artifacts, artifact_sha256=digest),
    )
    return ExtractedCheckpoint(checkpoint_prefix=prefix, serving_artifact_key=serving_key, spec_key=prefix + _SPEC)


def _check_unchanged(known: RunRecord, key: str, digest: str) -> None:
    if known.artifacts.get("model.tar.gz") == key and known.artifact_sha256 not in {None, digest}:
        raise ArtifactInvalidError(f"{key} is not what the training job left: it was replaced since.", _REMEDY)


def _check_spec(run: RunReference, folder: Path, manifest: ArtifactManifest, key: str) -> None:
    """The spec is of this run, and every model that it names is there: what is served later goes by it."""
    try:
        spec = PolicySpec.model_validate_json((folder / _SPEC).read_bytes())
    except (OSError, ValidationError) as error:
        raise ArtifactInvalidError(f"{key} holds no readable {_SPEC}: {error}", _REMEDY) from error
    if {spec.version, manifest.run_id} != {run.run_id} or spec.policy != run.policy:
        raise ArtifactInvalidError(
            f"{key} is of the run {spec.version} of {spec.policy}, not of {run.run_id}.", _REMEDY
        )
    if missing := [behavior.onnx for behavior in spec.behaviors if behavior.onnx not in manifest.files]:
        raise ArtifactInvalidError(f"{key} lacks the models {', '.join(missing)} that its {_SPEC} names.", _REMEDY)


def _pack_serving(run: RunReference, folder: Path, manifest: ArtifactManifest, objects: ObjectStore) -> str:
    served = {name: file for name, file in manifest.files.items() if name in _SERVED or name.startswith("policies/")}
    (folder / "manifest.json").write_text(
        ArtifactManifest(run_id=manifest.run_id, files=served).model_dump_json(indent=2), encoding="utf-8"
    )
    target = folder.parent / "model.tar.gz"
    archives.pack(folder, [*served, "manifest.json"], target)
    key = names.serving_artifact_key(run.run_id)
    objects.upload(target, key)
    return key
