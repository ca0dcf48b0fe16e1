"""Zips of gigabytes that take next to no room: what would be long is a hole in the file."""

import struct
from pathlib import Path
from typing import Final
from zlib import crc32

from tests.fakes.unity_zips import SCRIPT

_LOCAL = struct.Struct("<4s5H3L2H")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_ZIP_64_SIZES, _ZIP_64_OFFSET = 0x0001, 0xFFFFFFFF
_SMALL_FILES: Final = {
    "Game.x86_64": SCRIPT,
    "Game_Data/globalgamemanagers": bytes(48) + b"2022.3.62f1\0",
    "Game_Data/Managed/Unity.ML-Agents.dll": b"MZ",
}


def write_build(path: Path, size_bytes: int) -> Path:
    """A Linux build whose one large file is stored; its program lies behind that, where offsets need 64 bits."""
    entries = []
    with path.open("wb") as file:
        entries.append(_large(file.tell(), "Game_Data/resources.assets.resS", size_bytes))
        file.write(_LOCAL.pack(b"PK\x03\x04", 45, 0, 0, 0, 33, 0, 0, 0, 31, 0) + b"Game_Data/resources.assets.resS")
        file.seek(size_bytes, 1)
        for name, content in _SMALL_FILES.items():
            entries.append(_small(file.tell(), name, content))
            file.write(_file(name, content))
        start = file.tell()
        file.write(b"".join(entries))
        file.write(_end(start, file.tell() - start, len(entries)))
    return path


def write_many_entries(path: Path, count: int) -> Path:
    """A Linux build of so many files in all, which are empty and have no headers of their own."""
    with path.open("wb") as file:
        entries = []
        for name, content in list(_SMALL_FILES.items())[:1]:
            entries.append(_small(0, name, content))
            file.write(_file(name, content))
        begin = file.tell()
        names = (f"Game_Data/StreamingAssets/{number:x}" for number in range(count - 1))
        entries += [_small(begin + 30 * number, name, b"") for number, name in enumerate(names)]
        file.seek(30 * count, 1)
        start = file.tell()
        file.write(b"".join(entries))
        file.write(_end(start, file.tell() - start, count))
    return path


def write_huge_directory(path: Path, size_bytes: int) -> Path:
    """A zip that is all directory, of zeros."""
    with path.open("wb") as file:
        file.write(b"PK\x03\x04")
        start = file.tell()
        file.seek(size_bytes, 1)
        file.write(_end(start, size_bytes, 1))
    return path


def _file(name: str, content: bytes) -> bytes:
    size = len(content)
    header = _LOCAL.pack(b"PK\x03\x04", 45, 0, 0, 0, 33, crc32(content), size, size, len(name), 0)
    return header + name.encode() + content


def _small(offset: int, name: str, content: bytes) -> bytes:
    extra = b"" if offset < _ZIP_64_OFFSET else struct.pack("<2HQ", _ZIP_64_SIZES, 8, offset)
    size, place = len(content), min(offset, _ZIP_64_OFFSET)
    sizes = (crc32(content), size, size, len(name), len(extra), 0, 0, 0)
    return _ENTRY.pack(b"PK\x01\x02", 45, 45, 0, 0, 0, 33, *sizes, 0, place) + name.encode() + extra


def _large(offset: int, name: str, size_bytes: int) -> bytes:
    extra = struct.pack("<2H2Q", _ZIP_64_SIZES, 16, size_bytes, size_bytes)
    sizes = (0, _ZIP_64_OFFSET, _ZIP_64_OFFSET, len(name), len(extra), 0, 0, 0)
    return _ENTRY.pack(b"PK\x01\x02", 45, 45, 0, 0, 0, 33, *sizes, 0, offset) + name.encode() + extra


def _end(start: int, length: int, count: int) -> bytes:
    end_64 = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, length, start)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, start + length, 1)
    return end_64 + locator + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
