"""The directory of a zip from someone we do not know: every name proved harmless before any of it is believed.

The rules are those by which the training container unpacks (a test holds the two together), so that what is admitted
here is not refused there an hour of queueing later.
"""

import re
import stat
import struct
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Final
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from pipeline.errors import BuildRejectedError
from pipeline.rules.zip_directory import MAX_ENTRIES

MAX_FOLDERS: Final = 100_000
MAX_UNPACKED_BYTES: Final = 20 * 1024**3
MAX_RATIO: Final = 100
"""Unpacked to packed. Whole builds come to 2 to 5; deflate's limit is 1,032."""

_SMALL_BYTES: Final = 256 * 1024**2
"""A build below this is no bomb, however well it packs."""

_MAX_NAME_BYTES: Final = 255  # of one path component, on every common Linux file system
_MAX_PATH_BYTES: Final = 1024
_MAX_DEPTH: Final = 64
_ENCRYPTED: Final = 0x1
_REPARSE_POINT: Final = 0x400  # FILE_ATTRIBUTE_REPARSE_POINT: Windows' links
_PKWARE_UNIX: Final = 0x000D  # APPNOTE.TXT 4.5.7: behind 12 bytes of times and owners comes what a link leads to
_PKWARE_UNIX_BYTES: Final = 12
_UNICODE_PATH: Final = 0x7075  # APPNOTE.TXT 4.6.9: behind 5 bytes comes a name, which zipfile takes from 3.12 on
_UNICODE_PATH_BYTES: Final = 5
_LOCAL_HEADER_BYTES: Final = 30  # without name and extra field
_EXTRA = struct.Struct("<2H")
_IGNORED_PARTS: Final = frozenset({"__MACOSX", ".DS_Store", "Thumbs.db"})
"""What operating systems add."""

_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff]")
"""Control characters, line ends, what turns the direction of a text round, and what has no width: a log would show
another name. Joiners are not among them, which some scripts are written with."""

_FEWER: Final = "Leave out what the build does not need, or pack small files into asset bundles."
_OWN_FOLDER: Final = "Zip nothing but the build's own folder."
_ORDINARY: Final = "Zip the build again with ordinary (deflate) compression."


@dataclass(frozen=True)
class Entries:
    """Files with their members, and every folder, whether the zip names it or only has files in it."""

    files: dict[PurePosixPath, ZipInfo] = field(default_factory=dict)
    folders: frozenset[PurePosixPath] = frozenset()

    @property
    def unpacked_size_bytes(self) -> int:
        """As the headers say."""
        return sum(member.file_size for member in self.files.values())


def read_entries(archive: ZipFile) -> Entries:
    """All entries but those that operating systems add.

    Raises:
        BuildRejectedError: names the first entry that is dangerous, or says what there is too much of.
    """
    _require_apart(archive)
    files: dict[PurePosixPath, ZipInfo] = {}
    folders: set[PurePosixPath] = set()
    for member in archive.infolist():
        path = _safe_path(member)
        if path is None:
            continue
        if member.filename.endswith(("/", "\\")):
            folders.add(path)
        elif path in files:
            raise BuildRejectedError(f"The zip holds {path} twice.", _OWN_FOLDER)
        else:
            files[path] = member
        _add_parents(path, folders)
    if both := folders.intersection(files):
        raise BuildRejectedError(f"The zip holds {min(both)} both as a file and as a folder.", _OWN_FOLDER)
    _require_distinct(path for paths in (files, folders) for path in paths)
    entries = Entries(files, frozenset(folders))
    _check_size(entries)
    return entries


def _add_parents(path: PurePosixPath, folders: set[PurePosixPath]) -> None:
    """A zip's directory can name far more folders than it has entries, each of which takes memory."""
    for parent in path.parents:
        if parent in folders:
            break
        folders.add(parent)
    if len(folders) > MAX_FOLDERS:
        raise BuildRejectedError(
            f"The zip holds more than {MAX_FOLDERS:,} folders, which is the most that is taken.", _OWN_FOLDER
        )


def _check_size(entries: Entries) -> None:
    if not entries.files:
        raise BuildRejectedError("The zip is empty.")
    if (count := len(entries.files)) > MAX_ENTRIES:
        raise BuildRejectedError(f"The zip holds {count:,} files; at most {MAX_ENTRIES:,} are taken.", _FEWER)
    size_bytes = entries.unpacked_size_bytes
    if size_bytes > MAX_UNPACKED_BYTES:
        raise BuildRejectedError(
            f"The build is {size_bytes / 1e6:,.0f} MB unpacked; at most {MAX_UNPACKED_BYTES / 1e6:,.0f} MB are taken.",
            "Leave out what the build does not need.",
        )
    packed_bytes = sum(member.compress_size for member in entries.files.values())
    if size_bytes > max(_SMALL_BYTES, MAX_RATIO * packed_bytes):
        raise BuildRejectedError(
            f"The zip unpacks {packed_bytes / 1e6:,.1f} MB to {size_bytes / 1e6:,.0f} MB, as only bombs do (more than "
            f"{MAX_RATIO} times as much).",
            "Leave out files that hold nothing.",
        )


def _require_apart(archive: ZipFile) -> None:
    """Entries that share their data unpack to far more than the zip has, and belong to no honest zip."""
    starts = sorted((member.header_offset, member.compress_size, member.filename) for member in archive.infolist())
    for (start, packed_bytes, name), (next_start, _, _) in pairwise([*starts, (archive.start_dir, 0, "")]):
        if start < 0:
            raise BuildRejectedError(
                "The zip's beginning is missing.", "Zip the folder that Unity wrote and upload the zip whole."
            )
        if start + _LOCAL_HEADER_BYTES + packed_bytes > next_start:
            raise BuildRejectedError(f"The data of {name!r} overlaps with another part of the zip.", _OWN_FOLDER)


def _require_distinct(paths: Iterator[PurePosixPath]) -> None:
    """Where Windows and macOS see one file, there must not be two: which of them was meant cannot be told."""
    spelled: dict[str, PurePosixPath] = {}
    for path in paths:
        other = spelled.setdefault(unicodedata.normalize("NFC", str(path)).casefold(), path)
        if other != path:
            one, two = sorted((str(other), str(path)))
            raise BuildRejectedError(
                f"The names {one!r} and {two!r} in the zip differ only in upper and lower case or in how accents are "
                "written.",
                "Rename one of them, or leave out the one that the build does not need.",
            )


def _safe_path(member: ZipInfo) -> PurePosixPath | None:
    """The entry's path inside the build's folder; None for what operating systems add."""
    name = member.filename.replace("\\", "/")  # zips made on Windows may hold back-slashes
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or (parts and parts[0].endswith(":")) or "\0" in member.orig_filename:
        raise BuildRejectedError(
            f"The zip holds the path {_shown(member)}, which leads outside its own folder.", _OWN_FOLDER
        )
    if _UNSEEN.search(name):
        raise BuildRejectedError(
            f"The zip holds the name {_shown(member)}, which has invisible characters in it.", "Rename the file."
        )
    if any(other != member.orig_filename for other in _other_names(member.extra)):
        raise BuildRejectedError(
            f"The zip gives {_shown(member)} a second name, which is another one.",
            "Zip the build with a program that writes UTF-8 names (7-Zip, zip), or give its files ASCII names.",
        )
    _require_plain_file(member)
    if any(len(part.encode()) > _MAX_NAME_BYTES for part in parts):
        raise BuildRejectedError(
            f"The zip holds a name of more than {_MAX_NAME_BYTES} bytes: {_shown(member)}.", "Give it a shorter name."
        )
    if len(name.encode()) > _MAX_PATH_BYTES:
        raise BuildRejectedError(
            f"The zip holds a path of more than {_MAX_PATH_BYTES} bytes: {_shown(member)}.",
            "Use shorter names or fewer folders.",
        )
    if len(parts) > _MAX_DEPTH:
        raise BuildRejectedError(f"{_shown(member)} in the zip lies more than {_MAX_DEPTH} folders deep.", _OWN_FOLDER)
    return None if not parts or _IGNORED_PARTS.intersection(parts) else PurePosixPath(*parts)


def _require_plain_file(member: ZipInfo) -> None:
    links = member.external_attr & _REPARSE_POINT or _has_link_target(member.extra)
    if links or stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise BuildRejectedError(
            f"{_shown(member)} in the zip is a link or a device, not a file.", "Zip regular files only."
        )
    if member.flag_bits & _ENCRYPTED:
        raise BuildRejectedError("The zip is protected by a password.", "Zip the build again without a password.")
    if member.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        raise BuildRejectedError(
            f"{_shown(member)} in the zip cannot be read: it is compressed by method {member.compress_type}, which is "
            "not taken.",
            _ORDINARY,
        )


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


def _shown(member: ZipInfo) -> str:
    return repr(member.filename if len(member.filename) <= 60 else member.filename[:60] + "…")
