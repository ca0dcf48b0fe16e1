"""When the demo starts and ends the local cloud, played against a program that stands in for `gamedojo local`."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from demo import cloud
from demo.errors import DemoError

ROOT = Path(__file__).parents[3]
STAND_IN = """
import json, os, pathlib, signal, sys, time
here = pathlib.Path(__file__).parent
command = sys.argv[1]
with (here / "calls").open("a") as calls:
    calls.write(command + "\\n")
if command == "status":
    up = (here / "is_up").exists()
    found = {"control_url": "http://127.0.0.1:1", "bucket": "b", "sagemaker_url": "later"} if up else None
    print(json.dumps({"state": "up" if up else "down", "connection": found}))
    sys.exit(0 if up else 3)
if command == "up":
    if (here / "refuses").exists():
        sys.exit(1)
    if (here / "is_slow").exists():
        def end(*_):
            time.sleep(0.5)
            (here / "cleared").touch()
            sys.exit(130)
        signal.signal(signal.SIGTERM, end)
        (here / "started").touch()
        time.sleep(60)
    (here / "is_up").touch()
if command == "down":
    (here / "is_up").unlink(missing_ok=True)
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "local.py").write_text(STAND_IN)
    monkeypatch.setattr(cloud, "_LOCAL", (sys.executable, str(tmp_path / "local.py")))
    return tmp_path


def calls(stand_in: Path) -> list[str]:
    return (stand_in / "calls").read_text().split()


def test_a_cloud_that_was_started_here_is_ended_here(stand_in: Path) -> None:
    with cloud.local_cloud(keep_running=False) as connection:
        assert (connection.control_url, connection.bucket) == ("http://127.0.0.1:1", "b")
        assert (stand_in / "is_up").exists()
    assert calls(stand_in) == ["status", "up", "status", "down"]


@pytest.mark.parametrize("error", [DemoError("x"), KeyboardInterrupt()])
def test_it_is_ended_when_the_demo_fails_or_is_interrupted(stand_in: Path, error: BaseException) -> None:
    with pytest.raises(type(error)), cloud.local_cloud(keep_running=False):
        raise error
    assert not (stand_in / "is_up").exists()


def test_a_cloud_that_ran_before_is_left_alone(stand_in: Path) -> None:
    (stand_in / "is_up").touch()
    with cloud.local_cloud(keep_running=False):
        pass
    assert calls(stand_in) == ["status"]


def test_it_stays_up_on_request(stand_in: Path) -> None:
    with cloud.local_cloud(keep_running=True):
        pass
    assert (stand_in / "is_up").exists()


def test_a_cloud_that_does_not_come_up_is_cleared_away(stand_in: Path) -> None:
    (stand_in / "refuses").touch()
    with pytest.raises(DemoError, match="did not come up"), cloud.local_cloud(keep_running=False):
        pass
    assert calls(stand_in)[-1] == "down"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_start_is_waited_for_until_it_has_cleared_up(stand_in: Path, number: signal.Signals) -> None:
    (stand_in / "is_slow").touch()
    program = f"""
from demo import cloud
from demo.__main__ import _signals_interrupt
_signals_interrupt()
cloud._LOCAL = {cloud._LOCAL!r}
with cloud.local_cloud(keep_running=False):
    pass
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT}/clients/python"}
    ) as process:
        deadline = time.monotonic() + 30
        while not (stand_in / "started").exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(number)
        process.wait(timeout=30)
    assert (stand_in / "cleared").exists()
    assert calls(stand_in) == ["status", "up", "down"]
