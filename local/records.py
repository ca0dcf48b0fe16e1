"""What is written down about a running cloud, and the lock that keeps two commands from working on one at a time."""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from local.errors import BusyError
from local.processes import ProcessRecord

_FILE_NAME = "cloud.json"
_LOCK_NAME = "lock"
_LOCK_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class CloudRecord:
    """The processes of a cloud. Written as each one starts, so that `down` finds them whatever becomes of `up`."""

    processes: tuple[ProcessRecord, ...] = ()
    ready: bool = False
    started_at: float = field(default_factory=time.time)

    def with_process(self, process: ProcessRecord) -> "CloudRecord":
        """The same with one process more."""
        return replace(self, processes=(*self.processes, process))

    def process(self, name: str) -> ProcessRecord | None:
        """The process of that name."""
        return next((process for process in self.processes if process.name == name), None)

    @property
    def is_up(self) -> bool:
        """True when start-up came to its end and every process still lives."""
        return self.ready and bool(self.processes) and all(process.is_running for process in self.processes)


def read_record(state_dir: Path) -> CloudRecord | None:
    """What was written down; None when nothing was, or when it cannot be read."""
    try:
        document = json.loads((state_dir / _FILE_NAME).read_text())
        processes = tuple(ProcessRecord(**process) for process in document.pop("processes"))
        return CloudRecord(processes=processes, **document)
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None


def write_record(state_dir: Path, record: CloudRecord) -> None:
    """Write it down, whole or not at all."""
    write_private(state_dir / _FILE_NAME, json.dumps(asdict(record), indent=2))


def remove_record(state_dir: Path) -> None:
    """Forget the cloud."""
    (state_dir / _FILE_NAME).unlink(missing_ok=True)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, by way of a rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(f".{os.getpid()}.tmp")
    scratch.touch(mode=0o600)
    scratch.write_text(text + "\n")
    scratch.replace(path)


@contextmanager
def exclusive(state_dir: Path, *, wait_seconds: float = 1.0) -> Iterator[None]:
    """Hold the lock of a state directory. The kernel drops it with the process, so no lock is ever stale.

    Raises:
        BusyError: another command holds it, and still did after `wait_seconds`.
    """
    state_dir.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + wait_seconds
    with (state_dir / _LOCK_NAME).open("a+") as lock:
        while not _try_lock(lock.fileno()):
            if time.monotonic() >= deadline:
                owner = lock_owner(state_dir)
                raise BusyError(
                    f"Another command (process {owner}) is at work on {state_dir}. Wait until it has ended."
                )
            time.sleep(_LOCK_POLL_SECONDS)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        try:
            yield
        finally:
            lock.truncate(0)


def lock_owner(state_dir: Path) -> int | None:
    """The process that holds the lock, if one does."""
    try:
        with (state_dir / _LOCK_NAME).open() as lock:
            if _try_lock(lock.fileno()):
                return None
            text = lock.read().strip()
            return int(text) if text.isdigit() else None
    except FileNotFoundError:
        return None


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
