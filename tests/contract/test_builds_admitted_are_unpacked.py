"""InspectBuild and the training container agree: both take a zip and start the same program, or both refuse it.

The two live in rooms that may not import one another, so each has its own copy of the rules.
"""

import io
import tempfile
import zipfile
from pathlib import Path
from typing import BinaryIO, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import PipelineError
from pipeline.rules import zip_entries
from pipeline.rules.inspection import DAMAGED, inspect
from pipeline.rules.zip_directory import opened
from rl_src.envs.build import unpack_build
from rl_src.envs.errors import BuildError
from rl_src.envs.unpack import UnpackLimits
from sample_builds.catalog import SAMPLE_BUILDS
from sample_builds.packer import pack
from tests.fakes.unity_zips import (
    ARM64,
    DEVICE,
    ELF32,
    EXECUTABLE,
    LINK,
    OBJECT,
    SCRIPT,
    build,
    elf,
    encrypted,
    member,
    overlapping,
    with_attributes,
    with_compression,
    with_extra,
    without_utf8_flag,
    zipped,
)

DATA = ("Game_Data/x", b"")


def admitted(body: bytes, named: str | None) -> str | None:
    """As `steps.building` does it: a file that refuses offsets before its beginning by OSError, as one on disk does."""
    with tempfile.TemporaryFile() as file:
        file.write(body)
        try:
            with opened(cast(BinaryIO, file), len(body)) as archive:
                return inspect(archive, "key", len(body), named).executable
        except (PipelineError, *DAMAGED):
            return None


def unpacked(body: bytes, named: str | None, folder: Path) -> str | None:
    (folder / "build.zip").write_bytes(body)
    try:
        return unpack_build(folder / "build.zip", folder / "into", named).relative_to(folder / "into").as_posix()
    except BuildError:
        return None


ACCEPTED = {
    "script": build(),
    "position independent": build(program=elf()),
    "executable": build(program=elf(kind=EXECUTABLE)),
    "big endian": build(program=elf(little=False)),
    "no suffix": zipped(("Game", elf()), DATA),
    "x86 suffix": zipped(("Game.x86", elf()), DATA),
    "in a folder": build("Game/"),
    "back-slashes": build("Game\\"),
    "dots in its name": zipped(("My Game 1.2.x86_64", SCRIPT), ("My Game 1.2_Data/x", b"")),
    "empty data folder": zipped(("Game.x86_64", SCRIPT), ("Game_Data/", b"")),
    "one of two can run": zipped(("A", elf(machine=ARM64)), ("A_Data/x", b""), ("B", SCRIPT), ("B_Data/x", b"")),
    "folder named _Data": build(more=[("_Data/x", b"")]),
    "folder named twice": build(more=[("d/", b""), ("d/", b"")]),
    "a Mac's extras": build(more=[("__MACOSX/._x", b""), (".DS_Store", b"")]),
    "a dot in a path": build(more=[("./d/./y", b"")]),
    "names in UTF-8 without the flag": without_utf8_flag(
        zipped(("\u00c9t\u00e9.x86_64", SCRIPT), ("\u00c9t\u00e9_Data/x", b""))
    ),
    "PKWARE's times": build(more=[(with_extra("l", 0x000D, bytes(12)), b"")]),
}
REFUSED = {
    "empty": zipped(),
    "no zip": b"no zip",
    "cut off": build()[:-10],
    "only a folder": zipped(("d/", b"")),
    "Windows": zipped(("Game.exe", b"MZ"), DATA),
    "macOS": zipped(("Game.app/Contents/MacOS/Game", b"\xcf\xfa\xed\xfe")),
    "32 bits": build(program=elf(bits=ELF32)),
    "ARM": build(program=elf(machine=ARM64)),
    "object file": build(program=elf(kind=OBJECT)),
    "short header": build(program=elf()[:19]),
    "empty shebang": build(program=b"#!   \nx"),
    "text": build(program=b"hello"),
    "empty program": build(program=b""),
    "several": build(more=[("B", SCRIPT), ("B_Data/x", b"")]),
    "program only": zipped(("Game.x86_64", SCRIPT)),
    "data only": zipped(DATA),
    "nothing but _Data": zipped(("_Data/x", b""), (".x86_64", SCRIPT)),
    "program and data apart": zipped(("a/Game", SCRIPT), ("b/Game_Data/x", b"")),
    "program is a folder": zipped(("Game.x86_64/y", SCRIPT), DATA),
    "data is a file": zipped(("Game.x86_64", SCRIPT), ("Game_Data", b"")),
    "outside": build(more=[("../x", b"")]),
    "absolute": build(more=[("/x", b"")]),
    "drive": build(more=[("C:\\x", b"")]),
    "link": build(more=[(member("l", LINK), b"/etc")]),
    "device": build(more=[(member("l", DEVICE), b"")]),
    "twice": build(more=[("x", b"1"), ("x", b"2")]),
    "twice by back-slash": build(more=[("d\\x", b"1"), ("d/x", b"2")]),
    "file and folder": build(more=[("x", b""), ("x/y", b"")]),
    "folder and file": build(more=[("x/", b""), ("x", b"")]),
    "password": encrypted(build()),
    "long name": build(more=[("n" * 256, b"")]),
    "unknown compression": with_compression(build(), 9),
    "bzip2": with_compression(build(), zipfile.ZIP_BZIP2),
    "data folder in capitals beside": build(more=[("GAME_DATA/x", b"")]),
    "files in capitals beside": build(more=[("Game_Data/x", b""), ("Game_Data/X", b"")]),
    "accents in two spellings": build(more=[("\u00e9", b""), ("e\u0301", b"")]),
    "name that is not UTF-8": build(more=[("\u00e9", b"")]).replace("\u00e9".encode(), b"\xe9\xe9"),
    "control character": build(more=[("a\x1b[2Jb", b"")]),
    "text turned round": build(more=[("exe.\u202egnp", b"")]),
    "long path": build(more=[("/".join(["folder"] * 200), b"")]),
    "link of Windows": build(more=[(with_attributes("l", 0x400), b"/etc")]),
    "link by PKWARE's field": build(more=[(with_extra("l", 0x000D, bytes(12) + b"/etc/passwd"), b"")]),
    "overlapping data": overlapping(build()),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_both_accept_the_same_program(name: str, tmp_path: Path) -> None:
    program = admitted(ACCEPTED[name], None)
    assert program is not None
    assert unpacked(ACCEPTED[name], None, tmp_path) == program


@pytest.mark.parametrize("name", REFUSED)
def test_both_refuse(name: str, tmp_path: Path) -> None:
    assert admitted(REFUSED[name], None) is None
    assert unpacked(REFUSED[name], None, tmp_path) is None


@pytest.mark.parametrize(
    ("named", "program"),
    [
        ("tools/start.sh", "tools/start.sh"),
        ("tools\\start.sh", "tools/start.sh"),
        ("./Game.x86_64", "Game.x86_64"),
        ("game.x86_64", None),
        ("/Game.x86_64", None),
        ("tools/../Game.x86_64", None),
        ("tools", None),
        ("Game_Data/x", None),
        ("absent", None),
    ],
)
def test_a_named_program(named: str, program: str | None, tmp_path: Path) -> None:
    body = build(more=[("tools/start.sh", SCRIPT), ("Game_Data/x", b"no program")])
    assert admitted(body, named) == program
    assert unpacked(body, named, tmp_path) == program


@pytest.mark.parametrize("name", SAMPLE_BUILDS)
def test_every_sample_build(name: str, tmp_path: Path) -> None:
    body = pack(name, tmp_path).read_bytes()
    assert admitted(body, None) == unpacked(body, None, tmp_path) == f"{name}.x86_64"


def test_the_limits_are_the_same() -> None:
    assert UnpackLimits() == UnpackLimits(zip_entries.MAX_UNPACKED_BYTES, zip_entries.MAX_ENTRIES)


PARTS = st.sampled_from(
    [
        "A",
        "A_Data",
        "A.x86_64",
        "A.x86",
        "_Data",
        "B",
        "B_Data",
        "b_Data",
        "..",
        ".",
        "C:",
        ".DS_Store",
        "x.exe",
        "\u00c9",
    ]
)
NAMES = st.tuples(
    st.lists(PARTS, min_size=1, max_size=3), st.sampled_from("/\\"), st.sampled_from(["", "", "", "/", "\\"])
).map(lambda made: made[1].join(made[0]) + made[2])
CONTENTS = st.sampled_from([SCRIPT, elf(), elf(machine=ARM64), b"", b"text"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(st.lists(st.tuples(NAMES, CONTENTS), max_size=5), st.none() | NAMES)
def test_any_other_zip(
    tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[str, bytes]], named: str | None
) -> None:
    body = zipped(*entries)
    folder = tmp_path_factory.mktemp("zip")
    assert admitted(body, named) == unpacked(body, named, folder)


def packed(method: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("Game.x86_64", SCRIPT + b"echo hello\n" * 40)
        archive.writestr("Game_Data/globalgamemanagers", b"2022.3.62f1" * 5)
        archive.writestr("gamedojo.json", b'{"seed": 1}')
    return buffer.getvalue()


METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
PACKED = [packed(method) for method in METHODS]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(st.sampled_from(PACKED), st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=4))
def test_damage_is_refused_in_words_and_not_by_a_crash(
    tmp_path_factory: pytest.TempPathFactory, body: bytes, changes: list[tuple[int, int]]
) -> None:
    """The container reads every byte and so may refuse more; what it starts is the program that was admitted."""
    damaged = bytearray(body)
    for position, value in changes:
        damaged[position % len(body)] = value
    program = admitted(bytes(damaged), None)
    folder = tmp_path_factory.mktemp("zip")
    started = unpacked(bytes(damaged), None, folder)
    if program is not None:
        assert started in {program, None}
