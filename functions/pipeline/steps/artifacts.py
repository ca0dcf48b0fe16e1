"""ExtractCheckpoint: from the training job's model.tar.gz to the run's artifacts and to what is served."""

from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.aws.objects import ObjectStore
from pipeline.aws.runs_table import RunsTable
from pipeline.contracts.policy import ArtifactManifest
from pipeline.contracts.states import ExtractedCheckpoint, JobPoll, RunReference
from pipeline.errors import ArtifactInvalidError
from pipeline.rules import names
from pipeline.steps import archives
from pipeline.steps.records import entered

_SPEC = "policy_spec.json"
_CONTENT_TYPES = {".json": "application/json", ".png": "image/png", ".jsonl": "application/x-ndjson"}


def extract_checkpoint(
    run: RunReference, training: JobPoll, state: str, objects: ObjectStore, runs: RunsTable
) -> ExtractedCheckpoint:
    """Check every file's hash, put the files below `runs/<run_id>/checkpoint/`, pack the serving artifact.

    Raises:
        ArtifactInvalidError: the archive is incomplete or altered.
    """
    if training.model_artifact_key is None:
        raise ArtifactInvalidError(
            f"The job {training.job_name} ended without a model artifact.", "Start the run again."
        )
    runs.update(run.run_id, lambda known: entered(known, state))
    prefix = names.run_key(run.run_id, "checkpoint/")
    with TemporaryDirectory() as directory:
        folder = Path(directory) / "model"
        folder.mkdir()
        archives.unpack(objects, training.model_artifact_key, folder)
        manifest = archives.check_manifest(folder, training.model_artifact_key)
        if _SPEC not in manifest.files:
            raise ArtifactInvalidError(f"{training.model_artifact_key} holds no {_SPEC}.", "Start the run again.")
        for name in (*manifest.files, "manifest.json"):
            _upload(objects, folder / name, prefix + name)
        serving_key = _pack_serving(run, folder, manifest, objects)
    artifacts = {
        name.rsplit("/", 1)[-1]: prefix + name for name in manifest.files if not name.startswith("checkpoint/")
    } | {"model.tar.gz": training.model_artifact_key}
    runs.update(run.run_id, lambda known: entered(known, state, artifacts=known.artifacts | artifacts))
    return ExtractedCheckpoint(checkpoint_prefix=prefix, serving_artifact_key=serving_key, spec_key=prefix + _SPEC)


def _pack_serving(run: RunReference, folder: Path, manifest: ArtifactManifest, objects: ObjectStore) -> str:
    served = {name: file for name, file in manifest.files.items() if name == _SPEC or name.startswith("policies/")}
    (folder / "manifest.json").write_text(
        ArtifactManifest(run_id=manifest.run_id, files=served).model_dump_json(indent=2), encoding="utf-8"
    )
    target = folder.parent / "model.tar.gz"
    archives.pack(folder, [*served, "manifest.json"], target)
    key = names.run_key(run.run_id, "serving/model.tar.gz")
    objects.upload(target, key)
    return key


def _upload(objects: ObjectStore, path: Path, key: str) -> None:
    if content_type := _CONTENT_TYPES.get(path.suffix):
        objects.write(key, path.read_bytes(), content_type)
    else:
        objects.upload(path, key)
