"""Which file of a build is the program to start, by what Unity writes for Linux and by the file's first bytes."""

from pathlib import PurePosixPath
from typing import Final, NamedTuple

from pipeline.errors import BuildRejectedError
from pipeline.rules.foreign_builds import LINUX, explain_no_program
from pipeline.rules.zip_entries import Entries
from pipeline.rules.zip_members import Members

DATA_SUFFIX: Final = "_Data"
_NO_NAMES: Final = frozenset({"", ".", ".."})
_SUFFIXES: Final = ("", ".x86_64", ".x86")
_MOST_CANDIDATES: Final = 100
"""Each may take a request to S3."""

_MOST_SHOWN: Final = 5
_ENGINE: Final = b"UnityPlayer.so"
_LINKED_BYTES: Final = 256 * 1024
"""A program with its engine beside it has some 15 KB; one with the engine inside does not name it."""

# elf.h: EI_CLASS, EI_DATA, e_type, e_machine
_ELF, _64_BIT, _LITTLE_ENDIAN = b"\x7fELF", 2, 1
_PROGRAM_TYPES = (2, 3)  # ET_EXEC, ET_DYN
_X86_64 = 62
_MACHINES: Final = {3: "32-bit x86", 40: "32-bit ARM", 183: "64-bit ARM", 243: "RISC-V"}


def find_program(entries: Entries, members: Members, named: str | None) -> PurePosixPath:
    """The program's path in the zip.

    Args:
        entries: of the zip.
        members: to read their first bytes.
        named: the program that the request names.

    Raises:
        BuildRejectedError: there is none that runs on Linux x86-64, or there are several, or it lacks its engine.
    """
    program = _named(entries, members, named) if named is not None else _found(entries, members)
    _require_engine(program, entries, members)
    return program


def data_folder(program: PurePosixPath) -> PurePosixPath:
    """Where Unity puts the data of a program."""
    stem = program.name.removesuffix(".x86_64").removesuffix(".x86")
    return program.with_name(stem + DATA_SUFFIX)


def _named(entries: Entries, members: Members, named: str) -> PurePosixPath:
    path = PurePosixPath(named.replace("\\", "/"))
    if path not in entries.files:
        raise BuildRejectedError(
            f"environment.executable names {named!r}, which is no file in the zip.",
            "Give the program's path inside the zip, for example Game/Game.x86_64.",
        )
    if wrong := _wrong(members.head(entries.files[path])):
        raise BuildRejectedError(f"environment.executable names {named!r}, which is {wrong.what}.", wrong.remedy)
    return path


def _found(entries: Entries, members: Members) -> PurePosixPath:
    candidates = sorted(
        path
        for data in entries.folders
        if data.name.endswith(DATA_SUFFIX) and (stem := data.name.removesuffix(DATA_SUFFIX)) not in _NO_NAMES
        for suffix in _SUFFIXES
        if (path := data.with_name(stem + suffix)) in entries.files
    )
    if len(candidates) > _MOST_CANDIDATES:
        raise BuildRejectedError(
            f"The zip holds {len(candidates):,} files that could be the program, each beside its own folder "
            f"<Name>{DATA_SUFFIX}; at most {_MOST_CANDIDATES} are looked at.",
            f"Zip one build alone, or name its program as environment.executable, for example {candidates[0]}.",
        )
    looked_at = {path: _wrong(members.head(entries.files[path])) for path in candidates}
    wrong = {path: why for path, why in looked_at.items() if why is not None}
    found = [path for path in candidates if path not in wrong]
    if len(found) > 1:
        more = f" and {len(found) - _MOST_SHOWN} more" if len(found) > _MOST_SHOWN else ""
        raise BuildRejectedError(
            f"The zip holds several programs: {', '.join(map(str, found[:_MOST_SHOWN]))}{more}.",
            f"Name one as environment.executable, for example {found[0]}.",
        )
    if found:
        return found[0]
    if candidates:
        first = candidates[0]
        raise BuildRejectedError(f"{first} is {wrong[first].what}.", wrong[first].remedy)
    raise explain_no_program(entries)


def _require_engine(program: PurePosixPath, entries: Entries, members: Members) -> None:
    if program.with_name(_ENGINE.decode()) in entries.files:
        return
    head = members.head(entries.files[program], _LINKED_BYTES)
    if head.startswith(_ELF) and _ENGINE in head:
        raise BuildRejectedError(
            f"{program} needs UnityPlayer.so, which is not beside it in the zip.",
            "Zip the whole folder that Unity wrote, not only the program and its data.",
        )


class _Wrong(NamedTuple):
    """What a file is that is no program for Linux x86-64, and what to do."""

    what: str
    remedy: str = LINUX


def _wrong(head: bytes) -> _Wrong | None:
    """None for a program for Linux x86-64, or a script with a shebang."""
    if head.startswith(b"#!"):
        return _wrong_script(head)
    if not head.startswith(_ELF):
        looks = " (it is a Windows program)" if head.startswith(b"MZ") else "" if head else " (it is empty)"
        return _Wrong(f"neither a Linux x86-64 program nor a script{looks}")
    if len(head) < 20:
        return _Wrong("cut off: too short to tell for which processor it was built")
    order = head[5] == _LITTLE_ENDIAN
    kind, machine = (int.from_bytes(head[at : at + 2], "little" if order else "big") for at in (16, 18))
    if machine != _X86_64 or head[4] != _64_BIT:
        bits = "32-bit x86-64" if machine == _X86_64 else _MACHINES.get(machine, f"machine type {machine}")
        return _Wrong(f"built for another processor than x86-64 ({bits})")
    return None if kind in _PROGRAM_TYPES else _Wrong("an object file for an x86-64 processor, not a program")


def _wrong_script(head: bytes) -> _Wrong | None:
    line, ended, _ = head[2:].partition(b"\n")
    if not line.split():
        return _Wrong("neither a Linux x86-64 program nor a script: its first line names no interpreter")
    if ended and line.endswith(b"\r"):
        what = "a script whose lines end as on Windows, so that Linux does not find its interpreter"
        return _Wrong(what, "Save the script with Linux line ends (LF), and zip the build again.")
    return None
