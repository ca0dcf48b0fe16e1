"""Unpacks a zip from someone we do not know.

Names are checked before anything is written; sizes are counted while writing, because headers may lie.
"""

import contextlib
import lzma
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from rl_src.envs.errors import BuildTooLargeError, NotAZipError, UnsafeZipError

_CHUNK_BYTES = 1024 * 1024
_ENCRYPTED = 0x1
_DIRECTORY_MODE, _FILE_MODE, _PROGRAM_MODE = 0o755, 0o644, 0o755
_MAX_NAME_BYTES = 255  # of one path component, on every common Linux file system
_IGNORED_PARTS = frozenset({"__MACOSX", ".DS_Store", "Thumbs.db"})


@dataclass(frozen=True)
class UnpackLimits:
    """What a build may take. The largest Unity training builds known are a few GB and some thousand files."""

    unpacked_bytes: int = 20 * 1024**3
    files: int = 100_000


@dataclass(frozen=True)
class _Entry:
    info: zipfile.ZipInfo
    path: PurePosixPath


def unpack_zip(zip_path: Path, into: Path, limits: UnpackLimits) -> None:
    """Unpack into the empty or absent folder `into`. After an error nothing of the zip is left there.

    Files are made readable for all: the player may run as another user.

    Raises:
        NotAZipError, UnsafeZipError, BuildTooLargeError: the zip's fault.
        FileExistsError: `into` has something in it.
    """
    if into.exists() and any(into.iterdir()):
        raise FileExistsError(f"{into} is not empty.")
    with _opened(zip_path) as archive:
        entries = _checked_entries(archive)
        _check_size(entries, into, limits)
        try:
            _write(archive, entries, into, limits)
        except BaseException:
            shutil.rmtree(into, ignore_errors=True)
            raise


@contextlib.contextmanager
def _opened(zip_path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(zip_path) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, UnicodeDecodeError) as error:
        raise NotAZipError(f"{zip_path.name} is no zip, or it is damaged or incomplete ({error}).") from error
    except NotImplementedError as error:
        raise NotAZipError(
            f"{zip_path.name} uses a kind of compression that is not supported ({error}).",
            "Zip the build again with ordinary (deflate) compression; very large files sent by Explorer use Deflate64.",
        ) from error


def _checked_entries(archive: zipfile.ZipFile) -> list[_Entry]:
    """Files and folders that are to be written, every name proved harmless."""
    entries = []
    kinds: dict[PurePosixPath, bool] = {}
    for info in archive.infolist():
        path = _safe_path(info)
        if path is None:
            continue
        folder = _is_folder(info)
        if path in kinds and not (folder and kinds[path]):
            raise UnsafeZipError(f"The zip holds {path} twice.")
        kinds[path] = folder
        entries.append(_Entry(info, path))
    for path in kinds:
        for parent in path.parents:
            if kinds.get(parent) is False:
                raise UnsafeZipError(f"The zip holds {parent} both as a file and as a folder.")
    return entries


def _is_folder(info: zipfile.ZipInfo) -> bool:
    return info.filename.endswith(("/", "\\"))


def _safe_path(info: zipfile.ZipInfo) -> PurePosixPath | None:
    """The entry's path inside the folder; None for what operating systems add.

    Zips made on Windows may hold back-slashes; on Linux they would become part of a file's name.
    """
    name = info.filename.replace("\\", "/")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or (parts and parts[0].endswith(":")) or "\0" in info.orig_filename:
        raise UnsafeZipError(f"The zip holds the path {info.filename!r}, which leads outside its own folder.")
    mode = info.external_attr >> 16
    kind = stat.S_IFMT(mode)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        what = "a link" if stat.S_ISLNK(mode) else "a special file"
        raise UnsafeZipError(f"The zip holds {what}, {info.filename!r}; only files and folders are allowed.")
    if info.flag_bits & _ENCRYPTED:
        raise UnsafeZipError("The zip is protected by a password.", "Zip the build again without a password.")
    if any(len(part.encode("utf-8", "surrogateescape")) > _MAX_NAME_BYTES for part in parts):
        raise UnsafeZipError(f"The zip holds a name of more than {_MAX_NAME_BYTES} bytes: {info.filename[:60]!r}…")
    if not parts or _IGNORED_PARTS.intersection(parts):
        return None
    return PurePosixPath(*parts)


def _check_size(entries: list[_Entry], into: Path, limits: UnpackLimits) -> None:
    """By what the headers say, so that most bombs cost nothing."""
    if len(entries) > limits.files:
        raise BuildTooLargeError(f"The zip holds {len(entries):,} files; at most {limits.files:,} are allowed.")
    total = sum(entry.info.file_size for entry in entries)
    if total > limits.unpacked_bytes:
        raise BuildTooLargeError(_too_large(f"{_megabytes(total)} MB", limits))
    existing = next(folder for folder in (into, *into.absolute().parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    if total > free:
        raise BuildTooLargeError(
            f"The build needs {_megabytes(total)} MB unpacked; the machine has {_megabytes(free)} MB left.",
            "Choose a larger volume (`instances.volume_size_gb`) or a smaller build.",
        )


def _write(archive: zipfile.ZipFile, entries: list[_Entry], into: Path, limits: UnpackLimits) -> None:
    into.mkdir(parents=True, exist_ok=True)
    left = limits.unpacked_bytes
    for entry in entries:
        target = into.joinpath(*entry.path.parts)
        folder = target if _is_folder(entry.info) else target.parent
        folder.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
        if folder is target:
            continue
        runnable = entry.info.external_attr >> 16 & stat.S_IXUSR
        # "x": never through something that is already there.
        with target.open("xb") as sink:
            for chunk in _chunks(archive, entry.info):
                left -= len(chunk)
                if left < 0:
                    raise BuildTooLargeError(_too_large("more than its headers say", limits))
                sink.write(chunk)
        target.chmod(_PROGRAM_MODE if runnable else _FILE_MODE)


def _chunks(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    """The member's content. OSError from here is the zip's fault (bz2, an offset before the file), not the disk's."""
    try:
        with archive.open(info) as source:
            while chunk := source.read(_CHUNK_BYTES):
                yield chunk
    except (OSError, lzma.LZMAError) as error:
        raise zipfile.BadZipFile(f"{info.filename!r}: {error}") from error


def _too_large(size: str, limits: UnpackLimits) -> str:
    return f"The build is {size} unpacked; at most {_megabytes(limits.unpacked_bytes)} MB are allowed."


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.0f}"
