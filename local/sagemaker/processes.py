"""Processes of jobs and endpoints: started below a supervisor, read line by line, gone when the service is gone."""

import contextlib
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import psutil

BASE_DIR_VARIABLE = "SAGEMAKER_BASE_DIR"
"""Names the folder that is /opt/ml in a container; also the mark by which a container's processes are known."""

_SUPERVISOR = Path(__file__).with_name("supervisor.py")
_LINE_BYTES = 256 * 1024
"""CloudWatch Logs took events of up to 256 KiB for long; a longer line arrives in pieces."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Command:
    """What to run: the container's command, its whole environment and its working directory."""

    arguments: Sequence[str]
    environment: Mapping[str, str]
    working_dir: Path
    isolate_network: bool = False
    join_network_of: int | None = None
    """A process whose network namespace is to be shared."""
    hosts_file: Path | None = None
    """What is to be its /etc/hosts."""
    remove_if_orphaned: Sequence[Path] = field(default_factory=tuple)
    afterwards: Sequence[str] = ()
    """A command to run when all has ended, or been killed."""


class ContainerProcess:
    """A running command. `on_line` gets each line of its output, `on_exit` its status, both on a thread of its own."""

    def __init__(self, command: Command, *, on_line: Callable[[str], None], on_exit: Callable[[int], None]) -> None:
        self._command = command
        self._on_line = on_line
        self._on_exit = on_exit
        self._ended = threading.Event()
        self.exit_code: int | None = None
        self._process = subprocess.Popen(
            _supervised(command),
            env=dict(command.environment),
            cwd=command.working_dir,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, name=f"read-{self._process.pid}", daemon=True)
        self._reader.start()
        threading.Thread(target=self._wait, name=f"wait-{self._process.pid}", daemon=True).start()

    @property
    def supervisor_pid(self) -> int:
        """The process that stands above the command."""
        return self._process.pid

    def terminate(self) -> None:
        """SIGTERM to the command itself, as docker does: it may end its own children in order."""
        self._order(b"T")

    def kill(self) -> None:
        """SIGKILL to the command and to everything it started."""
        self._order(b"K")

    def wait(self, timeout_seconds: float | None = None) -> int | None:
        """The exit status once the command and all it started have ended and the output is read; None on timeout."""
        return self.exit_code if self._ended.wait(timeout_seconds) else None

    def stop(self, grace_seconds: float) -> None:
        """SIGTERM, and SIGKILL after the grace; returns when nothing of it is left."""
        self.terminate()
        if self.wait(grace_seconds) is None:
            self.kill()
            self.wait()

    def _order(self, order: bytes) -> None:
        leash = self._process.stdin
        if leash is not None:
            with contextlib.suppress(BrokenPipeError, ValueError):
                leash.write(order)
                leash.flush()

    def _read(self) -> None:
        output = self._process.stdout
        if output is None:
            raise RuntimeError("the process was started without a pipe")
        with output:
            while line := output.readline(_LINE_BYTES):
                try:
                    self._on_line(line.rstrip(b"\r\n").decode(errors="replace"))
                except Exception:
                    _log.exception("A line of output could not be handled")

    def _wait(self) -> None:
        code = self._process.wait()
        if code < 0:  # the supervisor itself was killed: nobody has cleared up below it
            kill_container(self._command.environment.get(BASE_DIR_VARIABLE, ""))
            if self._command.afterwards:
                subprocess.run(
                    self._command.afterwards, env=dict(self._command.environment), capture_output=True, check=False
                )
            code = 128 - code
        self._reader.join()  # ends when the last process that could write has ended
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        self.exit_code = code
        self._ended.set()
        self._on_exit(code)


def kill_container(base_dir: str) -> None:
    """SIGKILL every process whose environment names this folder as its /opt/ml, until there is none."""
    while base_dir and (found := [process for process in psutil.process_iter() if _is_of(process, base_dir)]):
        for process in found:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(found, timeout=1)


def _is_of(process: psutil.Process, base_dir: str) -> bool:
    with contextlib.suppress(psutil.Error, OSError):
        if process.pid != os.getpid() and process.environ().get(BASE_DIR_VARIABLE) == base_dir:
            return process.status() != psutil.STATUS_ZOMBIE
    return False


@cache
def isolation_is_possible() -> bool:
    """Whether this machine lets us make network namespaces."""
    probe = Command(["/bin/true"], {}, Path("/"), isolate_network=True)
    return _probe(_supervised(probe)) == 0


@cache
def hosts_can_be_named() -> bool:
    """Whether this machine lets a process have an /etc/hosts of its own."""
    probe = Command(["/bin/true"], {}, Path("/"), hosts_file=Path("/etc/hosts"))
    return _probe(_supervised(probe)) == 0


def _probe(arguments: Sequence[str]) -> int:
    with subprocess.Popen(
        arguments, env={}, cwd="/", stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        # wait() and not communicate(), which would close stdin, the leash
        return process.wait(timeout=30)


def _supervised(command: Command) -> list[str]:
    options = ["--isolate"] if command.isolate_network else []
    if command.join_network_of is not None:
        options += ["--join-network", str(command.join_network_of)]
    if command.hosts_file is not None:
        options += ["--hosts-file", str(command.hosts_file)]
    for folder in command.remove_if_orphaned:
        options += ["--remove", str(folder)]
    options += [f"--afterwards={word}" for word in command.afterwards]
    return [sys.executable, "-I", "-S", str(_SUPERVISOR), *options, "--", *command.arguments]
