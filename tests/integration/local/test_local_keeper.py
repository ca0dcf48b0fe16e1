"""The keeper of a service, as a process: what it starts again, and what it does not."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.fakes.running_processes import is_there

REPOSITORY = Path(__file__).resolve().parents[3]
LEAVES_A_MARK = "import os, pathlib, sys; pathlib.Path(sys.argv[1], str(os.getpid())).touch(); "
ENDS_IN_ORDER = (
    "import signal; signal.signal(signal.SIGTERM, lambda *_: sys.exit(3)); "
    "pathlib.Path(sys.argv[1], '0').touch(); signal.pause()"
)


@pytest.fixture
def keep(tmp_path: Path):
    """Starts a keeper of a Python program that leaves its process id as a file in tmp_path."""
    keepers: list[subprocess.Popen[str]] = []

    def start(program: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "local.keeper", sys.executable, "-c", LEAVES_A_MARK + program, str(tmp_path)]
        keepers.append(subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True))
        return keepers[-1]

    yield start
    for keeper in keepers:
        if keeper.poll() is None:
            keeper.kill()
        keeper.communicate()


def eventually(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in 60 s"
        time.sleep(0.05)


def started(folder: Path) -> list[int]:
    return [int(path.name) for path in folder.iterdir()]


@pytest.mark.parametrize("status", [0, 1, 77])
def test_a_service_that_ends_by_itself_had_its_reason(keep, tmp_path: Path, status: int):
    assert keep(f"sys.exit({status})").wait(timeout=60) == status
    assert len(started(tmp_path)) == 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_a_service_that_was_killed_is_started_again(keep, tmp_path: Path, number: signal.Signals):
    keeper = keep("import time; time.sleep(600)")
    eventually(lambda: started(tmp_path))
    (first,) = started(tmp_path)
    psutil.Process(first).send_signal(number)
    eventually(lambda: len(started(tmp_path)) == 2)
    assert keeper.poll() is None
    keeper.terminate()
    assert keeper.wait(timeout=60) == 128 + signal.SIGTERM
    assert f"killed by signal {int(number)}" in keeper.stdout.read()
    assert not [pid for pid in started(tmp_path) if psutil.pid_exists(pid) and is_there(psutil.Process(pid))]


def test_a_service_that_ends_in_order_when_told_to_gives_its_status(keep, tmp_path: Path):
    keeper = keep(ENDS_IN_ORDER)
    eventually((tmp_path / "0").exists)
    keeper.terminate()
    assert keeper.wait(timeout=60) == 3


def test_the_pause_before_a_restart_can_be_cut_short(keep, tmp_path: Path):
    keeper = keep("os.kill(os.getpid(), 9)")
    eventually(lambda: len(started(tmp_path)) >= 2)
    keeper.terminate()
    assert keeper.wait(timeout=60) > 128
