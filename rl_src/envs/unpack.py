"""Unpacks a zip from someone we do not know.

Names are checked before anything is written; sizes are counted while writing, because headers may lie.
"""

import contextlib
import re
import shutil
import stat
import struct
import time
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath

from rl_src.envs.errors import BuildTooLargeError, NotAZipError, UnsafeZipError

_CHUNK_BYTES = 1024 * 1024
_ENCRYPTED = 0x1
_REPARSE_POINT = 0x400  # FILE_ATTRIBUTE_REPARSE_POINT: Windows' links
_PKWARE_UNIX, _PKWARE_UNIX_BYTES = 0x000D, 12  # APPNOTE.TXT 4.5.7: behind them comes what a link leads to
_UNICODE_PATH, _UNICODE_PATH_BYTES = 0x7075, 5  # APPNOTE.TXT 4.6.9: behind them a name, zipfile's own from 3.12 on
_LOCAL_HEADER_BYTES = 30  # without name and extra field
_EXTRA = struct.Struct("<2H")
_DIRECTORY_MODE, _FILE_MODE, _PROGRAM_MODE = 0o755, 0o644, 0o755
_MAX_NAME_BYTES = 255  # of one path component, on every common Linux file system
_MAX_PATH_BYTES = 1024
_MAX_DEPTH = 64
_MAX_FOLDERS = 100_000
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff]")
_IGNORED_PARTS = frozenset({"__MACOSX", ".DS_Store", "Thumbs.db"})


@dataclass(frozen=True)
class UnpackLimits:
    """What a build may take. The largest Unity training builds known are a few GB and some thousand files.

    `ratio`: of unpacked to packed bytes, of builds above `small_bytes`. `seconds`: a build of 20 GB takes some minutes.
    """

    unpacked_bytes: int = 20 * 1024**3
    files: int = 100_000
    ratio: int = 100
    small_bytes: int = 256 * 1024**2
    seconds: float = 1800.0


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
        _check_count(len(archive.infolist()), limits)
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
        with zipfile.ZipFile(zip_path, metadata_encoding="utf-8") as archive:
            yield archive
    except UnicodeDecodeError as error:
        raise UnsafeZipError(
            f"The zip holds a name that is not UTF-8: {bytes(error.object)[:60]!r}.",
            "Zip the build with a program that writes UTF-8 names (7-Zip, zip), or give its files ASCII names.",
        ) from error
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise NotAZipError(f"{zip_path.name} is no zip, or it is damaged or incomplete ({error}).") from error
    except NotImplementedError as error:
        raise NotAZipError(
            f"{zip_path.name} uses a kind of compression that is not supported ({error}).",
            "Zip the build again with ordinary (deflate) compression; very large files sent by Explorer use Deflate64.",
        ) from error


def _checked_entries(archive: zipfile.ZipFile) -> list[_Entry]:
    """Files and folders that are to be written, every name proved harmless."""
    _require_apart(archive)
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
    folders = _folders(kinds)
    if both := [path for path in folders if kinds.get(path) is False]:
        raise UnsafeZipError(f"The zip holds {min(both)} both as a file and as a folder.")
    _require_distinct({*kinds, *folders})
    return entries


def _folders(kinds: dict[PurePosixPath, bool]) -> set[PurePosixPath]:
    """Every folder, whether the zip names it or only has something in it."""
    folders = {path for path, folder in kinds.items() if folder}
    seen: set[PurePosixPath] = set()
    for path in kinds:
        for parent in path.parents:
            if parent in seen:
                break
            seen.add(parent)
        if len(seen) > _MAX_FOLDERS:
            raise BuildTooLargeError(f"The zip holds more than {_MAX_FOLDERS:,} folders.")
    return folders | seen


def _require_apart(archive: zipfile.ZipFile) -> None:
    """Entries that share their data unpack to far more than the zip has, and belong to no honest zip."""
    starts = sorted((info.header_offset, info.compress_size, info.filename) for info in archive.infolist())
    for (start, packed_bytes, name), (next_start, _, _) in pairwise([*starts, (archive.start_dir, 0, "")]):
        if start < 0:
            raise zipfile.BadZipFile("its beginning is missing")
        if start + _LOCAL_HEADER_BYTES + packed_bytes > next_start:
            raise UnsafeZipError(f"The data of {name!r} overlaps with another part of the zip.")


def _require_distinct(paths: Iterable[PurePosixPath]) -> None:
    """Where Windows and macOS see one file, there must not be two: which of them was meant cannot be told."""
    spelled: dict[str, PurePosixPath] = {}
    for path in paths:
        other = spelled.setdefault(unicodedata.normalize("NFC", str(path)).casefold(), path)
        if other != path:
            one, two = sorted((str(other), str(path)))
            raise UnsafeZipError(f"The names {one!r} and {two!r} in the zip differ only in case or accents.")


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
    if _UNSEEN.search(name):
        raise UnsafeZipError(f"The zip holds the name {info.filename[:60]!r}, which has invisible characters in it.")
    if any(other != info.orig_filename for other in _other_names(info.extra)):
        raise UnsafeZipError(f"The zip gives {info.filename[:60]!r} a second name, which is another one.")
    _require_plain_file(info)
    if any(len(part.encode()) > _MAX_NAME_BYTES for part in parts) or len(name.encode()) > _MAX_PATH_BYTES:
        raise UnsafeZipError(
            f"The zip holds a name of more than {_MAX_NAME_BYTES} bytes, or a path of more than {_MAX_PATH_BYTES}: "
            f"{info.filename[:60]!r}…"
        )
    if len(parts) > _MAX_DEPTH:
        raise UnsafeZipError(f"{info.filename[:60]!r} in the zip lies more than {_MAX_DEPTH} folders deep.")
    if not parts or _IGNORED_PARTS.intersection(parts):
        return None
    return PurePosixPath(*parts)


def _require_plain_file(info: zipfile.ZipInfo) -> None:
    mode = info.external_attr >> 16
    is_link = stat.S_ISLNK(mode) or info.external_attr & _REPARSE_POINT or _has_link_target(info.extra)
    if is_link or stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        what = "a link" if is_link else "a special file"
        raise UnsafeZipError(f"The zip holds {what}, {info.filename!r}; only files and folders are allowed.")
    if info.flag_bits & _ENCRYPTED:
        raise UnsafeZipError("The zip is protected by a password.", "Zip the build again without a password.")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise NotImplementedError(f"method {info.compress_type}")


def _has_link_target(extra: bytes) -> bool:
    return any(kind == _PKWARE_UNIX and len(content) > _PKWARE_UNIX_BYTES for kind, content in _extra_fields(extra))


def _other_names(extra: bytes) -> Iterator[str]:
    for kind, content in _extra_fields(extra):
        if kind == _UNICODE_PATH:
            yield content[_UNICODE_PATH_BYTES:].decode("utf-8", "replace")


def _extra_fields(extra: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position + _EXTRA.size <= len(extra):
        kind, length = _EXTRA.unpack_from(extra, position)
        position += _EXTRA.size + length
        yield kind, extra[position - length : position]


def _check_count(files: int, limits: UnpackLimits) -> None:
    if files > limits.files:
        raise BuildTooLargeError(f"The zip holds {files:,} files; at most {limits.files:,} are allowed.")


def _check_size(entries: list[_Entry], into: Path, limits: UnpackLimits) -> None:
    """By what the headers say, so that most bombs cost nothing."""
    total = sum(entry.info.file_size for entry in entries)
    if total > limits.unpacked_bytes:
        raise BuildTooLargeError(_too_large(f"{_megabytes(total)} MB", limits))
    packed = sum(entry.info.compress_size for entry in entries)
    if total > max(limits.small_bytes, limits.ratio * packed):
        raise BuildTooLargeError(
            f"The zip unpacks {_megabytes(packed)} MB to {_megabytes(total)} MB, as only bombs do (more than "
            f"{limits.ratio} times as much)."
        )
    existing = next(folder for folder in (into, *into.absolute().parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    if total > free:
        raise BuildTooLargeError(
            f"The build needs {_megabytes(total)} MB unpacked; the machine has {_megabytes(free)} MB left.",
            "Choose a larger volume (`instances.volume_size_gb`) or a smaller build.",
        )


def _write(archive: zipfile.ZipFile, entries: list[_Entry], into: Path, limits: UnpackLimits) -> None:
    into.mkdir(parents=True, exist_ok=True)
    left, deadline = limits.unpacked_bytes, time.monotonic() + limits.seconds
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
                if time.monotonic() > deadline:
                    raise BuildTooLargeError(f"The build was not unpacked within {limits.seconds:g} s.")
                sink.write(chunk)
        target.chmod(_PROGRAM_MODE if runnable else _FILE_MODE)


def _chunks(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    """The member's content. OSError from here is the zip's fault (an offset before the file), not the disk's."""
    try:
        with archive.open(info) as source:
            while chunk := source.read(_CHUNK_BYTES):
                yield chunk
    except OSError as error:
        raise zipfile.BadZipFile(f"{info.filename!r}: {error}") from error


def _too_large(size: str, limits: UnpackLimits) -> str:
    return f"The build is {size} unpacked; at most {_megabytes(limits.unpacked_bytes)} MB are allowed."


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.0f}"
