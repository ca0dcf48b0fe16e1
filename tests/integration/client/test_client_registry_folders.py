"""`gamedojo registry` from a folder; what is listed; runs that name an environment."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gamedojo.cli.app import app
from tests.fakes.api_server import Answer, FakeApi
from tests.fakes.registry_server import DIGESTS, STARTUP, call, entry, manifest, posted, sent, serve, stand_up


@pytest.fixture
def server() -> Iterator[FakeApi]:
    """The registry's."""
    with FakeApi().running() as running:
        yield running


def folder_of(directory: Path, *names: str) -> Path:
    for name in names:
        (directory / name).write_bytes(STARTUP)
    return directory


def test_a_folder_of_zips_needs_no_internet_and_no_manifest(api: FakeApi, tmp_path: Path) -> None:
    stand_up(api)
    folder = folder_of(tmp_path, "3DBall.zip", "notes.txt")
    done = call(api, "mirror", "3DBall", "--from", folder)
    assert done.exit_code == 0, done.output
    (request,) = posted(api)
    assert (request["sha256"], request["source"]) == (DIGESTS[STARTUP], "3DBall.zip of a folder")
    assert sent(api) == [STARTUP]
    assert (folder / "3DBall.zip").read_bytes() == STARTUP


def test_a_folder_with_the_registrys_own_files_is_read_as_the_server_is(api: FakeApi, tmp_path: Path) -> None:
    stand_up(api)
    folder = folder_of(tmp_path, "Startup.zip", "Basic.zip")
    (folder / "manifest.yaml").write_text(manifest("https://storage.example/1.1.0"))
    assert call(api, "mirror", "WallJump", "3DBall", "--from", folder).exit_code == 0
    assert [(one["environment"], one["arguments"][1]) for one in posted(api)] == [
        ("WallJump", "Assets/WallJump.unity"),
        ("3DBall", "Assets/3DBall.unity"),
    ]
    assert sent(api) == [STARTUP]


@pytest.mark.parametrize("url", ["../secret.zip", "/etc/passwd", "a/../../secret.zip", "..", "https://x.example/"])
def test_a_manifest_in_a_folder_leads_nowhere_out_of_it(api: FakeApi, tmp_path: Path, url: str) -> None:
    stand_up(api)
    (tmp_path / "secret.zip").write_bytes(STARTUP)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "manifest.yaml").write_text(json.dumps({"environments": [{"X": {"linux_url": url}}]}))
    assert call(api, "mirror", "X", "--from", folder).exit_code in (1, 2)
    assert not sent(api)


@pytest.mark.parametrize(
    ("files", "words"),
    [([], "It has: nothing."), (["a.yaml", "b.yml"], "several YAML files: a.yaml, b.yml"), (None, "is no folder")],
)
def test_a_folder_that_is_none_of_a_registry_says_so(
    api: FakeApi, tmp_path: Path, files: list[str] | None, words: str
) -> None:
    stand_up(api)
    folder = tmp_path / "none" if files is None else folder_of(tmp_path, *files)
    done = call(api, "mirror", "3DBall", "--from", folder)
    assert done.exit_code == 2
    assert words in done.stderr


def test_two_registries_are_one_too_many(api: FakeApi, tmp_path: Path) -> None:
    done = call(api, "mirror", "3DBall", "--from", tmp_path, "--manifest", "https://registry.example/m.yaml")
    assert done.exit_code == 2


def test_what_is_mirrored_is_listed_with_where_it_is_from(api: FakeApi) -> None:
    stand_up(api, entry("3DBall", expected_return=100.0, size_bytes=2_000_000), entry("Basic"))
    lines = call(api, "list").stdout.splitlines()
    assert lines[0].split() == ["environment", "size", "solved", "at", "sha256", "mirrored", "from"]
    assert lines[1].split() == [
        "3DBall",
        "2.0",
        "MB",
        "100.000",
        "0" * 12,
        "2026-01-01",
        "https://registry.example/x.zip",
    ]
    assert json.loads(call(api, "list", "--json").stdout)[1]["environment"] == "Basic"


def test_nothing_mirrored_says_how_to_change_that(api: FakeApi) -> None:
    stand_up(api)
    assert "gamedojo registry mirror" in call(api, "list").stderr


def test_what_could_be_mirrored_is_listed_without_a_stack(server: FakeApi) -> None:
    serve(server)
    arguments = ("list", "--available", "--manifest", f"{server.origin}/manifest.yaml")
    lines = call(None, *arguments).stdout.splitlines()
    assert lines[1].split() == ["3DBall", "100.000", "yes", "3D", "Balance", "Ball"]
    assert lines[4].split() == ["OnlyForMacs", "no"]
    assert [one["environment"] for one in json.loads(call(None, *arguments, "--json").stdout)] == [
        "3DBall",
        "WallJump",
        "Basic",
        "OnlyForMacs",
    ]


def test_train_takes_an_environment_in_place_of_a_zip(api: FakeApi) -> None:
    api.script("POST", "/training-runs", Answer(202, {"run_id": "r", "policy": "3dball", "status": "RUNNING"}))
    variables = {name: None for name in os.environ if name.startswith("GAMEDOJO_")} | api.environment()
    command = ["train", "registry:3DBall", "--set", "seed=2", "--no-watch"]
    done = CliRunner().invoke(app, command, env=variables)
    assert done.stdout == "r\n", done.output
    assert api.calls("POST", "/training-runs")[0].json() == {"build": {"registry": "3DBall"}, "seed": 2}
