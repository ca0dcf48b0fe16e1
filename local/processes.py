"""Processes of the local cloud: started in groups of their own, recorded by pid and start time, ended for certain."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from local.errors import StartError

MARKER = "GAMEDOJO_LOCAL_CLOUD"
"""Environment variable of every process of a cloud; its value is the cloud's state directory."""

JOB_FOLDER_VARIABLE = "SAGEMAKER_BASE_DIR"
"""Jobs and endpoints get documented variables only, so they are known by where their `/opt/ml` lies."""

_START_TIME_TOLERANCE_SECONDS = 0.05
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class ProcessRecord:
    """Identifies a process beyond its life: a pid alone may be given to another process."""

    name: str
    pid: int
    start_time: float
    port: int

    def process(self) -> psutil.Process | None:
        """The process, if it still runs."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.start_time) < _START_TIME_TOLERANCE_SECONDS
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None

    @property
    def is_running(self) -> bool:
        """True while it lives."""
        return self.process() is not None


def start(
    name: str, command: Sequence[str], *, environment: Mapping[str, str], log_file: Path, port: int
) -> ProcessRecord:
    """Start a process that leads a session and group of its own: Ctrl-C is for `up` to see, and for it alone."""
    log_file.parent.mkdir(parents=True, exist_ok=True)
    with log_file.open("wb") as log:
        child = subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return ProcessRecord(name=name, pid=child.pid, start_time=_start_time(child.pid), port=port)


def wait_until_ready(record: ProcessRecord, is_ready: Callable[[], bool], *, log_file: Path, seconds: float) -> None:
    """Return when `is_ready` answers True.

    Raises:
        StartError: the process ended, or was not ready in time; the message has the end of its log.
    """
    deadline = time.monotonic() + seconds
    while not is_ready():
        if not record.is_running:
            raise StartError(f"The {record.name} ended as it started.\n{log_tail(log_file)}")
        if time.monotonic() > deadline:
            raise StartError(f"The {record.name} was not ready after {seconds:.0f} s.\n{log_tail(log_file)}")
        time.sleep(_POLL_SECONDS)


def stop(record: ProcessRecord, *, grace_seconds: float) -> None:
    """End a process and everything below it: SIGTERM to the leader, SIGKILL to what is left after the grace."""
    process = record.process()
    if process is None:
        return
    family = [process, *_descendants(process)]
    process.terminate()
    _wait_until_ended([process], grace_seconds)
    kill_group(record.pid)
    kill(family)


def kill_group(group: int) -> None:
    """SIGKILL a process group that one of our processes led. Its number stays taken while any member lives."""
    if group == os.getpgrp():
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def kill(processes: Iterable[psutil.Process], *, seconds: float = 10.0) -> list[psutil.Process]:
    """SIGKILL processes and wait for them; returns those that are still there."""
    targets = list(processes)
    for process in targets:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            process.kill()
    return _wait_until_ended(targets, seconds)


def survivors(state_dir: Path) -> list[psutil.Process]:
    """Processes that belong to the cloud of `state_dir`, known by their environment, with their descendants."""
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        if process.pid != os.getpid() and _belongs_to(process, state_dir):
            found |= {member.pid: member for member in (process, *_descendants(process))}
    return [process for process in found.values() if _runs(process)]


def log_tail(log_file: Path, lines: int = 15) -> str:
    """The end of a log, for an error message."""
    try:
        text = log_file.read_text(errors="replace")
    except OSError:
        return f"(no log at {log_file})"
    return f"The end of {log_file}:\n" + "\n".join(text.splitlines()[-lines:])


def _wait_until_ended(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Wait; returns those that still run. A zombie has ended, whether or not its parent (an `up`) looked at it."""
    deadline = time.monotonic() + seconds
    while (running := [process for process in processes if _runs(process)]) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    return running


def _belongs_to(process: psutil.Process, state_dir: Path) -> bool:
    try:
        environment = process.environ()
    except (psutil.Error, OSError):
        return False
    job_folder = environment.get(JOB_FOLDER_VARIABLE, "")
    return environment.get(MARKER) == str(state_dir) or job_folder.startswith(f"{state_dir}{os.sep}")


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _start_time(pid: int) -> float:
    try:
        return psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return 0.0
