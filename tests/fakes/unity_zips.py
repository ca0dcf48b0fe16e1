"""Zips that look like Unity builds, and zips that do not, made in memory."""

import io
import struct
import warnings
import zipfile
from collections.abc import Iterable

SCRIPT = b"#!/bin/sh\nexit 0\n"
ELF64, ELF32 = 2, 1
X86_64, X86_32, ARM64 = 62, 3, 183
EXECUTABLE, SHARED, OBJECT = 2, 3, 1

LINK, FIFO, DEVICE, SOCKET = 0o120777, 0o010644, 0o020644, 0o140644


def elf(machine: int = X86_64, bits: int = ELF64, kind: int = SHARED, little: bool = True) -> bytes:
    """The first bytes of an ELF file, as elf.h lays them out."""
    order = "<" if little else ">"
    identity = b"\x7fELF" + bytes([bits, 1 if little else 2, 1]) + bytes(9)
    return identity + struct.pack(f"{order}HH", kind, machine) + bytes(64)


def member(name: str, mode: int = 0o100644) -> zipfile.ZipInfo:
    """A member with Unix modes: a file, or by its mode a link or a device."""
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = mode << 16
    return info


def zipped(*entries: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns of the duplicates that are wanted here
        for info, content in entries:
            archive.writestr(info if isinstance(info, zipfile.ZipInfo) else zipfile.ZipInfo(info), content)
    return buffer.getvalue()


def build(folder: str = "", program: bytes = SCRIPT, more: Iterable[tuple[str | zipfile.ZipInfo, bytes]] = ()) -> bytes:
    """A Linux build called Game, below `folder`."""
    entries = [(f"{folder}Game.x86_64", program), (f"{folder}Game_Data/boot.config", b"")]
    return zipped(*entries, *more)


def encrypted(body: bytes) -> bytes:
    """The same zip with the flag that says that its first member needs a password."""
    data = bytearray(body)
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        struct.pack_into("<H", data, data.index(signature) + offset, 1)
    return bytes(data)


def with_compression(body: bytes, method: int) -> bytes:
    """The same zip, its first member said to be compressed in another way."""
    data = bytearray(body)
    for signature, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        struct.pack_into("<H", data, data.index(signature) + offset, method)
    return bytes(data)


def with_size(body: bytes, size_bytes: int) -> bytes:
    """The same zip, its first member said to unpack to another size."""
    data = bytearray(body)
    struct.pack_into("<I", data, data.index(b"PK\x01\x02") + 24, size_bytes)
    return bytes(data)


def with_attributes(name: str, attributes: int) -> zipfile.ZipInfo:
    """A member with Windows' file attributes."""
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 0, attributes
    return info


def with_extra(name: str, kind: int, content: bytes) -> zipfile.ZipInfo:
    """A member with an extra field."""
    info = zipfile.ZipInfo(name)
    info.extra = struct.pack("<2H", kind, len(content)) + content
    return info


def without_utf8_flag(body: bytes) -> bytes:
    """The same zip, as the Finder writes it: names in UTF-8, and no word of it."""
    data = bytearray(body)
    for signature, offset in ((b"PK\x03\x04", 7), (b"PK\x01\x02", 9)):
        at = data.find(signature)
        while at >= 0:
            data[at + offset] &= ~0x08
            at = data.find(signature, at + 1)
    return bytes(data)


def overlapping(body: bytes) -> bytes:
    """The same zip, whose last member is said to lie where the first one lies."""
    data = bytearray(body)
    first, last = data.index(b"PK\x01\x02"), data.rindex(b"PK\x01\x02")
    data[last + 42 : last + 46] = data[first + 42 : first + 46]
    return bytes(data)
