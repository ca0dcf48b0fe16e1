"""What a packed sample build looks like."""

import os
import stat
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from sample_builds.__main__ import main
from sample_builds.catalog import SAMPLE_BUILDS
from sample_builds.packer import UNITY_VERSION, UnknownSampleBuildError, pack


@pytest.mark.parametrize("name", SAMPLE_BUILDS)
def test_it_looks_like_a_linux_build(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(pack(name, tmp_path)) as archive:
        names = set(archive.namelist())
        assert {f"{name}.x86_64", "UnityPlayer.so", f"{name}_Data/globalgamemanagers"} <= names
        assert f"{name}_Data/Managed/Unity.ML-Agents.dll" in names
        assert archive.read(f"{name}.x86_64").startswith(b"#!")
        assert f"{UNITY_VERSION}\0".encode() in archive.read(f"{name}_Data/globalgamemanagers")
        assert stat.S_IMODE(archive.getinfo(f"{name}.x86_64").external_attr >> 16) == 0o755


def test_the_same_code_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = pack("Basic", tmp_path / "one").read_bytes()
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    old = os.umask(0o077)
    try:
        assert pack("Basic", tmp_path / "two").read_bytes() == first
    finally:
        os.umask(old)
        monkeypatch.undo()
        time.tzset()


def test_nothing_of_this_machine_is_inside(tmp_path: Path) -> None:
    with zipfile.ZipFile(pack("Basic", tmp_path)) as archive:
        for name in archive.namelist():
            assert str(Path.cwd()).encode() not in archive.read(name)
            assert not name.endswith(".pyc")


def test_an_unknown_name_lists_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(UnknownSampleBuildError, match="Basic, "):
        pack("Basik", tmp_path)


def test_the_command_packs_and_lists(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pack", "Basic", "--output", str(tmp_path / "new" / "folder")]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "new" / "folder" / "Basic.zip")
    assert main(["list"]) == 0
    assert "Basic" in capsys.readouterr().out
    assert main(["pack", "all", "--output", str(tmp_path)]) == 0
    assert {path.stem for path in tmp_path.glob("*.zip")} == set(SAMPLE_BUILDS)
    assert main(["pack", "Basik", "--output", str(tmp_path)]) == 2
    assert "Basik" in capsys.readouterr().err


def test_a_packed_build_needs_nothing_of_this_repository(tmp_path: Path) -> None:
    with zipfile.ZipFile(pack("Basic", tmp_path)) as archive:
        archive.extractall(tmp_path)
    code = (
        "import sys; sys.path.insert(0, 'Basic_Data/StreamingAssets/player');"
        "import sample_builds.player.main, sample_builds.scenes.basic;"
        "from sample_builds.player.scene import World; world = World();"
        "scene = sample_builds.scenes.basic.BasicScene(world, ['--agents', '2']); scene.reset();"
        "print(sample_builds.__file__, len(world.infos['Basic?team=0']), 'numpy' in sys.modules)"
    )
    finished = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False
    )
    file, agents, has_numpy = finished.stdout.split() or [finished.stderr] * 3
    assert (tmp_path / file).is_relative_to(tmp_path)
    assert (agents, has_numpy) == ("2", "False")
