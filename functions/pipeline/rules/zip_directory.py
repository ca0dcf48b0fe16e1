"""The end of a zip from someone we do not know, read before `zipfile` may: how much there is to read, and where.

`zipfile` reads the whole directory into memory and makes an object of each entry, however many a file says it has. So
the entries are counted first, where `zipfile` will look for them (APPNOTE.TXT 4.3.12 to 4.3.16).
"""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final, NamedTuple
from zipfile import ZipFile

from pipeline.errors import BuildRejectedError

MAX_ENTRIES: Final = 100_000
MAX_DIRECTORY_BYTES: Final = 64 * 1024**2

_END = struct.Struct("<4s4H2LH")
_END_SIGNATURE, _LONGEST_COMMENT = b"PK\x05\x06", 1 << 16
_LOCATOR_64 = struct.Struct("<4sLQL")
_LOCATOR_64_SIGNATURE = b"PK\x06\x07"
_END_64 = struct.Struct("<4sQ2H2L4Q")
_END_64_SIGNATURE = b"PK\x06\x06"
_ENTRY = struct.Struct("<4s24x3H12x")  # signature, and how long name, extra field and comment are
_ENTRY_SIGNATURE = b"PK\x01\x02"

_WHOLE = "Zip the folder that Unity wrote and upload the zip whole."
_BEGINNINGS: Final = (
    (b"\x1f\x8b", "a gzip archive (.tar.gz, .unitypackage)"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\x7fELF", "a Linux program by itself"),
    (b"MZ", "a Windows program by itself"),
    (b"UnityFS", "a Unity asset bundle"),
)


class _Directory(NamedTuple):
    """Where the directory lies in the file."""

    start: int
    size_bytes: int


@contextmanager
def opened(file: BinaryIO, size_bytes: int, name: str = "The file") -> Iterator[ZipFile]:
    """The zip in `file`, once its directory is known to be of a bearable size.

    Args:
        file: seekable; read at its end, and in the directory.
        size_bytes: of the file.
        name: of the file, as its user knows it.

    Raises:
        BuildRejectedError: it is no zip, or not a whole one; its directory is too large; a name is no UTF-8.
    """
    directory = _find(file, size_bytes, name)
    count = _count_entries(file, directory)
    try:
        archive = ZipFile(file, metadata_encoding="utf-8")
    except UnicodeDecodeError as error:
        shown = bytes(error.object)[:60]
        raise BuildRejectedError(
            f"The zip holds a name that is not UTF-8: {shown!r}.",
            "Zip the build with a program that writes UTF-8 names (7-Zip, zip), or give its files ASCII names.",
        ) from error
    with archive:
        if (archive.start_dir, len(archive.infolist())) != (directory.start, count):
            raise BuildRejectedError("The zip's directory can be read in more than one way.", _WHOLE)
        yield archive


def _find(file: BinaryIO, size_bytes: int, name: str) -> _Directory:
    tail_start = max(0, size_bytes - _LONGEST_COMMENT - _END.size)
    file.seek(tail_start)
    tail = file.read(_LONGEST_COMMENT + _END.size)
    at = len(tail) - _END.size
    if at < 0 or not (tail[at:].startswith(_END_SIGNATURE) and tail.endswith(b"\0\0")):
        at = tail.rfind(_END_SIGNATURE)
    if at < 0 or len(tail) < at + _END.size:
        raise _no_zip(file, size_bytes, name)
    _, disk, first_disk, _, _, directory_bytes, _, _ = _END.unpack_from(tail, at)
    end = tail_start + at
    if end >= _LOCATOR_64.size + _END_64.size:
        file.seek(end - _LOCATOR_64.size - _END_64.size)
        end_64, locator = file.read(_END_64.size), file.read(_LOCATOR_64.size)
        if locator.startswith(_LOCATOR_64_SIGNATURE) and end_64.startswith(_END_64_SIGNATURE):
            _, _, _, _, disk, first_disk, _, _, directory_bytes, _ = _END_64.unpack(end_64)
            end -= _LOCATOR_64.size + _END_64.size
    if disk or first_disk:
        raise BuildRejectedError("The file is one part of a zip of several parts.", "Zip the build into a single file.")
    if directory_bytes > end:
        raise BuildRejectedError("The file is only the end of a zip: its directory begins before it.", _WHOLE)
    if directory_bytes > MAX_DIRECTORY_BYTES:
        raise BuildRejectedError(
            f"The zip's directory is {directory_bytes / 1e6:,.0f} MB; at most {MAX_DIRECTORY_BYTES / 1e6:,.0f} MB are "
            "taken.",
            "Leave out what the build does not need, or pack small files into asset bundles.",
        )
    return _Directory(end - directory_bytes, directory_bytes)


def _count_entries(file: BinaryIO, directory: _Directory) -> int:
    end, position, count = directory.start + directory.size_bytes, directory.start, 0
    while position < end:
        file.seek(position)
        header = file.read(_ENTRY.size)
        if len(header) < _ENTRY.size or not header.startswith(_ENTRY_SIGNATURE):
            raise BuildRejectedError("The zip's directory is damaged.", _WHOLE)
        position += _ENTRY.size + sum(_ENTRY.unpack(header)[1:])
        count += 1
        if count > MAX_ENTRIES:
            raise BuildRejectedError(
                f"The zip holds more than {MAX_ENTRIES:,} files, which is the most that is taken.",
                "Leave out what the build does not need, or pack small files into asset bundles.",
            )
    if position != end:
        raise BuildRejectedError("The zip's directory is damaged.", _WHOLE)
    return count


def _no_zip(file: BinaryIO, size_bytes: int, name: str) -> BuildRejectedError:
    file.seek(0)
    head = file.read(8)
    if head.startswith(b"PK\x03\x04"):
        why = "it begins as one and is cut off before its end"
    elif not head:
        why = "it is empty"
    else:
        why = next((f"it is {what}" for magic, what in _BEGINNINGS if head.startswith(magic)), "it has no directory")
    return BuildRejectedError(f"{name} is no readable zip ({size_bytes} bytes): {why}.", _WHOLE)
