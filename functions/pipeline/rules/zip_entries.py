"""The directory of a zip from someone we do not know: every name proved harmless before any of it is believed.

The rules are those by which the training container unpacks (a test holds the two together), so that what is admitted
here is not refused there an hour of queueing later.
"""

import stat
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from zipfile import ZipFile, ZipInfo

from pipeline.errors import BuildRejectedError

MAX_ENTRIES = 100_000
MAX_UNPACKED_BYTES = 20 * 1024**3
_MAX_NAME_BYTES = 255  # of one path component, on every common Linux file system
_ENCRYPTED = 0x1
_IGNORED_PARTS = frozenset({"__MACOSX", ".DS_Store", "Thumbs.db"})
"""What operating systems add."""

_OWN_FOLDER = "Zip nothing but the build's own folder."


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
    files: dict[PurePosixPath, ZipInfo] = {}
    named_folders: set[PurePosixPath] = set()
    for member in archive.infolist():
        path = _safe_path(member)
        if path is None:
            continue
        folder = member.filename.endswith(("/", "\\"))
        if path in files or (path in named_folders and not folder):
            raise BuildRejectedError(f"The zip holds {path} twice.", _OWN_FOLDER)
        if folder:
            named_folders.add(path)
        else:
            files[path] = member
    folders = named_folders.union(*(path.parents for path in (*files, *named_folders)))
    if both := folders.intersection(files):
        raise BuildRejectedError(f"The zip holds {min(both)} both as a file and as a folder.", _OWN_FOLDER)
    entries = Entries(files, frozenset(folders))
    _check_size(entries, len(files) + len(named_folders))
    return entries


def _check_size(entries: Entries, count: int) -> None:
    if not entries.files:
        raise BuildRejectedError("The zip is empty.")
    if count > MAX_ENTRIES:
        raise BuildRejectedError(f"The zip holds {count:,} files; at most {MAX_ENTRIES:,} are taken.")
    if (size_bytes := entries.unpacked_size_bytes) > MAX_UNPACKED_BYTES:
        raise BuildRejectedError(
            f"The build is {size_bytes / 1e6:,.0f} MB unpacked; at most {MAX_UNPACKED_BYTES / 1e6:,.0f} MB are taken."
        )


def _safe_path(member: ZipInfo) -> PurePosixPath | None:
    """The entry's path inside the build's folder; None for what operating systems add."""
    name = member.filename.replace("\\", "/")  # zips made on Windows may hold back-slashes
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or (parts and parts[0].endswith(":")) or "\0" in member.orig_filename:
        raise BuildRejectedError(
            f"The zip holds the path {member.filename!r}, which leads outside its own folder.", _OWN_FOLDER
        )
    if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise BuildRejectedError(
            f"{member.filename!r} in the zip is a link or a device, not a file.", "Zip regular files only."
        )
    if member.flag_bits & _ENCRYPTED:
        raise BuildRejectedError("The zip is protected by a password.", "Zip the build again without a password.")
    if any(len(part.encode("utf-8", "surrogateescape")) > _MAX_NAME_BYTES for part in parts):
        raise BuildRejectedError(
            f"The zip holds a name of more than {_MAX_NAME_BYTES} bytes: {member.filename[:60]!r}…"
        )
    return None if not parts or _IGNORED_PARTS.intersection(parts) else PurePosixPath(*parts)
