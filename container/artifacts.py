"""manifest.json and model.tar.gz."""

import hashlib
import tarfile
from pathlib import Path

from container.failures import ContainerError
from pipeline.contracts.policy import ArtifactFile, ArtifactManifest


def write_manifest(folder: Path, run_id: str) -> None:
    """Hash every file of the artifact, so that whoever reads it later knows that it is whole."""
    files = {
        path.relative_to(folder).as_posix(): ArtifactFile(
            size_bytes=path.stat().st_size, sha256=hashlib.sha256(path.read_bytes()).hexdigest()
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "manifest.json"
    }
    (folder / "manifest.json").write_text(
        ArtifactManifest(run_id=run_id, files=files).model_dump_json(indent=2), encoding="utf-8"
    )


def unpack(archive_path: Path, into: Path) -> None:
    """Unpack a model.tar.gz; nothing but plain files inside the folder.

    Raises:
        ContainerError: it is none, or holds something else.
    """
    into.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive_path, "r:gz") as archive:
            archive.extractall(into, filter="data")
    except (tarfile.TarError, OSError, EOFError) as error:
        raise ContainerError(
            "InvalidArtifact", f"{archive_path.name} cannot be unpacked: {error}.", "Train again."
        ) from error
