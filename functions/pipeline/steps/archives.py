"""model.tar.gz: streamed out of S3 into a folder, checked, and packed again for serving."""

import gzip
import tarfile
import zlib
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, cast

from pydantic import ValidationError

from pipeline.aws.objects import ObjectStore
from pipeline.contracts.policy import ArtifactFile, ArtifactManifest
from pipeline.errors import ArtifactInvalidError

MAX_UNPACKED_BYTES = 3 * 1024**3
"""ExtractCheckpoint has 4 GB of disk (template.yaml)."""

_CHUNK_BYTES = 1024 * 1024
_REMEDY = "Start the run again; if it lasts, look into the training job's log."


def unpack(objects: ObjectStore, key: str, into: Path, max_unpacked_bytes: int = MAX_UNPACKED_BYTES) -> str:
    """Unpack regular files, one after the other, without the archive in memory; returns the archive's SHA-256.

    Raises:
        ArtifactInvalidError: the archive is broken, too large, or has paths that leave the folder.
    """
    try:
        with objects.stream(key) as stream:
            read = _Fingerprinted(stream)
            with tarfile.open(fileobj=cast("IO[bytes]", read), mode="r|gz") as archive:
                _unpack_files(archive, key, into, max_unpacked_bytes)
            while read.read(_CHUNK_BYTES):
                pass  # what lies behind the archive's end is of the object too
            return read.sha256
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ArtifactInvalidError(f"{key} is no readable tar.gz: {error}.", _REMEDY) from error


def check_manifest(folder: Path, key: str) -> ArtifactManifest:
    """Every file that the manifest names is there, as it was written, and there is none beside them.

    Raises:
        ArtifactInvalidError: names the first file that is missing, altered or unexpected.
    """
    try:
        manifest = ArtifactManifest.model_validate_json((folder / "manifest.json").read_bytes())
    except (OSError, ValidationError) as error:
        raise ArtifactInvalidError(f"{key} holds no readable manifest.json: {error}", _REMEDY) from error
    present = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} - {"manifest.json"}
    if present != set(manifest.files):
        odd = sorted(present ^ set(manifest.files))
        raise ArtifactInvalidError(f"{key} and its manifest disagree about {', '.join(odd)}.", _REMEDY)
    for name, expected in manifest.files.items():
        if fingerprint(folder / name) != expected:
            raise ArtifactInvalidError(f"{name} in {key} is not the file that was written.", _REMEDY)
    return manifest


def fingerprint(path: Path) -> ArtifactFile:
    """Size and SHA-256 of a file."""
    digest = sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return ArtifactFile(size_bytes=path.stat().st_size, sha256=digest.hexdigest())


def pack(folder: Path, names: list[str], target: Path) -> None:
    """A tar.gz of these files that is the same, byte for byte, each time (no times, no owners)."""
    with (
        target.open("wb") as raw,
        gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name in sorted(names):
            member = tarfile.TarInfo(name)
            member.size = (folder / name).stat().st_size
            member.mode = 0o644
            with (folder / name).open("rb") as file:
                archive.addfile(member, file)


def _unpack_files(archive: tarfile.TarFile, key: str, into: Path, max_unpacked_bytes: int) -> None:
    size_bytes = 0
    for member in archive:
        if member.isdir():
            continue
        path = _safe_path(key, member)
        size_bytes += member.size
        if size_bytes > max_unpacked_bytes:
            raise ArtifactInvalidError(f"{key} unpacks to more than {max_unpacked_bytes} bytes.", _REMEDY)
        target = into / path
        target.parent.mkdir(parents=True, exist_ok=True)
        content = archive.extractfile(member)
        if content is not None:
            _write(content, target)


class _Fingerprinted:
    """A stream that is hashed as it is read: all that tarfile does with one."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._digest = sha256()

    def read(self, size: int) -> bytes:
        """At most so many bytes; none at the end."""
        block = self._stream.read(size)
        self._digest.update(block)
        return block

    @property
    def sha256(self) -> str:
        """Of all that was read, in hexadecimal."""
        return self._digest.hexdigest()


def _safe_path(key: str, member: tarfile.TarInfo) -> PurePosixPath:
    path = PurePosixPath(member.name)
    if not member.isfile() or path.is_absolute() or ".." in path.parts:
        raise ArtifactInvalidError(f"{key} holds {member.name!r}, which is no plain file inside it.", _REMEDY)
    return path


def _write(content: IO[bytes], target: Path) -> None:
    with target.open("wb") as file:
        while chunk := content.read(_CHUNK_BYTES):
            file.write(chunk)
