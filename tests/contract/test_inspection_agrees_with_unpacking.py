"""InspectBuild and the training container go by the same rules: what one admits, the other unpacks and finds."""

import io
import stat
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import BuildRejectedError
from pipeline.rules import inspection, zip_entries
from rl_src.envs.build import unpack_build
from rl_src.envs.errors import UnityEnvironmentError
from rl_src.envs.unpack import UnpackLimits
from tests.fakes.zip_layouts import PROGRAM, SCRIPT, Member, elf, zip_of

NAMES = [
    "Game.x86_64",
    "Game.x86",
    "Game",
    "Game_Data/level0",
    "Game_Data/",
    "Game_Data",
    "Other.x86_64",
    "Other_Data/level0",
    "sub/Game.x86_64",
    "sub\\Game_Data\\level0",
    "sub/_Data/x",
    "sub/.x86_64",
    "UnityPlayer.so",
    "Game.exe",
    "My.app/Contents/MacOS/My",
    "__MACOSX/Game.x86_64",
    "./Game.x86_64",
    "../outside",
    "C:/x",
    "a:b",
    "/absolute",
    "n" * 256,
]
CONTENTS = [
    PROGRAM,
    SCRIPT,
    elf(kind=2),
    elf(kind=1),
    elf(machine=183),
    elf(word=1),
    elf(order="big"),
    PROGRAM[:19],
    b"#!\n",
    b"#! \x1c\n",
    b"#!/usr/bin/env\n",
    b"MZ",
    b"text",
    b"",
]
MODES = [0, 0, 0, stat.S_IFREG | 0o644, stat.S_IFREG | 0o755, stat.S_IFLNK | 0o777, stat.S_IFDIR | 0o755]
members = st.builds(Member, st.sampled_from(NAMES), st.sampled_from(CONTENTS), st.sampled_from(MODES))
likely = st.builds(Member, st.sampled_from(NAMES[:12]), st.sampled_from(CONTENTS[:4]), st.just(0))
named = st.sampled_from([None, None, None, "Game.x86_64", "sub\\Game.x86_64", "missing", "../outside"])


def by_inspection(body: bytes, executable: str | None) -> str | None:
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            return inspection.inspect(archive, "k", len(body), executable).executable
    except BuildRejectedError:
        return None


def by_unpacking(body: bytes, executable: str | None) -> str | None:
    with tempfile.TemporaryDirectory() as directory:
        path, into = Path(directory) / "build.zip", Path(directory) / "build"
        path.write_bytes(body)
        try:
            return unpack_build(path, into, executable).relative_to(into).as_posix()
        except UnityEnvironmentError:
            return None


@pytest.mark.filterwarnings("ignore:Duplicate name")
@settings(max_examples=400, deadline=None)
@given(st.lists(likely, max_size=5), st.lists(members, max_size=2), named)
def test_they_find_the_same_program_or_both_find_none(
    usual: list[Member], odd: list[Member], executable: str | None
) -> None:
    body = zip_of([*usual, *odd])
    assert by_inspection(body, executable) == by_unpacking(body, executable)


def test_their_limits_are_the_same() -> None:
    assert UnpackLimits() == UnpackLimits(zip_entries.MAX_UNPACKED_BYTES, zip_entries.MAX_ENTRIES)
