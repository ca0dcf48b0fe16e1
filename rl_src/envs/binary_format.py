"""What a file is, by its first bytes."""

from dataclasses import dataclass
from pathlib import Path

_ELF = b"\x7fELF"
_ELF_64_BIT = 2
_EM_X86_64 = 62
_ET_DYN, _ET_EXEC = 3, 2
_ELF_MACHINES = {3: "32-bit x86", 40: "32-bit ARM", 183: "64-bit ARM", 243: "RISC-V"}
_WINDOWS_SCRIPT = "a script whose lines end as on Windows, so that Linux does not find its interpreter"
_LINUX_LINES = "Save the script with Linux line ends (LF), and zip the build again."
_MACH_O = (b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"\xfe\xed\xfa\xcf", b"\xfe\xed\xfa\xce")


@dataclass(frozen=True)
class Program:
    """A file that may be a program. `interpreter`: of a script, from its first line. `remedy`: where it is known."""

    description: str
    runs_on_linux_x86_64: bool = False
    interpreter: str | None = None
    remedy: str | None = None


def identify(path: Path) -> Program:
    """Look at the first bytes of a file."""
    with path.open("rb") as file:
        return identify_bytes(file.read(256))


def identify_bytes(head: bytes) -> Program:
    """`head`: the first 256 bytes, or fewer if there are no more."""
    if head.startswith(b"#!"):
        line, ended, _ = head[2:].partition(b"\n")
        words = line.decode("utf-8", "replace").split()
        if words and ended and line.endswith(b"\r"):
            return Program(_WINDOWS_SCRIPT, interpreter=words[0], remedy=_LINUX_LINES)
        # `#!/usr/bin/env python3`: env looks it up.
        name = words[1] if len(words) > 1 and words[0].endswith("/env") else (words[0] if words else "")
        return Program("a script", bool(name), name or None)
    if head.startswith(_ELF) and len(head) >= 20:
        return _elf(head)
    if head.startswith(b"MZ"):
        return Program("a Windows program")
    if head.startswith(_MACH_O):
        return Program("a macOS program")
    return Program("no program that is known" if head else "an empty file")


def _elf(head: bytes) -> Program:
    order = "little" if head[5] == 1 else "big"
    kind = int.from_bytes(head[16:18], order)  # type: ignore[arg-type]
    machine = int.from_bytes(head[18:20], order)  # type: ignore[arg-type]
    if machine != _EM_X86_64 or head[4] != _ELF_64_BIT:
        return Program(f"a Linux program for {_ELF_MACHINES.get(machine, f'machine type {machine}')}")
    if kind not in (_ET_EXEC, _ET_DYN):
        return Program("an object file, not a program")
    return Program("a Linux x86-64 program or library", runs_on_linux_x86_64=True)
