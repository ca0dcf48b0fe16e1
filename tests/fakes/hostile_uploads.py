"""Uploads that are hostile, or broken, or something else than a Linux build: what each is, and what is said of it."""

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.fakes.unity_zips import (
    ARM64,
    DEVICE,
    ELF32,
    FIFO,
    LINK,
    OBJECT,
    SCRIPT,
    SOCKET,
    X86_32,
    build,
    elf,
    encrypted,
    member,
    overlapping,
    with_attributes,
    with_compression,
    with_extra,
    with_size,
    zipped,
)

ARM32, RISCV = 40, 243
DATA: Final = ("Game_Data/boot.config", b"")
STRONG_ENCRYPTION: Final = 0x41


@dataclass(frozen=True)
class Upload:
    """One upload.

    `says`: a part of the cause that InspectBuild gives, whose code is BuildRejected, or the one in `code`. `container`:
    the code of the training container's own refusal; None for what it takes, or only notices while it plays.
    """

    what: str
    make: Callable[[], bytes]
    says: str
    container: str | None
    code: str = "BuildRejected"


def _cut(body: bytes, start: int, end: int) -> Callable[[], bytes]:
    return lambda: body[start:end]


def _with(*more: tuple[str | zipfile.ZipInfo, bytes]) -> Callable[[], bytes]:
    return lambda: build(more=more)


def _of(*entries: tuple[str | zipfile.ZipInfo, bytes]) -> Callable[[], bytes]:
    return lambda: zipped(*entries)


def _program(head: bytes) -> Callable[[], bytes]:
    return lambda: build(program=head)


def _replaced(old: bytes, new: bytes, body: bytes) -> Callable[[], bytes]:
    return lambda: body.replace(old, new)


def end_record(entries: int = 1, directory_bytes: int = 0, offset: int = 0, disk: int = 0) -> bytes:
    """The end of a zip that says of itself whatever it likes."""
    return struct.pack(
        "<4s4H2LH", b"PK\x05\x06", disk, disk, entries & 0xFFFF, entries & 0xFFFF, directory_bytes, offset, 0
    )


def directory_of(names: list[str]) -> bytes:
    """A zip that has little but a directory: empty files of these names, all of whose headers are missing."""
    entry = struct.Struct("<4s6H3L5H2L")
    parts = [
        entry.pack(b"PK\x01\x02", 20, 20, 0x800, 0, 0, 33, 0, 0, 0, len(name.encode()), 0, 0, 0, 0, 0, 30 * number)
        + name.encode()
        for number, name in enumerate(names)
    ]
    directory, space = b"".join(parts), bytes(30 * len(names))
    return space + directory + end_record(len(names), len(directory), len(space))


def _claiming(size_bytes: int, times: int) -> bytes:
    """Files that are said to be large."""
    body = bytearray(build(more=[(f"Game_Data/{number}", b"x") for number in range(times)]))
    at = body.find(b"PK\x01\x02")
    while at >= 0:
        struct.pack_into("<I", body, at + 24, size_bytes)
        at = body.find(b"PK\x01\x02", at + 1)
    return bytes(body)


def _stored_incompressible(times: int) -> bytes:
    """Honest about its ratio, and far too large: each file is said to have 4 GB, packed and unpacked."""
    entry = struct.Struct("<4s6H3L5H2L")
    most = 0xFFFFFFFE
    directory = b"".join(
        entry.pack(b"PK\x01\x02", 20, 20, 0, 0, 0, 33, 0, most, most, 1, 0, 0, 0, 0, 0, 31 * number)
        + b"%c" % (97 + number)
        for number in range(times)
    )
    return bytes(31 * times) + directory + end_record(times, len(directory), 31 * times)


def _zip_64(directory_bytes: int) -> bytes:
    end_64 = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, directory_bytes, 0)
    return b"PK\x03\x04" + end_64 + struct.pack("<4sLQL", b"PK\x06\x07", 0, 4, 1) + end_record(0xFFFF, 0xFFFFFFFF)


def _nested_bomb() -> bytes:
    """As 42.zip: a zip of zips of nothing."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0.dll", bytes(4_000_000))
    return zipped(*((f"lib {number}.zip", buffer.getvalue()) for number in range(16)))


def _damaged_member() -> bytes:
    body = build(program=SCRIPT * 20)
    start = body.index(b"Game.x86_64") + len("Game.x86_64")
    return body[:start] + b"\xff" * 8 + body[start + 8 :]


def _flags(body: bytes, flags: int) -> bytes:
    data = bytearray(body)
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        struct.pack_into("<H", data, data.index(signature) + offset, flags)
    return bytes(data)


def _named_twice(name: str, other: str) -> zipfile.ZipInfo:
    """A member whose Unicode path field says another name, to those who read it."""
    return with_extra(name, 0x7075, struct.pack("<BL", 1, zlib.crc32(name.encode())) + other.encode())


def _programs(number: int) -> list[tuple[str, bytes]]:
    names = [f"{each:02}" for each in range(number)]
    return [(f"{name}.x86_64", SCRIPT) for name in names] + [(f"{name}_Data/x", b"") for name in names]


def _not_utf_8() -> bytes:
    return build(more=[("\u00e9", b"")]).replace("\u00e9".encode(), b"\xe9\xe9")


def _shift_jis() -> bytes:
    """As Explorer writes it in Japan: in the system's code page, and no word of which."""
    name = "\u30b2\u30fc\u30e0_Data/x".encode("shift_jis")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("Game.x86_64", SCRIPT)
        archive.writestr("n" * len(name), b"")
    return buffer.getvalue().replace(b"n" * len(name), name)


_GAME: Final = build()
_MONO: Final = ("Game_Data/Managed/Assembly-CSharp.dll", b"MZ")
_LINKED: Final = elf() + b"libdl.so.2\0UnityPlayer.so\0"
_WRONG: Final = json.dumps({f"{number:x}": 0 for number in range(20_000)}).encode()
_IL2CPP: Final = b'{"names": ["UnityEngine.dll", "Assembly-CSharp.dll"], "types": [2, 16]}'

UPLOADS: Final = (
    Upload("an empty file", bytes, "no readable zip (0 bytes): it is empty", "NotAZip"),
    Upload("a text", lambda: b"hello", "no readable zip (5 bytes): it has no directory", "NotAZip"),
    Upload("a .tar.gz", lambda: b"\x1f\x8b\x08" + bytes(99), "it is a gzip archive", "NotAZip"),
    Upload("a 7-Zip archive", lambda: b"7z\xbc\xaf\x27\x1c" + bytes(99), "it is a 7-Zip archive", "NotAZip"),
    Upload("a RAR archive", lambda: b"Rar!\x1a\x07\x01\x00" + bytes(99), "it is a RAR archive", "NotAZip"),
    Upload("an xz archive", lambda: b"\xfd7zXZ\0" + bytes(99), "it is an xz archive", "NotAZip"),
    Upload("a bzip2 archive", lambda: b"BZh9" + bytes(99), "it is a bzip2 archive", "NotAZip"),
    Upload("a Linux program by itself", elf, "it is a Linux program by itself", "NotAZip"),
    Upload("a Windows program by itself", lambda: b"MZ" + bytes(99), "it is a Windows program by itself", "NotAZip"),
    Upload("an asset bundle", lambda: b"UnityFS\0" + bytes(99), "it is a Unity asset bundle", "NotAZip"),
    Upload("a zip of nothing", zipped, "The zip is empty", "NoExecutable"),
    Upload("a zip of an empty folder", _of(("folder/", b"")), "The zip is empty", "NoExecutable"),
    Upload("half of a zip", _cut(_GAME, 0, len(_GAME) // 2), "cut off before its end", "NotAZip"),
    Upload("a zip without its last byte", _cut(_GAME, 0, -1), "no readable zip", "NotAZip"),
    Upload("a zip without its beginning", _cut(_GAME, 40, len(_GAME)), "beginning is missing", "NotAZip"),
    Upload("the end of a zip", _cut(_GAME, len(_GAME) - 22, len(_GAME)), "only the end of a zip", "NotAZip"),
    Upload("one part of several", lambda: _GAME[:-22] + end_record(disk=3), "one part of a zip", "NoExecutable"),
    Upload("a damaged directory", _replaced(b"PK\x01\x02", b"PK\x01\x03", _GAME), "directory is damaged", "NotAZip"),
    Upload("a directory that ends early", lambda: _GAME[:-22] + end_record(2, 99), "directory is damaged", "NotAZip"),
    Upload("a directory said to be huge", lambda: _zip_64(2**62), "only the end of a zip", "NotAZip"),
    Upload(
        "100,001 files",
        lambda: directory_of([f"{n:x}" for n in range(100_001)]),
        "more than 100,000 files",
        "BuildTooLarge",
    ),
    Upload(
        "folders without number",
        lambda: directory_of([f"{n:x}/" + "a/" * 60 for n in range(1700)]),
        "more than 100,000 folders",
        "BuildTooLarge",
    ),
    Upload("a damaged program", _damaged_member, "cannot be read", "NotAZip"),
    Upload("a password", lambda: encrypted(_GAME), "protected by a password", "UnsafeZip"),
    Upload("strong encryption", lambda: _flags(_GAME, STRONG_ENCRYPTION), "protected by a password", "UnsafeZip"),
    Upload("Deflate64", lambda: with_compression(_GAME, 9), "compressed by method 9", "NotAZip"),
    Upload("bzip2 inside", lambda: with_compression(_GAME, zipfile.ZIP_BZIP2), "compressed by method 12", "NotAZip"),
    Upload("LZMA inside", lambda: with_compression(_GAME, zipfile.ZIP_LZMA), "compressed by method 14", "NotAZip"),
    Upload("a path upwards", _with(("../../etc/cron.d/x", b"")), "leads outside", "UnsafeZip"),
    Upload("a path down and upwards", _with(("a/../../x", b"")), "leads outside", "UnsafeZip"),
    Upload("a path upwards by back-slashes", _with(("..\\..\\x", b"")), "leads outside", "UnsafeZip"),
    Upload("an absolute path", _with(("/etc/passwd", b"")), "leads outside", "UnsafeZip"),
    Upload("an absolute path by back-slashes", _with(("\\etc\\passwd", b"")), "leads outside", "UnsafeZip"),
    Upload("a path to a server", _with(("\\\\server\\share\\x", b"")), "leads outside", "UnsafeZip"),
    Upload("a path with a drive", _with(("C:\\Windows\\x", b"")), "leads outside", "UnsafeZip"),
    Upload(
        "a name cut by a zero byte",
        _replaced(b"x~y", b"x\0y", build(more=[("x~y", b"")])),
        "leads outside",
        "UnsafeZip",
    ),
    Upload("a link", _with((member("l", LINK), b"/etc/passwd")), "a link or a device", "UnsafeZip"),
    Upload("a file through a link", _with((member("l", LINK), b"/"), ("l/x", b"")), "a link or a device", "UnsafeZip"),
    Upload(
        "a hard link", _with((with_extra("l", 13, bytes(12) + b"/etc/passwd"), b"")), "a link or a device", "UnsafeZip"
    ),
    Upload("a link of Windows", _with((with_attributes("l", 0x400), b"C:\\")), "a link or a device", "UnsafeZip"),
    Upload("a device", _with((member("d", DEVICE), b"")), "a link or a device", "UnsafeZip"),
    Upload("a pipe", _with((member("p", FIFO), b"")), "a link or a device", "UnsafeZip"),
    Upload("a socket", _with((member("s", SOCKET), b"")), "a link or a device", "UnsafeZip"),
    Upload("a name twice", _with(("x", b"1"), ("x", b"2")), "holds x twice", "UnsafeZip"),
    Upload("a name twice by a back-slash", _with(("d\\x", b"1"), ("d/x", b"2")), "holds d/x twice", "UnsafeZip"),
    Upload("a name twice by a dot", _with(("d/x", b"1"), ("d/./x", b"2")), "holds d/x twice", "UnsafeZip"),
    Upload("a file that is a folder", _with(("x", b""), ("x/y", b"")), "both as a file and as a folder", "UnsafeZip"),
    Upload("a folder that is a file", _with(("x/", b""), ("x", b"")), "both as a file and as a folder", "UnsafeZip"),
    Upload(
        "names alike but for case", _with(("Game_Data/x", b""), ("Game_Data/X", b"")), "differ only in", "UnsafeZip"
    ),
    Upload("folders alike but for case", _with(("GAME_data/y", b"")), "differ only in", "UnsafeZip"),
    Upload("names alike but for accents", _with(("\u00e9", b""), ("e\u0301", b"")), "differ only in", "UnsafeZip"),
    Upload("a name of 256 bytes", _with(("n" * 256, b"")), "a name of more than 255 bytes", "UnsafeZip"),
    Upload("a path of 1,300 bytes", _with((("n" * 99 + "/") * 13, b"")), "a path of more than 1024 bytes", "UnsafeZip"),
    Upload("a hundred folders deep", _with(("a/" * 100, b"")), "more than 64 folders deep", "UnsafeZip"),
    Upload("a name with a new line", _with(("a\nRemedy: pay", b"")), "invisible characters", "UnsafeZip"),
    Upload("a name that clears the screen", _with(("a\x1b[2J", b"")), "invisible characters", "UnsafeZip"),
    Upload("a name turned round", _with(("a\u202egnp.exe", b"")), "invisible characters", "UnsafeZip"),
    Upload("a name with marks of direction", _with(("a\u200fb\u061c", b"")), "invisible characters", "UnsafeZip"),
    Upload("a name with a paragraph's end", _with(("a\u2029Remedy: pay", b"")), "invisible characters", "UnsafeZip"),
    Upload("a name with nothing in it", _with(("Game\u200b", b"")), "invisible characters", "UnsafeZip"),
    Upload("a second name, upwards", _with((_named_twice("a", "../../x"), b"")), "a second name", "UnsafeZip"),
    Upload(
        "a program by a second name", _of((_named_twice("x", "Game.x86_64"), SCRIPT), DATA), "second name", "UnsafeZip"
    ),
    Upload("a folder called ._Data", _of(("._Data/x", b"")), "no executable", "NoExecutable"),
    Upload("a script from Windows", _program(b"#!/bin/sh\r\nexit 0\r\n"), "lines end as on Windows", "WrongPlatform"),
    Upload(
        "101 programs", lambda: zipped(*_programs(101)), "101 files that could be the program", "SeveralExecutables"
    ),
    Upload("100 programs", lambda: zipped(*_programs(100)), "00.x86_64, 01.x86_64", "SeveralExecutables"),
    Upload("a name that is no UTF-8", _not_utf_8, "a name that is not UTF-8", "UnsafeZip"),
    Upload("names in Shift JIS", _shift_jis, "a name that is not UTF-8", "UnsafeZip"),
    Upload("a bomb by its ratio", lambda: with_size(_GAME, 4_000_000_000), "as only bombs do", "BuildTooLarge"),
    Upload("a bomb by its total", lambda: _claiming(4_000_000_000, 5), "at most 21,475 MB are taken", "BuildTooLarge"),
    Upload("a bomb of one file's data for all", lambda: overlapping(_GAME), "overlaps", "UnsafeZip"),
    Upload("files larger than the zip", lambda: _stored_incompressible(6), "overlaps", "UnsafeZip"),
    Upload("a bomb of zips", _nested_bomb, "another archive (lib 0.zip)", "NoExecutable"),
    Upload("a zip in a zip", lambda: zipped(("Game.zip", _GAME)), "another archive (Game.zip)", "NoExecutable"),
    Upload("a Unity package", _of(("Game.unitypackage", b"\x1f\x8b")), "another archive", "NoExecutable"),
    Upload("a Windows build", _of(("Game.exe", b"MZ"), DATA), "a Windows build (Game.exe)", "WrongPlatform"),
    Upload("a Windows build without program", _of(("UnityPlayer.dll", b"MZ"), DATA), "a Windows build", "NoExecutable"),
    Upload(
        "a macOS build",
        _of(("Game.app/Contents/MacOS/Game", b"\xcf\xfa\xed\xfe")),
        "a macOS build (Game.app)",
        "WrongPlatform",
    ),
    Upload("an iOS build", _of(("Payload/Game.app/Game", b"\xcf\xfa\xed\xfe")), "an iOS build", "NoExecutable"),
    Upload("an Android package", _of(("Game.apk", b"PK\x03\x04")), "an Android build (Game.apk)", "WrongPlatform"),
    Upload("an Android bundle", _of(("Game.aab", b"PK\x03\x04")), "an Android build (Game.aab)", "WrongPlatform"),
    Upload(
        "an .apk under another name",
        _of(("AndroidManifest.xml", b""), ("classes.dex", b"")),
        "an Android build",
        "NoExecutable",
    ),
    Upload("a WebGL build", _of(("Build/Game.wasm", b"\0asm"), ("index.html", b"")), "a WebGL build", "WrongPlatform"),
    Upload(
        "a packed WebGL build", _of(("Build/Game.wasm.br", b""), ("index.html", b"")), "a WebGL build", "WrongPlatform"
    ),
    Upload(
        "a Unity project", _of(("P/Assets/a.cs", b""), ("P/ProjectSettings/x", b"")), "a Unity project", "NoExecutable"
    ),
    Upload(
        "a 32-bit build", _program(elf(X86_32, ELF32)), "another processor than x86-64 (32-bit x86)", "WrongPlatform"
    ),
    Upload("a 64-bit ARM build", _program(elf(ARM64)), "another processor than x86-64 (64-bit ARM)", "WrongPlatform"),
    Upload(
        "a 32-bit ARM build", _program(elf(ARM32, ELF32)), "another processor than x86-64 (32-bit ARM)", "WrongPlatform"
    ),
    Upload("a RISC-V build", _program(elf(RISCV)), "another processor than x86-64 (RISC-V)", "WrongPlatform"),
    Upload("an object file", _program(elf(kind=OBJECT)), "an object file", "WrongPlatform"),
    Upload("a program cut off", _program(elf()[:19]), "cut off", "WrongPlatform"),
    Upload("a Windows program renamed", _program(b"MZ" + bytes(99)), "it is a Windows program", "WrongPlatform"),
    Upload("a text for a program", _program(b"hello"), "neither a Linux x86-64 program nor a script", "WrongPlatform"),
    Upload("an empty program", _program(b""), "it is empty", "WrongPlatform"),
    Upload("a script without interpreter", _program(b"#!  \nx"), "names no interpreter", "WrongPlatform"),
    Upload(
        "two programs", _with(("B.x86_64", SCRIPT), ("B_Data/x", b"")), "B.x86_64, Game.x86_64", "SeveralExecutables"
    ),
    Upload("a program alone", _of(("Game.x86_64", SCRIPT)), "has no folder Game_Data beside it", "NoExecutable"),
    Upload("data alone", _of(DATA), "no Game.x86_64 beside the folder Game_Data", "NoExecutable"),
    Upload(
        "program and data apart",
        _of(("a/Game.x86_64", SCRIPT), ("b/Game_Data/x", b"")),
        "has no folder",
        "NoExecutable",
    ),
    Upload("an engine alone", _of(("UnityPlayer.so", elf())), "no executable beside UnityPlayer.so", "NoExecutable"),
    Upload("pictures", _of(("cat.jpg", b"\xff\xd8")), "no executable: no <Name>.x86_64", "NoExecutable"),
    Upload("no UnityPlayer.so", _program(_LINKED), "needs UnityPlayer.so", None),
    Upload("a Mono build without ML-Agents", _with(_MONO), "no ML-Agents in this build", None),
    Upload(
        "an IL2CPP build without ML-Agents",
        _with(("GameAssembly.so", elf()), ("Game_Data/ScriptingAssemblies.json", _IL2CPP)),
        "not among its assemblies (2)",
        None,
    ),
    Upload("options that are no JSON", _with(("gamedojo.json", b"{")), "not JSON", None, "InvalidRequest"),
    Upload(
        "options with a misspelt name", _with(("gamedojo.json", b'{"sead": 1}')), "did you mean", None, "InvalidRequest"
    ),
    Upload(
        "options that clear the screen",
        _with(("gamedojo.json", b'{"a\\u001b[2J\\n\\u202eb": 1}')),
        r"a\x1b[2J\n\u202eb: unknown field",
        None,
        "InvalidRequest",
    ),
    Upload("20,000 wrong options", _with(("gamedojo.json", _WRONG)), "stop; and more", None, "InvalidRequest"),
    Upload(
        "33 YAML files",
        _with(*((f"{number}.yaml", b"a: 1") for number in range(33))),
        "33 YAML files",
        None,
        "InvalidRequest",
    ),
    Upload("options of 300 KB", _with(("gamedojo.json", b" " * 300_000)), "at most 262144", None, "InvalidRequest"),
    Upload(
        "options twice",
        _with(("gamedojo.json", b"{}"), ("gamedojo.yml", b"")),
        "gamedojo.json and",
        None,
        "InvalidRequest",
    ),
    Upload(
        "a billion laughs",
        _with(("gamedojo.yaml", b"a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]")),
        "gamedojo.yaml in the zip",
        None,
        "InvalidRequest",
    ),
    Upload("a broken trainer file", _with(("t.yaml", b"behaviors: [")), "not readable YAML", None, "InvalidRequest"),
)
