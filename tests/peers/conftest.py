import os
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest

from sample_builds.catalog import SAMPLE_BUILDS
from tests.fakes.sample_players import unpacked, use_this_interpreter
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
        if name not in self._programs:
            self._programs[name] = unpacked(name, self._folder)
        return self._programs[name]


class Reference:
    """The reference clients, as processes of the environment that they are installed in."""

    def __init__(self, builds: Builds) -> None:
        self._builds = builds

    def play(self, build: str, output: Path, *arguments: str, seed: int = 7) -> Session:
        """`mlagents_envs` plays a build at random; it must end well and leave no process."""
        program, port = self._builds.program(build), free_port()
        command = [str(program), "--output", str(output), "--port", str(port), "--seed", str(seed), *arguments]
        self.run("tests.peers.scripts.play", command, PLAY_SECONDS)
        assert players(program, port) == []
        return Session.load(output)

    @staticmethod
    def run(module: str, arguments: Sequence[str], seconds: float) -> str:
        """Run one of our scripts for the reference clients; what it printed."""
        assert REFERENCE_PYTHON.exists(), "The reference clients are not installed; `make test-peers` does it."
        command = [str(REFERENCE_PYTHON), "-m", module, *arguments]
        # One thread: small networks gain nothing by more, and lose when cores are shared.
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            command,
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


@pytest.fixture(autouse=True, scope="session")
def _interpreter() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        use_this_interpreter(monkeypatch)
        yield


@pytest.fixture(scope="session")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Builds:
    return Builds(tmp_path_factory.mktemp("builds"))


@pytest.fixture(scope="session")
def reference(builds: Builds) -> Reference:
    return Reference(builds)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests that ask for `build` are held for every sample build but the one of faults."""
    if "build" in metafunc.fixturenames:
        metafunc.parametrize("build", [name for name in SAMPLE_BUILDS if name != "Faulty"], scope="session")
