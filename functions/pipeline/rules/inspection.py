"""What is in an uploaded zip, and whether it can be trained on.

A program is `<Name>.x86_64` beside `<Name>_Data` (Unity's layout), an ELF x86-64 file or a script with a shebang (our
samples, wrappers that users write). The training container looks again, with the same rules, as it unpacks.
"""

import re
import stat
from pathlib import PurePosixPath
from zipfile import BadZipFile, ZipFile, ZipInfo

from pipeline.contracts.build import BuildManifest
from pipeline.contracts.request import RunOptions
from pipeline.contracts.validation import InvalidDocumentError, read_document
from pipeline.errors import BuildRejectedError, InvalidRequestError

MAX_FILES = 100_000
MAX_UNPACKED_BYTES = 16 * 1024**3
_MAX_OPTIONS_BYTES = 256 * 1024
_ELF_X86_64 = 62  # e_machine, elf.h
_MLAGENTS = "Unity.ML-Agents.dll"


def inspect(archive: ZipFile, key: str, size_bytes: int, named: str | None = None) -> BuildManifest:
    """Read the directory of the zip and the beginning of a few members.

    Args:
        archive: the open zip.
        key: where it lies.
        size_bytes: its size.
        named: the program that the request names.

    Raises:
        BuildRejectedError: the zip cannot be trained on.
        InvalidRequestError: gamedojo.json in it breaks its contract.
    """
    files = _files(archive)
    options = _options(archive, files)
    program = _program(archive, files, named or (options.environment.executable if options else None))
    names = {path.name for path in files}
    il2cpp = "GameAssembly.so" in names
    return BuildManifest(
        build_key=key,
        size_bytes=size_bytes,
        unpacked_size_bytes=sum(member.file_size for member in files.values()),
        file_count=len(files),
        executable=str(program),
        unity_version=_unity_version(archive, files),
        has_mlagents=True if _MLAGENTS in names else None,
        options=options,
        notes=("IL2CPP build: Unity documents training with the Mono scripting back end only.",) if il2cpp else (),
    )


def _files(archive: ZipFile) -> dict[PurePosixPath, ZipInfo]:
    members = [member for member in archive.infolist() if not member.filename.endswith(("/", "\\"))]
    if not members:
        raise BuildRejectedError("The zip is empty.")
    if len(members) > MAX_FILES:
        raise BuildRejectedError(f"The zip holds {len(members)} files; at most {MAX_FILES} are taken.")
    if (size := sum(member.file_size for member in members)) > MAX_UNPACKED_BYTES:
        raise BuildRejectedError(f"The zip unpacks to {size} bytes; at most {MAX_UNPACKED_BYTES} are taken.")
    files: dict[PurePosixPath, ZipInfo] = {}
    for member in members:
        path = _safe_path(member)
        if path in files:
            raise BuildRejectedError(f"The zip holds {path} twice.", "Zip nothing but the build's own folder.")
        files[path] = member
    return files


def _safe_path(member: ZipInfo) -> PurePosixPath:
    name = member.filename.replace("\\", "/")  # zips made on Windows may hold back-slashes
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", name):
        raise BuildRejectedError(
            f"The zip holds the path {member.filename!r}, which leaves its folder.",
            "Zip nothing but the build's own folder.",
        )
    if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG):
        raise BuildRejectedError(
            f"{member.filename!r} in the zip is a link or a device, not a file.", "Zip regular files only."
        )
    if member.flag_bits & 0x1:
        raise BuildRejectedError("The zip is encrypted.", "Zip the build without a password.")
    return path


def _program(archive: ZipFile, files: dict[PurePosixPath, ZipInfo], named: str | None) -> PurePosixPath:
    if named is not None:
        path = PurePosixPath(named)
        if path in files and _is_program(archive, files[path]):
            return path
        raise BuildRejectedError(
            f"environment.executable names {named!r}, which is no program in the zip.",
            "Give the program's path inside the zip, for example Game/Game.x86_64.",
        )
    found = [
        path for path, member in sorted(files.items()) if path.suffix == ".x86_64" and _is_program(archive, member)
    ]
    if not found:
        beside = {
            parent.parent / parent.name.removesuffix("_Data")
            for path in files
            for parent in path.parents
            if parent.name.endswith("_Data")
        }
        found = [path for path, member in sorted(files.items()) if path in beside and _is_program(archive, member)]
    if len(found) > 1:
        raise BuildRejectedError(
            f"The zip holds several programs: {', '.join(map(str, found))}.",
            f"Name one as environment.executable, for example {found[0]}.",
        )
    if not found:
        raise _no_program(archive, files)
    return found[0]


def _no_program(archive: ZipFile, files: dict[PurePosixPath, ZipInfo]) -> BuildRejectedError:
    linux = "In Unity's Build Settings choose the target platform Linux, architecture x86_64, and build again."
    if windows := next((path for path in files if path.suffix == ".exe"), None):
        return BuildRejectedError(f"This is a Windows build ({windows}).", linux)
    if mac := next((part for path in files for part in path.parts if part.endswith(".app")), None):
        return BuildRejectedError(f"This is a macOS build ({mac}).", linux)
    if foreign := next((path for path in files if path.suffix in (".x86_64", ".x86")), None):
        if _head(archive, files[foreign])[:4] == b"\x7fELF":
            return BuildRejectedError(f"{foreign} is built for another processor than x86-64.", linux)
        return BuildRejectedError(f"{foreign} is neither a Linux x86-64 program nor a script.", linux)
    return BuildRejectedError(
        "The zip holds no executable: no <Name>.x86_64 beside a <Name>_Data folder.",
        "Zip the folder that Unity wrote for Linux x86-64, with <Name>.x86_64, <Name>_Data and UnityPlayer.so in it.",
    )


def _is_program(archive: ZipFile, member: ZipInfo) -> bool:
    head = _head(archive, member)
    if head[:2] == b"#!":
        return True
    return head[:5] == b"\x7fELF\x02" and int.from_bytes(head[18:20], "little") == _ELF_X86_64


def _head(archive: ZipFile, member: ZipInfo, size_bytes: int = 20) -> bytes:
    try:
        with archive.open(member) as file:
            return file.read(size_bytes)
    except (BadZipFile, NotImplementedError, EOFError) as error:
        raise BuildRejectedError(
            f"{member.filename!r} in the zip cannot be read: {error}.", "Zip the build again and upload it whole."
        ) from error


def _options(archive: ZipFile, files: dict[PurePosixPath, ZipInfo]) -> RunOptions | None:
    for name in ("gamedojo.yaml", "gamedojo.yml"):
        if PurePosixPath(name) in files:
            raise InvalidRequestError(f"{name} is not read yet.", "Write the same as JSON into gamedojo.json.")
    member = files.get(PurePosixPath("gamedojo.json"))
    if member is None:
        return None
    if member.file_size > _MAX_OPTIONS_BYTES:
        raise InvalidRequestError(f"gamedojo.json has {member.file_size} bytes; at most {_MAX_OPTIONS_BYTES} are read.")
    try:
        return read_document(RunOptions, _head(archive, member, member.file_size))
    except InvalidDocumentError as error:
        raise InvalidRequestError(f"gamedojo.json in the zip: {error}") from error


def _unity_version(archive: ZipFile, files: dict[PurePosixPath, ZipInfo]) -> str | None:
    """Unity writes its version in clear text near the beginning of `globalgamemanagers`."""
    member = next((files[path] for path in files if path.name == "globalgamemanagers"), None)
    if member is None:
        return None
    match = re.search(rb"\d{1,4}\.\d+\.\d+[abfp]\d+", _head(archive, member, 4096))
    return match[0].decode() if match else None
