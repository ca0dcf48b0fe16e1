"""Real processes: started, recorded, found again, ended."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from local.errors import StartError
from local.processes import (
    JOB_FOLDER_VARIABLE,
    MARKER,
    ProcessRecord,
    kill,
    start,
    stop,
    survivors,
    wait_until_ready,
)
from tests.fakes.running_processes import is_there

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
)
POLITE = "import signal, sys, time; print('ready', flush=True); time.sleep(60)"
PARENT = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {POLITE!r}]); time.sleep(60)"


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Callable[..., ProcessRecord]]:
    started: list[ProcessRecord] = []

    def spawn(code: str, environment: dict[str, str] | None = None) -> ProcessRecord:
        log_file = tmp_path / f"{len(started)}.log"
        record = start("child", [sys.executable, "-c", code], environment=environment or {}, log_file=log_file, port=0)
        started.append(record)
        if "ready" in code:
            wait_for(lambda: "ready" in log_file.read_text())
        return record

    yield spawn
    for record in started:
        kill([process] if (process := record.process()) else [])


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in 30 s"
        time.sleep(0.02)


def test_a_polite_process_ends_by_sigterm(spawn):
    record = spawn(POLITE)
    assert record.is_running
    stop(record, grace_seconds=30)
    assert not record.is_running


def test_a_stubborn_process_is_killed_after_its_grace(spawn):
    record = spawn(STUBBORN)
    stop(record, grace_seconds=0.2)
    assert not record.is_running


def test_what_a_process_started_ends_with_it(spawn):
    record = spawn(PARENT)
    wait_for(lambda: bool(psutil.Process(record.pid).children()))
    children = psutil.Process(record.pid).children(recursive=True)
    stop(record, grace_seconds=10)
    assert not [child for child in children if is_there(child)]


def test_a_pid_that_went_to_another_process_is_left_alone(spawn):
    record = spawn(POLITE)
    stale = replace(record, start_time=record.start_time - 1000)
    assert not stale.is_running
    stop(stale, grace_seconds=0.1)
    assert record.is_running


def test_a_process_leads_a_session_of_its_own(spawn):
    assert os.getsid(spawn(POLITE).pid) != os.getsid(0)


@pytest.mark.parametrize("inside", [True, False])
def test_survivors_are_known_by_their_environment(spawn, tmp_path: Path, inside: bool):
    state_dir = tmp_path / "state"
    elsewhere = state_dir if inside else tmp_path / "state-of-another-cloud"
    marked = spawn(POLITE, {MARKER: str(elsewhere)})
    job = spawn(POLITE, {JOB_FOLDER_VARIABLE: str(elsewhere / "jobs" / "one")})
    found = {process.pid for process in survivors(state_dir)}
    assert found == ({marked.pid, job.pid} if inside else set())


def test_an_orphan_is_found_with_what_it_started(spawn, tmp_path: Path):
    record = spawn(PARENT, {MARKER: str(tmp_path)})
    wait_for(lambda: bool(psutil.Process(record.pid).children()))
    (child,) = psutil.Process(record.pid).children()
    psutil.Process(record.pid).kill()
    wait_for(lambda: not record.is_running)
    assert [process.pid for process in survivors(tmp_path)] == [child.pid]
    assert kill(survivors(tmp_path)) == []
    assert survivors(tmp_path) == []


def test_a_process_that_ends_as_it_starts_is_told_with_its_log(spawn, tmp_path: Path):
    record = spawn("raise SystemExit('the port is taken')")
    with pytest.raises(StartError, match="the port is taken"):
        wait_until_ready(record, lambda: False, log_file=tmp_path / "0.log", seconds=30)


def test_a_process_that_never_gets_ready_is_told(spawn, tmp_path: Path):
    record = spawn(POLITE)
    with pytest.raises(StartError, match="not ready"):
        wait_until_ready(record, lambda: False, log_file=tmp_path / "0.log", seconds=0.2)


def test_a_zombie_counts_as_ended():
    child = subprocess.Popen([sys.executable, "-c", ""])
    start_time = psutil.Process(child.pid).create_time()
    wait_for(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE)
    assert not ProcessRecord("child", child.pid, start_time, 0).is_running
    child.wait()
