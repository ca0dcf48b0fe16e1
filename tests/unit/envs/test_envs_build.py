"""Finding the program in an unpacked zip."""

import os
import pickle
import zipfile
from pathlib import Path

import pytest

from rl_src.envs import errors
from rl_src.envs.binary_format import identify_bytes
from rl_src.envs.build import unpack_build
from rl_src.envs.specs import ActionSpec, BehaviorSpec

SCRIPT = b"#!/bin/sh\nexit 0\n"


def elf(machine: int = 62, bits: int = 2, kind: int = 3) -> bytes:
    order = "little"
    return (
        b"\x7fELF" + bytes([bits, 1, 1]) + bytes(9) + kind.to_bytes(2, order) + machine.to_bytes(2, order) + bytes(64)
    )


def build(folder: Path, executable: str | None = None, /, **contents: bytes) -> Path:
    path = folder / "build.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return unpack_build(path, folder / "into", executable)


@pytest.mark.parametrize(
    "contents",
    [
        {"Game.x86_64": SCRIPT, "Game_Data/boot.config": b"", "UnityPlayer.so": elf()},
        {"Game.x86_64": elf(), "Game_Data/boot.config": b"", "UnityPlayer.so": elf(), "GameAssembly.so": elf()},
        {"Game": elf(kind=2), "Game_Data/boot.config": b""},
        {"Game\\Game.x86_64": SCRIPT, "Game\\Game_Data\\boot.config": b""},
        {"a/b/My Game v1.2.x86_64": SCRIPT, "a/b/My Game v1.2_Data/boot.config": b"", "a/readme.txt": b""},
        {"Game.x86_64": SCRIPT, "Game_Data/boot.config": b"", "Game_BackUpThisFolder/x": b"", "tool.sh": SCRIPT},
        {
            "Game.x86_64": SCRIPT,
            "Game_Data/boot.config": b"",
            "__MACOSX/Game.app/Contents/x": b"",
            "gamedojo.json": b"{}",
        },
    ],
)
def test_the_program_is_found_and_can_run(tmp_path: Path, contents: dict[str, bytes]) -> None:
    program = build(tmp_path, **contents)
    assert "Game" in program.name
    assert os.access(program, os.X_OK)
    assert program.with_name(program.name.removesuffix(".x86_64") + "_Data").is_dir()


@pytest.mark.parametrize(
    ("contents", "error", "words"),
    [
        ({"Game.exe": b"MZ", "Game_Data/x": b"", "UnityPlayer.dll": b"MZ"}, errors.WrongPlatformError, "Windows build"),
        ({"Game.app/Contents/MacOS/Game": b"\xcf\xfa\xed\xfe"}, errors.WrongPlatformError, r"macOS build \(Game.app\)"),
        ({"game.apk": b"PK"}, errors.WrongPlatformError, "mobile"),
        ({"Build/web.wasm": b"", "index.html": b""}, errors.WrongPlatformError, "web build"),
        ({"Game.x86_64": elf(machine=183), "Game_Data/x": b""}, errors.WrongPlatformError, "64-bit ARM"),
        ({"Game.x86": elf(machine=3, bits=1), "Game_Data/x": b""}, errors.WrongPlatformError, "32-bit x86"),
        ({"Game.x86_64": b"MZ", "Game_Data/x": b""}, errors.WrongPlatformError, "a Windows program"),
        ({"Game.x86_64": b"", "Game_Data/x": b""}, errors.WrongPlatformError, "an empty file"),
        ({"Game.x86_64": SCRIPT}, errors.NoExecutableError, "no folder Game_Data beside"),
        ({"readme.txt": b"hello"}, errors.NoExecutableError, "readme.txt"),
        ({}, errors.NoExecutableError, "holds: nothing"),
    ],
)
def test_what_cannot_be_played_is_named(
    tmp_path: Path, contents: dict[str, bytes], error: type[errors.BuildError], words: str
) -> None:
    with pytest.raises(error, match=words):
        build(tmp_path, **contents)
    assert not (tmp_path / "into").exists()


TWO = {"One.x86_64": SCRIPT, "One_Data/x": b"", "deep/Two.x86_64": SCRIPT, "deep/Two_Data/x": b""}


def test_several_programs_are_listed(tmp_path: Path) -> None:
    with pytest.raises(errors.SeveralExecutablesError, match=r"One.x86_64, deep/Two.x86_64.*environment.executable"):
        build(tmp_path, **TWO)


@pytest.mark.parametrize("name", ["deep/Two.x86_64", "deep\\Two.x86_64"])
def test_the_one_that_is_named_is_taken(tmp_path: Path, name: str) -> None:
    assert build(tmp_path, name, **TWO).name == "Two.x86_64"


@pytest.mark.parametrize("name", ["Three.x86_64", "/bin/sh", "../build.zip", "deep"])
def test_a_wrong_name_lists_the_right_ones(tmp_path: Path, name: str) -> None:
    with pytest.raises(errors.NoExecutableError, match=r"Programs found in it: One.x86_64, deep/Two.x86_64"):
        build(tmp_path, name, **TWO)


def test_a_named_program_needs_no_data_folder_but_the_right_format(tmp_path: Path) -> None:
    assert build(tmp_path, "own/sim", **{"own/sim": SCRIPT}).name == "sim"
    (tmp_path / "second").mkdir()
    with pytest.raises(errors.WrongPlatformError, match="no program that is known"):
        build(tmp_path / "second", "data.txt", **{"data.txt": b"text"})


@pytest.mark.parametrize(
    ("head", "description", "runs", "interpreter"),
    [
        (b"#!/usr/bin/env python3\n", "a script", True, "python3"),
        (b"#! /bin/sh -e\n", "a script", True, "/bin/sh"),
        (b"#!\n", "a script", False, None),
        (elf(), "a Linux x86-64 program or library", True, None),
        (elf(kind=1), "an object file, not a program", False, None),
        (elf(machine=243), "a Linux program for RISC-V", False, None),
        (elf(machine=999), "a Linux program for machine type 999", False, None),
        (b"\x7fELF", "no program that is known", False, None),
        (b"\xca\xfe\xba\xbe", "a macOS program", False, None),
    ],
)
def test_what_a_file_is(head: bytes, description: str, runs: bool, interpreter: str | None) -> None:
    program = identify_bytes(head)
    assert (program.description, program.runs_on_linux_x86_64, program.interpreter) == (description, runs, interpreter)


def test_errors_survive_the_way_between_processes() -> None:
    error = errors.BuildCrashedError("It fell over.", "Hold it up.")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is errors.BuildCrashedError
    assert (again.code, again.cause, again.remedy) == ("BuildCrashed", "It fell over.", "Hold it up.")
    assert str(again) == "It fell over. Remedy: Hold it up."


def test_every_error_has_a_remedy() -> None:
    kinds = [errors.UnityEnvironmentError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    assert all(kind("x").remedy for kind in kinds)


@pytest.mark.parametrize(
    ("name", "behavior", "team"),
    [("Basic?team=0", "Basic", 0), ("Striker?team=12", "Striker", 12), ("Old", "Old", 0), ("Odd?team=x&a", "Odd", 0)],
)
def test_a_qualified_name_has_a_behavior_and_a_team(name: str, behavior: str, team: int) -> None:
    spec = BehaviorSpec(name, (), ActionSpec(1))
    assert (spec.behavior_name, spec.team_id) == (behavior, team)
