"""The reference clients, as processes of the environment that `make test-peers` installs them in."""

import os
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

import psutil

from tests.fakes.sample_players import unpacked
from tests.peers.sessions import Session

ROOT = Path(__file__).parents[2]
REFERENCE_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
PLAY_SECONDS = 240


class Builds:
    """Sample builds, unpacked when they are first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._programs: dict[str, Path] = {}

    def program(self, name: str) -> Path:
        """The program of one build."""
        if name not in self._programs:
            self._programs[name] = unpacked(name, self._folder)
        return self._programs[name]


def play(program: Path, output: Path, *arguments: str, seed: int, module: str = "tests.peers.scripts.play") -> Session:
    """`mlagents_envs` plays a build at random; it must end well and leave no process.

    Args:
        program: of the build.
        output: a folder for the session and the player's log.
        arguments: further ones for the script.
        seed: of the scene and of the actions.
        module: the script: `play`, or another with its arguments.
    """
    port = free_port()
    command = [str(program), "--output", str(output), "--port", str(port), "--seed", str(seed), *arguments]
    run(module, command, PLAY_SECONDS)
    assert players(program, port) == []
    return Session.load(output)


def run(module: str, arguments: Sequence[str], seconds: float) -> str:
    """Run one of our scripts for the reference clients; what it printed. It must end with 0."""
    assert REFERENCE_PYTHON.exists(), "The reference clients are not installed; `make test-peers` does it."
    # One thread: small networks gain nothing by more, and lose when cores are shared.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [str(REFERENCE_PYTHON), "-m", module, *arguments],
        check=False,
        cwd=ROOT,
        env=environment,
        timeout=seconds,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    printed = done.stdout.decode(errors="replace")
    assert done.returncode == 0, printed
    return printed


def free_port() -> int:
    """A port that nothing listens on; the reference clients must be told one."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def players(program: Path, port: int) -> list[int]:
    """Ids of the processes that play `program` for a trainer on `port`."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        words = process.info["cmdline"] or []
        if str(program) in words and str(port) in words:
            found.append(int(process.info["pid"]))
    return found
