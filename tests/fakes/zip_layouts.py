"""Zips of builds, good and bad, from small pieces."""

import io
import zipfile
from collections.abc import Iterable
from typing import NamedTuple

ELF_HEAD = b"\x7fELF\x02\x01\x01" + bytes(9)


def elf(machine: int = 62, kind: int = 3, word: int = 2, order: str = "little") -> bytes:
    head = bytearray(ELF_HEAD)
    head[4], head[5] = word, 1 if order == "little" else 2
    return bytes(head) + kind.to_bytes(2, order) + machine.to_bytes(2, order) + bytes(44)  # type: ignore[arg-type]


PROGRAM = elf()
SCRIPT = b"#!/bin/sh\nexit 0\n"


class Member(NamedTuple):
    """One entry; `mode` is a whole st_mode, 0 as Windows writes it."""

    name: str
    content: bytes = b""
    mode: int = 0


def zip_of(members: Iterable[Member], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for member in members:
            info = zipfile.ZipInfo(member.name)
            info.filename = member.name  # ZipInfo changes separators by the system that it runs on
            info.compress_type = compression
            info.external_attr = member.mode << 16
            archive.writestr(info, member.content)
    return buffer.getvalue()


def build(*more: Member, name: str = "Game", folder: str = "", program: bytes = PROGRAM) -> list[Member]:
    """As Unity writes it, with whatever else."""
    return [
        Member(f"{folder}{name}.x86_64", program),
        Member(f"{folder}{name}_Data/globalgamemanagers", b"\0" * 20 + b"2022.3.21f1\0"),
        Member(f"{folder}UnityPlayer.so", elf()),
        *more,
    ]
