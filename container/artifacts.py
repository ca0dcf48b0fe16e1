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


def check_recorded(archive_path: Path, recorded: str | None) -> None:
    """The archive is, byte for byte, what the run that made it `recorded` the SHA-256 of, in hexadecimal.

    Raises:
        ContainerError: it is another one, or there is no record of it.
    """
    if recorded is None:
        raise ContainerError(
            "UnknownOrigin",
            f"{archive_path.name} is to be begun with, but the job was told no SHA-256 of it.",
            "Name the earlier run in start_from; a job that is started by hand is told initial_sha256.",
        )
    with archive_path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != recorded:
        raise ContainerError(
            "UnknownOrigin",
            f"{archive_path.name} has the SHA-256 {found}; the run that made it recorded {recorded}.",
            "Somebody replaced the file: look at the object's versions in the bucket, and train the earlier run again.",
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
