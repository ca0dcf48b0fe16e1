"""What is admitted for training, and what a game developer is told of the rest."""

import io
import json
import zipfile

import pytest

from pipeline.contracts.build import BuildManifest
from pipeline.contracts.request import RunOptions
from pipeline.errors import InvalidRequestError
from pipeline.rules import zip_entries
from sample_builds.packer import UNITY_VERSION, pack
from tests.fakes.inspected_builds import look, rejected
from tests.fakes.unity_zips import (
    ARM64,
    DEVICE,
    ELF32,
    EXECUTABLE,
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
    with_attributes,
    with_compression,
    with_size,
    zipped,
)

DEFLATE64 = 9
DATA = ("Game_Data/boot.config", b"")


def test_a_sample_build_is_admitted_with_all_that_its_files_tell(tmp_path):
    body = pack("Basic", tmp_path).read_bytes()
    manifest = look(body)
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        files = [one for one in archive.infolist() if not one.is_dir()]
    assert manifest == BuildManifest(
        build_key="runs/r/build.zip",
        size_bytes=len(body),
        unpacked_size_bytes=sum(one.file_size for one in files),
        file_count=len(files),
        executable="Basic.x86_64",
        unity_version=UNITY_VERSION,
        has_mlagents=True,
    )


@pytest.mark.parametrize(
    "program",
    [SCRIPT, b"#! /usr/bin/env python3", elf(), elf(kind=EXECUTABLE), elf(kind=EXECUTABLE, little=False)],
    ids=["script", "script without a line's end", "position independent", "executable", "big endian"],
)
@pytest.mark.parametrize("folder", ["", "Game/", "a/b/", "Game\\"])
def test_a_program_beside_its_data_is_found(program, folder):
    assert look(build(folder, program)).executable == f"{folder}Game.x86_64".replace("\\", "/")


def test_older_unity_writes_no_suffix():
    assert look(zipped(("Game", elf()), DATA)).executable == "Game"


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (elf(machine=ARM64), "another processor"),
        (elf(machine=X86_32, bits=ELF32), "another processor"),
        (elf(bits=ELF32), "another processor"),
        (b"MZ" + bytes(100), "neither"),
        (b"", "neither"),
        (b"#!\n/bin/sh", "neither"),
        (elf()[:19], "processor"),
        (elf(kind=OBJECT), "processor"),
    ],
)
def test_a_program_that_cannot_run_here(program, words):
    error = rejected(build(program=program))
    assert error.cause.startswith("Game.x86_64 is")
    assert words in error.cause
    assert "x86_64" in error.remedy


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["Game.exe", "Game_Data/x", "UnityPlayer.dll", "UnityCrashHandler64.exe"], "Windows build (Game.exe)"),
        (["out/UnityCrashHandler64.exe", "out/Game.exe"], "Windows build (out/Game.exe)"),
        (["Game.app/Contents/MacOS/Game", "Game.app/Contents/Info.plist"], "macOS build (Game.app)"),
        (["Game.x86_64", "readme.txt"], "has no folder Game_Data beside it"),
        (["Game_Data/x", "readme.txt"], "holds no executable"),
        (["photo.jpg"], "holds no executable"),
        (["a/Game.x86_64", "b/Game_Data/x"], "has no folder Game_Data beside it"),
        (["_Data/x"], "holds no executable"),
    ],
)
def test_what_it_is_instead(names, words):
    assert words in rejected(zipped(*((name, SCRIPT) for name in names))).cause


def test_several_programs_must_be_told_apart():
    body = zipped(("A.x86_64", SCRIPT), ("A_Data/x", b""), ("B.x86_64", SCRIPT), ("B_Data/x", b""))
    error = rejected(body)
    assert "A.x86_64, B.x86_64" in error.cause
    assert "environment.executable" in error.remedy
    assert look(body, "B.x86_64").executable == "B.x86_64"


def test_of_several_only_those_count_that_can_run():
    body = zipped(("A.x86_64", elf(machine=ARM64)), ("A_Data/x", b""), ("B.x86_64", elf()), ("B_Data/x", b""))
    assert look(body).executable == "B.x86_64"


@pytest.mark.parametrize("named", ["tools/start.sh", "tools\\start.sh", "./tools/start.sh"])
def test_a_named_program_needs_no_data_folder(named):
    assert look(build(more=[("tools/start.sh", SCRIPT)]), named).executable == "tools/start.sh"


@pytest.mark.parametrize("named", ["Other.x86_64", "/Game.x86_64", "../Game.x86_64", "Game_Data", "readme.txt"])
def test_a_name_of_no_program(named):
    error = rejected(build(more=[("readme.txt", b"hello")]), named)
    assert repr(named) in error.cause
    assert "environment.executable" in error.cause


@pytest.mark.parametrize(
    "name", ["../evil", "a/../../evil", "/etc/evil", "..\\evil", "C:\\evil", "c:/evil", "\\\\server\\evil", "a/.."]
)
def test_paths_that_lead_outside(name):
    assert "outside" in rejected(build(more=[(name, b"")])).cause


@pytest.mark.parametrize("mode", [LINK, FIFO, DEVICE, SOCKET])
def test_links_and_devices(mode):
    assert "link or a device" in rejected(build(more=[(member("lib", mode), b"/etc")])).cause


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["x", "x"], "holds x twice"),
        (["d\\x", "d/x"], "holds d/x twice"),
        (["x", "x/"], "x"),
        (["x/", "x"], "x"),
        (["x", "x/y"], "both as a file and as a folder"),
        (["x/y", "x"], "both as a file and as a folder"),
    ],
)
def test_names_that_contradict_each_other(names, words):
    assert words in rejected(build(more=[(name, b"") for name in names])).cause


def test_a_folder_named_twice_is_harmless():
    assert look(build(more=[("empty/", b""), ("empty/", b"")])).file_count == 2


def test_a_password():
    assert "password" in rejected(encrypted(build())).cause


def test_a_compression_that_python_does_not_know():
    error = rejected(with_compression(build(), DEFLATE64))
    assert "cannot be read" in error.cause


def test_a_member_that_is_broken():
    body = build(program=SCRIPT * 20)
    start = body.index(b"Game.x86_64") + len("Game.x86_64")
    assert "cannot be read" in rejected(body[:start] + b"\xff" * 8 + body[start + 8 :]).cause


@pytest.mark.parametrize("body", [zipped(), zipped(("folder/", b"")), zipped(("__MACOSX/._a", b"x"))])
def test_nothing_in_it(body):
    assert rejected(body).cause == "The zip is empty."


def test_too_many_files(monkeypatch):
    monkeypatch.setattr(zip_entries, "MAX_ENTRIES", 2)
    assert look(build()).file_count == 2
    assert "3 files; at most 2" in rejected(build(more=[("x", b"")])).cause


def test_too_large_by_its_headers(monkeypatch):
    monkeypatch.setattr(zip_entries, "MAX_UNPACKED_BYTES", 10**8)
    assert look(with_size(build(), 10**8)).unpacked_size_bytes == 10**8
    assert "100 MB are taken" in rejected(with_size(build(), 10**8 + 1)).cause


def test_a_name_that_no_file_system_takes():
    assert "255 bytes" in rejected(build(more=[("ü" * 128, b"")])).cause


def test_what_operating_systems_add_is_not_counted():
    manifest = look(build(more=[("__MACOSX/._Game", b"1"), ("Game_Data/.DS_Store", b"2"), ("Thumbs.db", b"3")]))
    assert (manifest.file_count, manifest.unpacked_size_bytes) == (2, len(SCRIPT))


@pytest.mark.parametrize("folder", ["", "Game/"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_options_at_the_root_or_in_the_only_folder(folder, mark):
    text = mark + json.dumps({"hyperparameters": {"lr": 0.001}, "seed": 5}).encode()
    options = look(build(folder, more=[(f"{folder}gamedojo.json", text)])).options
    assert options == RunOptions.model_validate({"hyperparameters": {"lr": 0.001}, "seed": 5})


def test_options_elsewhere_are_the_games_own():
    assert look(build(more=[("Game_Data/gamedojo.json", b"not ours")])).options is None


def test_options_may_name_the_program_and_the_request_overrules_them():
    more = [("A", SCRIPT), ("B", SCRIPT), ("gamedojo.json", b'{"environment": {"executable": "A"}}')]
    assert look(build(more=more)).executable == "A"
    assert look(build(more=more), "B").executable == "B"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"{", "not JSON"),
        (b"[]", "gamedojo.json in the zip"),
        (b"", "not JSON"),
        (b"\xff\xfe{}", "gamedojo.json in the zip"),
        (b'{"hyperparameter": {}}', "did you mean 'hyperparameters'?"),
        (b'{"hyperparameters": {"learning_rate": 1}}', "hyperparameters.learning_rate: unknown field"),
        (b'{"hyperparameters": {"lr": "0.001"}}', "hyperparameters.lr"),
        (b'{"hyperparameters": {"lr": 2}}', "hyperparameters.lr"),
        (b'{"seed": NaN}', "gamedojo.json in the zip"),
        (b'{"build": {"key": "uploads/x.zip"}}', "build: unknown field"),
        (b" " * 256 * 1024 + b"{}", "at most 262144 are read"),
    ],
)
def test_options_that_break_their_contract(text, words):
    with pytest.raises(InvalidRequestError, match="gamedojo") as caught:
        look(build(more=[("gamedojo.json", text)]))
    assert words in caught.value.cause


@pytest.mark.parametrize("name", ["gamedojo.yaml", "gamedojo.yml"])
def test_options_as_yaml(name):
    text = b"\xef\xbb\xbfseed: 5\nhyperparameters: {lr: 1e-3}  # ours"
    options = look(build(more=[(name, text)])).options
    assert options == RunOptions.model_validate({"hyperparameters": {"lr": 0.001}, "seed": 5})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"sead: 5", "did you mean 'seed'?"),
        (b"seed: [", "line 1"),
        (b"a: &a [*a]", "lies in"),
        (b"[1]", "gamedojo.yaml in the zip"),
    ],
)
def test_options_as_yaml_that_break_their_contract(text, words):
    with pytest.raises(InvalidRequestError, match=r"gamedojo\.yaml") as caught:
        look(build(more=[("gamedojo.yaml", text)]))
    assert words in caught.value.cause


def test_options_in_two_files_are_refused():
    with pytest.raises(InvalidRequestError, match=r"gamedojo\.json and gamedojo\.yml"):
        look(build(more=[("gamedojo.json", b"{}"), ("gamedojo.yml", b"")]))


@pytest.mark.parametrize(
    ("content", "version"),
    [
        (b"\0\0\x162022.3.62f1\0rest", "2022.3.62f1"),
        (b"\0" * 40 + b"6000.0.23f1\n", "6000.0.23f1"),
        (b"2023.1.0b12\0", "2023.1.0b12"),
        (b"nothing here", None),
        (b"\0" * 5000 + b"2022.3.62f1", None),
    ],
)
def test_unitys_version(content, version):
    assert look(build(more=[("Game_Data/globalgamemanagers", content)])).unity_version == version


def test_il2cpp_is_noted_and_tells_nothing_about_mlagents():
    manifest = look(build(more=[("GameAssembly.so", elf())]))
    assert "IL2CPP" in manifest.notes[0]
    assert manifest.has_mlagents is None


@pytest.mark.parametrize("name", ["globalgamemanagers", "data.unity3d", "mainData"])
def test_unitys_version_is_that_of_the_programs_own_data(name):
    """data.unity3d as a compressed build has it: a bundle whose header names the version behind a placeholder."""
    bundle = b"UnityFS\0\0\0\0\x085.x.x\x002022.3.62f1\0" + bytes(40)
    assert look(build(more=[(f"Game_Data/{name}", bundle), ("Tool_Data/x", b"")])).unity_version == "2022.3.62f1"
    assert look(build(more=[(f"Other_Data/{name}", bundle)])).unity_version is None


def literals(*texts: str) -> bytes:
    """As an assembly keeps them (ECMA-335 II.24.2.4): length in bytes, UTF-16, and a byte that says what is in it."""
    encoded = [text.encode("utf-16-le") for text in texts]
    return b"MZ" + bytes(500) + b"\0" + b"".join(bytes([len(one) + 1]) + one + b"\0" for one in encoded) + bytes(99)


@pytest.mark.parametrize(
    ("texts", "version"),
    [
        (("--mlagents-port", "1.5.0", "2.0.1", "AcademySingleton"), "2.0.1"),
        (("1.5.0", "4.0.0"), "4.0.0"),
        (("1.5.0", "2.3.0-exp.3", "x"), "2.3.0-exp.3"),
        (("1.0.0", "1.0.8"), "1.0.8"),
        (("2.0.1", "AcademySingleton"), None),
        (("1.5.0",), None),
        (("1.5.0", "no version"), None),
        ((), None),
    ],
)
def test_mlagents_version(texts, version):
    manifest = look(build(more=[("Game_Data/Managed/Unity.ML-Agents.dll", literals(*texts))]))
    assert (manifest.has_mlagents, manifest.mlagents_version) == (True, version)


def test_assemblies_of_an_il2cpp_build_tell_of_mlagents():
    names = json.dumps({"names": ["UnityEngine.dll", "Unity.ML-Agents.dll"], "types": [2, 16]}).encode()
    more = [("GameAssembly.so", elf()), ("Game_Data/ScriptingAssemblies.json", names)]
    assert look(build(more=more)).has_mlagents is True


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"{}", b'{"names": 3}', b'{"names": [1, null]}', b"[" * 100_000, b"\xff"]
)
def test_a_list_of_assemblies_that_cannot_be_read_tells_nothing(text):
    assert look(build(more=[("Game_Data/ScriptingAssemblies.json", text)])).has_mlagents is None


def test_assemblies_of_another_program_in_the_zip_do_not_count():
    more = [("Tool_Data/Managed/Tool.dll", b"MZ"), ("Tool_Data/Managed/Unity.ML-Agents.dll", b"MZ")]
    assert look(build(more=more)).has_mlagents is None


LINKED = elf() + b"libdl.so.2\0UnityPlayer.so\0"


@pytest.mark.parametrize("folder", ["", "Game/"])
def test_a_program_with_its_engine_beside_it(folder):
    engine = (f"{folder}UnityPlayer.so", elf())
    assert look(build(folder, LINKED, more=[engine])).executable == f"{folder}Game.x86_64"


def test_an_engine_elsewhere_is_none():
    assert "needs UnityPlayer.so" in rejected(build(program=LINKED, more=[("lib/UnityPlayer.so", elf())])).cause


def test_an_older_program_has_the_engine_inside():
    assert look(build(program=elf() + bytes(300_000) + b"UnityPlayer.so")).executable == "Game.x86_64"


@pytest.mark.parametrize(
    ("boot", "noted"),
    [
        (b"nographics=1\n", True),
        (b"wait-for-native-debugger=0\nheadless=1\n", True),
        (b"headless=0\n", False),
        (b"gfx-enable-gfx-jobs=1\n", False),
    ],
)
def test_a_dedicated_server_is_noted(boot, noted):
    body = zipped((member("Game.x86_64", 0o100755), SCRIPT), ("Game_Data/boot.config", boot))
    assert ["dedicated server" in note for note in look(body).notes] == [True] * noted


@pytest.mark.parametrize(
    ("program", "noted"),
    [
        (member("Game.x86_64", 0o100644), True),
        (member("Game.x86_64", 0o100755), False),
        (with_attributes("Game.x86_64", 0x20), False),
    ],
    ids=["lost", "kept", "a zip of Windows, which has no run bits to lose"],
)
def test_a_lost_run_bit_is_noted(program, noted):
    body = zipped((program, SCRIPT), DATA)
    assert ["run bit" in note for note in look(body).notes] == [True] * noted
