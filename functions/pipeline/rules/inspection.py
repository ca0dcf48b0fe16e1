"""What is in an uploaded zip, and whether it can be trained on.

A program is what Unity writes for Linux, `<Name>.x86_64` (or without suffix) beside a folder `<Name>_Data`, and an ELF
x86-64 file or a script with a shebang (our samples, wrappers that users write). The training container looks again, by
the same rules, as it unpacks.
"""

import lzma
import re
import zlib
from functools import partial
from pathlib import PurePosixPath
from zipfile import BadZipFile, ZipFile, ZipInfo

from pipeline.contracts.build import BuildManifest
from pipeline.errors import BuildRejectedError
from pipeline.rules.recordings import SUFFIX as RECORDING_SUFFIX
from pipeline.rules.zip_entries import Entries, read_entries
from pipeline.rules.zip_options import read_options, read_trainer_file

_PROGRAM_SUFFIXES = ("", ".x86_64", ".x86")
_DATA_SUFFIX = "_Data"
_MLAGENTS = "Unity.ML-Agents.dll"

# elf.h: EI_CLASS, EI_DATA, e_type, e_machine
_ELF, _64_BIT, _LITTLE_ENDIAN = b"\x7fELF", 2, 1
_PROGRAM_TYPES = (2, 3)  # ET_EXEC, ET_DYN
_X86_64 = 62

DAMAGED = (BadZipFile, NotImplementedError, EOFError, UnicodeDecodeError, OSError, zlib.error, lzma.LZMAError)
"""What zipfile raises of a zip that is broken or packed in a way that it does not know. bz2 says OSError, and so does a
file of an offset before its beginning; what S3 cannot do has been translated before it comes here."""

_LINUX = "In Unity's Build Settings choose the target platform Linux, architecture x86_64, and build again."


def inspect(archive: ZipFile, key: str, size_bytes: int, named: str | None = None) -> BuildManifest:
    """Read the directory of the zip and the beginning of a few members.

    Args:
        archive: the open zip.
        key: where it lies.
        size_bytes: its size.
        named: the program that the request names.

    Raises:
        BuildRejectedError: the zip cannot be trained on.
        InvalidRequestError: gamedojo.json in it breaks its contract, or it holds two files that say what to do.
    """
    entries = read_entries(archive)
    read = partial(_head, archive)
    options = read_options(entries, read)
    program = _program(archive, entries, named or (options.environment.executable if options else None))
    recordings = sorted(str(path) for path in entries.files if path.suffix == RECORDING_SUFFIX)
    names = {path.name for path in entries.files}
    il2cpp = "GameAssembly.so" in names
    return BuildManifest(
        build_key=key,
        size_bytes=size_bytes,
        unpacked_size_bytes=entries.unpacked_size_bytes,
        file_count=len(entries.files),
        executable=str(program),
        unity_version=_unity_version(archive, entries),
        has_mlagents=True if _MLAGENTS in names else None,
        options=options,
        trainer_file=read_trainer_file(entries, program, read),
        recordings=tuple(recordings),
        notes=("IL2CPP build: Unity documents training with the Mono scripting back end only.",) if il2cpp else (),
    )


def _program(archive: ZipFile, entries: Entries, named: str | None) -> PurePosixPath:
    if named is not None:
        path = PurePosixPath(named.replace("\\", "/"))
        if path in entries.files and _is_program(archive, entries.files[path]):
            return path
        raise BuildRejectedError(
            f"environment.executable names {named!r}, which is no Linux x86-64 program in the zip.",
            "Give the program's path inside the zip, for example Game/Game.x86_64.",
        )
    candidates = sorted(
        path
        for data in entries.folders
        if data.name.endswith(_DATA_SUFFIX) and data.name != _DATA_SUFFIX
        for suffix in _PROGRAM_SUFFIXES
        if (path := data.with_name(data.name.removesuffix(_DATA_SUFFIX) + suffix)) in entries.files
    )
    found = [path for path in candidates if _is_program(archive, entries.files[path])]
    if len(found) > 1:
        raise BuildRejectedError(
            f"The zip holds several programs: {', '.join(map(str, found))}.",
            f"Name one as environment.executable, for example {found[0]}.",
        )
    if not found:
        raise _no_program(archive, entries, candidates)
    return found[0]


def _no_program(archive: ZipFile, entries: Entries, candidates: list[PurePosixPath]) -> BuildRejectedError:
    if candidates:
        elf = _head(archive, entries.files[candidates[0]])[:4] == _ELF
        what = "built for another processor than x86-64" if elf else "neither a Linux x86-64 program nor a script"
        return BuildRejectedError(f"{candidates[0]} is {what}.", _LINUX)
    if mac := next((part for path in entries.folders for part in path.parts if part.endswith(".app")), None):
        return BuildRejectedError(f"This is a macOS build ({mac}).", _LINUX)
    if windows := next((path for path in entries.files if _is_windows_player(path)), None):
        return BuildRejectedError(f"This is a Windows build ({windows}).", _LINUX)
    if lonely := next((path for path in entries.files if path.suffix in _PROGRAM_SUFFIXES[1:]), None):
        return BuildRejectedError(
            f"{lonely} has no folder {lonely.stem}{_DATA_SUFFIX} beside it.",
            "Zip the whole folder that Unity wrote, not the program alone.",
        )
    return BuildRejectedError(
        "The zip holds no executable: no <Name>.x86_64 beside a <Name>_Data folder.",
        "Zip the folder that Unity wrote for Linux x86-64, with <Name>.x86_64, <Name>_Data and UnityPlayer.so in it.",
    )


def _is_windows_player(path: PurePosixPath) -> bool:
    return path.suffix == ".exe" and "UnityCrashHandler" not in path.name


def _is_program(archive: ZipFile, member: ZipInfo) -> bool:
    head = _head(archive, member)
    if head.startswith(b"#!"):
        return bool(head[2:].split(b"\n", 1)[0].decode("utf-8", "replace").split())
    if not head.startswith(_ELF) or len(head) < 20:
        return False
    order = head[5] == _LITTLE_ENDIAN
    kind, machine = (int.from_bytes(head[at : at + 2], "little" if order else "big") for at in (16, 18))
    return head[4] == _64_BIT and machine == _X86_64 and kind in _PROGRAM_TYPES


def _head(archive: ZipFile, member: ZipInfo, size_bytes: int = 256) -> bytes:
    try:
        with archive.open(member) as file:
            return file.read(size_bytes)
    except DAMAGED as error:
        raise BuildRejectedError(
            f"{member.filename!r} in the zip cannot be read: {error}.", "Zip the build again and upload it whole."
        ) from error


def _unity_version(archive: ZipFile, entries: Entries) -> str | None:
    """Unity writes its version in clear text near the beginning of `globalgamemanagers`."""
    member = next((entries.files[path] for path in entries.files if path.name == "globalgamemanagers"), None)
    if member is None:
        return None
    match = re.search(rb"\d{1,4}\.\d+\.\d+[abfp]\d+", _head(archive, member, 4096))
    return match[0].decode() if match else None
