"""Which user a build is given: one of its own, unless a developer's interpreter cannot be reached by it."""

import os
from pathlib import Path

import pytest

from container.job import PLAYER_UID, player_user

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give the player another user")


@pytest.fixture
def closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An interpreter in a folder that other users may not pass; `PATH` has it."""
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o700)
    interpreter = folder / "own-python"
    interpreter.write_text("#!/bin/sh\n")
    interpreter.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return interpreter


def user_of(folder: Path, first_line: str) -> int | None:
    program, scratch = folder / "Game.x86_64", folder / "scratch"
    program.write_bytes(first_line.encode() + b"\n")
    scratch.mkdir()
    user = player_user(scratch, program)
    return None if user is None else user.uid


@pytest.mark.parametrize("first_line", ["\x7fELF", "#!/bin/sh", "#!/usr/bin/env sh", "#!/usr/bin/env -S sh -e", "#!"])
def test_it_is_another_than_ours(tmp_path: Path, first_line: str) -> None:
    assert user_of(tmp_path, first_line) == PLAYER_UID


@pytest.mark.usefixtures("closed")
def test_an_interpreter_of_ours_that_it_could_not_reach_keeps_it_ours(tmp_path: Path) -> None:
    assert user_of(tmp_path, "#!/usr/bin/env own-python") is None


@pytest.mark.parametrize("before", ["#!", "#!/usr/bin/env "])
def test_a_build_does_not_stay_root_by_a_path_of_its_choice(tmp_path: Path, closed: Path, before: str) -> None:
    assert user_of(tmp_path, f"{before}{closed}") == PLAYER_UID


def test_nor_by_what_root_alone_may_pass(tmp_path: Path) -> None:
    with Path("/bin/sh").open("rb") as file:
        assert user_of(tmp_path, f"#!/proc/{os.getpid()}/fd/{file.fileno()}") == PLAYER_UID
