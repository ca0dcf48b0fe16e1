"""What inspection finds in a zip, and how it says what is wrong."""

import io
import json
import stat
import zipfile
from pathlib import PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.contracts.build import BuildManifest
from pipeline.errors import BuildRejectedError, InputError, InvalidRequestError
from pipeline.rules import inspection, zip_entries
from tests.fakes.zip_layouts import PROGRAM, SCRIPT, Member, build, elf, zip_of

LINK = stat.S_IFLNK | 0o777
FILE = stat.S_IFREG | 0o644


def inspected(members: list[Member], named: str | None = None) -> BuildManifest:
    body = zip_of(members)
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        return inspection.inspect(archive, "builds/x.zip", len(body), named)


@pytest.mark.parametrize("folder", ["", "MyGame/", "Builds/Linux/"])
@pytest.mark.parametrize("program", [PROGRAM, SCRIPT, elf(kind=2), elf(order="big")])
def test_a_build_is_found_wherever_it_lies(folder: str, program: bytes) -> None:
    manifest = inspected(build(folder=folder, program=program))
    assert manifest.executable == f"{folder}Game.x86_64"
    assert manifest.unity_version == "2022.3.21f1"
    assert (manifest.file_count, manifest.notes, manifest.options) == (3, (), None)


def test_the_manifest_counts_what_is_in_the_zip() -> None:
    members = build(Member("Game_Data/Managed/Unity.ML-Agents.dll", b"x" * 1000), Member("GameAssembly.so", b"y"))
    manifest = inspected(members)
    assert manifest.unpacked_size_bytes == sum(len(member.content) for member in members)
    assert manifest.has_mlagents is True
    assert "IL2CPP" in manifest.notes[0]


def test_a_zip_that_was_made_on_windows() -> None:
    members = [Member(member.name.replace("/", "\\"), member.content) for member in build(folder="Game/")]
    assert inspected([Member("Game\\"), *members]).executable == "Game/Game.x86_64"


def test_what_operating_systems_add_is_passed_over() -> None:
    added = (Member("__MACOSX/._Game.x86_64"), Member(".DS_Store"), Member("Game_Data/Thumbs.db"))
    assert inspected(build(*added)).file_count == 3


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([], ["empty"]),
        ([Member("folder/")], ["empty"]),
        (build(Member("../escape")), ["'../escape'", "outside"]),
        (build(Member("a/../../escape")), ["outside"]),
        (build(Member("..\\escape")), ["outside"]),
        (build(Member("/etc/passwd")), ["'/etc/passwd'"]),
        (build(Member("C:\\Windows\\x")), ["outside"]),
        (build(Member("link", b"/etc/passwd", LINK)), ["'link'", "link or a device"]),
        (build(Member("pipe", b"", stat.S_IFIFO | 0o644)), ["link or a device"]),
        (build(Member("./Game.x86_64")), ["Game.x86_64 twice"]),
        (build(Member("Game_Data")), ["Game_Data both as a file and as a folder"]),
        (build(Member("n" * 256)), ["more than 255 bytes"]),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_dangerous_zip_is_refused_by_the_name_of_what_is_wrong(members: list[Member], words: list[str]) -> None:
    with pytest.raises(BuildRejectedError) as refusal:
        inspected(members)
    assert all(word in refusal.value.cause for word in words), refusal.value.cause
    assert refusal.value.remedy


def test_an_encrypted_zip() -> None:
    body = bytearray(zip_of(build()))
    for signature, offset in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        at = body.find(signature)
        while at >= 0:
            body[at + offset] |= 1
            at = body.find(signature, at + 4)
    with zipfile.ZipFile(io.BytesIO(bytes(body))) as archive, pytest.raises(BuildRejectedError, match="password"):
        inspection.inspect(archive, "k", 1)


def test_too_much_of_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zip_entries, "MAX_ENTRIES", 3)
    with pytest.raises(BuildRejectedError, match="4 files"):
        inspected(build(Member("one more")))
    monkeypatch.setattr(zip_entries, "MAX_UNPACKED_BYTES", 100)
    with pytest.raises(BuildRejectedError, match="MB unpacked"):
        inspected(build())


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([Member("readme.txt", b"x")], ["no executable", "<Name>_Data"]),
        ([Member("Game.x86_64", PROGRAM)], ["Game.x86_64 has no folder Game_Data beside it", "whole folder"]),
        ([Member("Game.exe", b"MZ"), Member("Game_Data/x")], ["Windows build (Game.exe)", "platform Linux"]),
        ([Member("My.app/Contents/MacOS/My", b"\xcf\xfa\xed\xfe")], ["macOS build (My.app)", "platform Linux"]),
        (build(program=elf(machine=183)), ["another processor", "x86_64"]),
        (build(program=b"hello"), ["neither a Linux x86-64 program nor a script"]),
        (build(program=b""), ["neither"]),
        (build(program=elf(kind=1)), ["another processor"]),
        (
            [*build(), *build(name="Other")[:2]],
            ["several programs: Game.x86_64, Other.x86_64", "environment.executable"],
        ),
        (build(Member("Game", SCRIPT)), ["several programs: Game, Game.x86_64"]),
    ],
)
def test_a_zip_without_one_program_says_what_it_holds_instead(members: list[Member], words: list[str]) -> None:
    with pytest.raises(BuildRejectedError) as refusal:
        inspected(members)
    assert all(word in str(refusal.value) for word in words), refusal.value


def test_one_of_several_programs_can_be_named() -> None:
    members = [*build(), *build(name="Other")[:2], Member("tools/start.sh", SCRIPT)]
    for name in ("Other.x86_64", "tools/start.sh", "tools\\start.sh"):
        assert inspected(members, name).executable == name.replace("\\", "/")
    options = Member("gamedojo.json", json.dumps({"environment": {"executable": "Other.x86_64"}}).encode())
    assert inspected([*members, options]).executable == "Other.x86_64"
    with pytest.raises(BuildRejectedError, match="'missing'"):
        inspected(members, "missing")
    with pytest.raises(BuildRejectedError, match="no Linux x86-64 program"):
        inspected(members, "Game_Data/globalgamemanagers")


@pytest.mark.parametrize("folder", ["", "MyGame/"])
def test_the_zips_own_options_are_read(folder: str) -> None:
    text = json.dumps({"seed": 7, "hyperparameters": {"lr": 0.001}}).encode()
    options = inspected([*build(folder=folder), Member(f"{folder}gamedojo.json", b"\xef\xbb\xbf" + text)]).options
    assert options is not None
    assert (options.seed, options.hyperparameters.lr) == (7, 0.001)


def test_options_elsewhere_are_some_other_file() -> None:
    assert inspected(build(Member("Game_Data/gamedojo.json", b"not ours"))).options is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b'{"hyperparameters": {"learning_rate": 1}}', ["hyperparameters.learning_rate", "unknown field"]),
        (b'{"sede": 1}', ["sede", "did you mean 'seed'?"]),
        (b'{"seed": "1"}', ["seed", "integer"]),
        (b'{"build": {"key": "uploads/x.zip"}}', ["build", "unknown field"]),
        (b"[]", ["object"]),
        (b"", ["not JSON"]),
        (b"\xff\xfe", ["not JSON"]),
        (b" " * 300_000, ["300000 bytes"]),
    ],
)
def test_options_that_break_their_contract_are_named(text: bytes, words: list[str]) -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        inspected(build(Member("gamedojo.json", text)))
    assert "gamedojo.json" in refusal.value.cause
    assert all(word in refusal.value.cause for word in words), refusal.value.cause


@pytest.mark.parametrize("name", ["gamedojo.yaml", "gamedojo.yml"])
def test_yaml_is_told_to_become_json(name: str) -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        inspected(build(Member(name, b"seed: 1")))
    assert "gamedojo.json" in refusal.value.remedy


GOOD = zip_of(build(Member("gamedojo.json", b'{"seed": 1}')))


@settings(max_examples=300)
@given(
    st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=6), st.integers(0, 20)
)
def test_a_damaged_zip_is_read_or_refused_and_breaks_nothing(changes: list[tuple[int, int]], cut: int) -> None:
    body = bytearray(GOOD)
    for at, value in changes:
        body[at] = value
    try:
        with zipfile.ZipFile(io.BytesIO(bytes(body[: len(body) - cut]))) as archive:
            manifest = inspection.inspect(archive, "k", len(body))
    except (InputError, *inspection.UNREADABLE):
        return
    assert not PurePosixPath(manifest.executable).is_absolute()
