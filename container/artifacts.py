"""manifest.json and model.tar.gz."""

import hashlib
import shutil
import tarfile
from pathlib import Path, PurePosixPath

from container.failures import ContainerError
from pipeline.contracts.policy import ArtifactFile, ArtifactManifest


def write_manifest(folder: Path, run_id: str) -> None:
    """Hash every file of the artifact, so that whoever reads it later knows that it is whole.

    All may read it, then: the server is another user than the trainer, and safetensors writes for its own user alone.
    """
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
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
            for member in archive:
                _unpack_member(archive, member, into)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise ContainerError(
            "InvalidArtifact", f"{archive_path.name} cannot be unpacked: {error}.", "Train again."
        ) from error


def _unpack_member(archive: tarfile.TarFile, member: tarfile.TarInfo, into: Path) -> None:
    """A file or a folder, by its name alone: no owner, no mode, no link.

    What tarfile's filter "data" refuses, which came with Python 3.11.4: Debian's is older.
    """
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts or not (member.isfile() or member.isdir()):
        raise tarfile.TarError(f"{member.name!r} is no plain file inside it")
    target = into / name
    if member.isdir():
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    content = archive.extractfile(member)
    assert content is not None  # it is a file
    with content, target.open("wb") as file:
        shutil.copyfileobj(content, file)
