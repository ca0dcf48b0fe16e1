"""What a player has written is found, whatever else lies about."""

import contextlib
import os
from pathlib import Path

import pytest

from rl_src.envs import supervisor

LIMIT = 1024**2
PLAYER = "10001"

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to the player's user")


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where everybody may write."""
    folder = tmp_path / "shared"
    folder.mkdir()
    monkeypatch.setattr(supervisor, "_SHARED_FOLDERS", (str(folder),))
    monkeypatch.setattr(supervisor, "_MOST_ENTRIES", 100)
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def exceeds(home: Path, uid: str) -> bool:
    watch = supervisor._Watch(supervisor._Limits(f"9:{LIMIT}:9:/nowhere"), uid, str(home))
    return watch._written() > LIMIT


def written(path: Path, number_of_bytes: int = 1) -> None:
    path.write_bytes(b"x" * number_of_bytes)
    if os.geteuid() == 0:
        os.chown(path, int(PLAYER), int(PLAYER))


@as_root
def test_files_of_others_do_not_hide_those_of_the_home(home: Path, shared: Path) -> None:
    for number in range(200):
        (shared / str(number)).touch()
    assert not exceeds(home, PLAYER)
    written(home / "large", 2 * LIMIT)
    assert exceeds(home, PLAYER)


@as_root
@pytest.mark.parametrize(("large", "found"), [(2 * LIMIT, True), (LIMIT // 2, False)])
def test_what_lies_in_a_shared_folder_counts_and_files_of_others_do_not(
    home: Path, shared: Path, large: int, found: bool
) -> None:
    (shared / "theirs").write_bytes(b"x" * 2 * LIMIT)
    written(shared / "own", large)
    assert exceeds(home, PLAYER) is found


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize(("files", "found"), [(101, True), (99, False)])
def test_files_without_number_are_too_much_by_themselves(home: Path, files: int, found: bool) -> None:
    for number in range(files):
        written(home / str(number), 0)
    assert exceeds(home, "-") is found


@pytest.mark.usefixtures("shared")
def test_folders_too_deep_to_look_into_are_too_much(home: Path) -> None:
    here = os.open(home, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("n" * 250, dir_fd=here)
        deeper = os.open("n" * 250, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(here)
    assert exceeds(home, "-")


@pytest.mark.usefixtures("shared")
def test_files_that_come_and_go_do_not_hide_those_that_stay(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passing, large = home / "passing", home / "large"
    written(passing)
    written(large, 2 * LIMIT)
    read = os.scandir

    def scandir(folder: str) -> contextlib.AbstractContextManager[list[os.DirEntry[str]]]:
        found = sorted(read(folder), key=lambda entry: entry.name != passing.name)
        passing.unlink(missing_ok=True)
        return contextlib.nullcontext(found)

    monkeypatch.setattr(os, "scandir", scandir)
    assert exceeds(home, "-")
