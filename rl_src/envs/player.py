"""The player process: started in a session of its own behind a supervisor, watched, ended, its log kept."""

import contextlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from rl_src.envs import supervisor
from rl_src.envs.sightings import FILE_SUFFIX, Sighting, keep

LOG_TAIL_LINES = 8
LOG_TAIL_CHARACTERS = 500
"""SageMaker keeps 1,024 characters of a job's failure; the remedy has to fit in behind the log."""

_LOG_LINE_CHARACTERS = 160
_LOG_TAIL_BYTES = 16 * 1024

# What Unity prints at every start, whatever happens later.
_NOISE = ("[UnityMemory] Configuration Parameters", '"memorysetup-')

# What a game may know of its surroundings. Everything else, above all credentials, stays with the trainer.
_PASSED_VARIABLES = frozenset(
    {"PATH", "LANG", "LANGUAGE", "TZ", "DISPLAY", "XAUTHORITY", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES"}
    | {"NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES", "VK_ICD_FILENAMES", "LIBGL_ALWAYS_SOFTWARE"}
)


@dataclass(frozen=True)
class PlayerUser:
    """The user that the player is dropped to; needs a trainer that runs as root. `home` must be writable for it."""

    uid: int
    gid: int
    home: Path


@dataclass(frozen=True)
class PlayerLimits:
    """What a player may take of the machine; the supervisor looks once a second.

    `processes`: it and those that it starts. `disk_bytes`: in its home and wherever its user may write. `log_bytes`: a
    log that is longer is emptied; one that is so long again and again ends the build.
    """

    processes: int = 256
    disk_bytes: int = 8 * 1024**3
    log_bytes: int = 64 * 1024**2

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "PlayerLimits":
        """By `GAMEDOJO_PLAYER_PROCESSES`, `GAMEDOJO_PLAYER_DISK_MB` and `GAMEDOJO_PLAYER_LOG_MB`, where they are set.

        Raises:
            ValueError: one is no positive number.
        """
        source = os.environ if environment is None else environment
        known = {
            "processes": _positive(source, "GAMEDOJO_PLAYER_PROCESSES"),
            "disk_bytes": _positive(source, "GAMEDOJO_PLAYER_DISK_MB") * 1024**2,
            "log_bytes": _positive(source, "GAMEDOJO_PLAYER_LOG_MB") * 1024**2,
        }
        return cls(**{name: value for name, value in known.items() if value})


def _positive(environment: Mapping[str, str], name: str) -> int:
    """0 where it is not set."""
    text = environment.get(name) or ""
    if text and not (text.isascii() and text.isdigit() and int(text)):
        raise ValueError(f"{name} is {text!r}; a positive whole number is right.")
    return int(text or 0)


@dataclass(frozen=True)
class PlayerExit:
    """How a player ended: one of the four is set.

    `exceeded`: "processes", "disk" or "output", of which it took more than it may.
    """

    code: int | None = None
    signal_number: int | None = None
    refused_errno: int | None = None
    exceeded: str | None = None

    def describe(self) -> str:
        """In words: "exit code 3", "signal 11 (SIGSEGV)"."""
        if self.refused_errno is not None:
            return os.strerror(self.refused_errno)
        if self.exceeded is not None:
            return f"ended by its supervisor: too much {self.exceeded}"
        if self.signal_number is not None:
            name = {item.value: item.name for item in signal.Signals}.get(self.signal_number, "unknown")
            return f"signal {self.signal_number} ({name})"
        return f"exit code {self.code}"


class Player:
    """One running build.

    `log_file` is what the player is told to log to; its standard output and error go to `<log_file>.out`. `variables`
    are added to its environment. `limits`: by default as the trainer's environment says.
    """

    def __init__(
        self,
        command: Sequence[str],
        log_file: Path,
        run_as: PlayerUser | None = None,
        variables: Mapping[str, str] = MappingProxyType({}),
        limits: PlayerLimits | None = None,
    ) -> None:
        self.limits = limits or PlayerLimits.from_environment()
        self.log_file = log_file
        self.output_file = log_file.with_name(log_file.name + ".out")
        bounds = f"{self.limits.processes}:{self.limits.disk_bytes}:{self.limits.log_bytes}:{log_file.absolute()}"
        os.close(_new_file(self.log_file, run_as))
        output = _new_file(self.output_file, run_as)
        try:
            self._supervised = _Supervised(command, output, run_as, variables, bounds, log_file)
        finally:
            os.close(output)
        # A client that is dropped without close() must not leave its build behind.
        self._finalizer = weakref.finalize(self, self._supervised.end)

    @property
    def supervisor_pid(self) -> int:
        """The process id of the supervisor, whose child the player is."""
        return self._supervised.process.pid

    def is_alive(self) -> bool:
        """Whether the player still runs."""
        return self.poll() is None

    def poll(self) -> PlayerExit | None:
        """How the player ended; None while it runs."""
        return self._supervised.poll()

    def wait(self, timeout_seconds: float) -> PlayerExit | None:
        """Give the player time to end by itself; None when it did not."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._supervised.process.wait(timeout_seconds)
        return self.poll()

    def sightings(self) -> Sequence[Sighting]:
        """What it was seen to reach for and may not have; complete once it has ended, empty until then."""
        return self._supervised.sightings

    def kill(self) -> None:
        """End the player and everything that it started. Does nothing when they are gone."""
        self._finalizer()

    def log_tail(self) -> str:
        """The last lines of the player's log, or of its output where the log is empty."""
        return fitted(self.log_lines() or self.output_lines(), LOG_TAIL_CHARACTERS)

    def log_lines(self) -> list[str]:
        """The last lines of the player's log, whole."""
        return _last_lines(self.log_file)[-LOG_TAIL_LINES:]

    def output_lines(self) -> list[str]:
        """The last lines that it printed and did not log: the loader's, the C library's, an interpreter's."""
        logged = set(_last_lines(self.log_file))
        printed = [line for line in _last_lines(self.output_file) if line not in logged and not line.startswith(_NOISE)]
        return printed[-LOG_TAIL_LINES:]


def player_environment(environment: Mapping[str, str], home: str) -> dict[str, str]:
    """The variables that a player is started with."""
    passed = {name: value for name, value in environment.items() if name in _PASSED_VARIABLES or name.startswith("LC_")}
    return {**passed, "HOME": home, "TMPDIR": home}


class _Supervised:
    """The supervisor's process, as the trainer holds it."""

    def __init__(
        self,
        command: Sequence[str],
        output: int,
        run_as: PlayerUser | None,
        variables: Mapping[str, str],
        bounds: str,
        log_file: Path,
    ) -> None:
        self.sightings: list[Sighting] = []
        self._log_file = log_file
        identity = (str(run_as.uid), str(run_as.gid)) if run_as else ("-", "-")
        self._temporary = None if run_as else tempfile.mkdtemp(prefix="player-home-")
        home = str(run_as.home) if run_as else str(self._temporary)
        arguments = (str(os.getpid()), self._temporary or "-", *identity, *command)
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", supervisor.__file__, "--limits", bounds, *arguments],
            stdin=subprocess.PIPE,  # held open by us, and by us only: its end tells the supervisor that we are gone
            stdout=subprocess.PIPE,
            stderr=output,
            cwd=Path(command[0]).parent,
            env={**player_environment(os.environ, home), **variables},
            start_new_session=True,
        )
        self._lock = threading.Lock()
        self._exit: PlayerExit | None = None

    def poll(self) -> PlayerExit | None:
        with self._lock:
            if self._exit is None and self.process.poll() is not None:
                assert self.process.stdout is not None
                with self.process.stdout as status:
                    lines = status.read().decode("ascii", "replace").splitlines()
                self._exit = self._read_exit([line for line in lines if not self._is_sighting(line)])
                # Named by the process: the next player may have the same log.
                keep(self.sightings, self._log_file.with_name(f"{self._log_file.name}.{self.process.pid}{FILE_SUFFIX}"))
            return self._exit

    def end(self) -> None:
        """Close the pipe, on which the supervisor kills the player, and wait for both."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        self.process.wait()
        self.poll()

    def _is_sighting(self, line: str) -> bool:
        """And keeps it. Or a word that there will be none: what cannot be seen is not held against the build."""
        sighting = Sighting.from_line(line)
        if sighting is not None:
            self.sightings.append(sighting)
        return sighting is not None or line == "blind"

    def _read_exit(self, lines: list[str]) -> PlayerExit:
        match [line.split() for line in lines]:
            case [_, ["exited", code]]:
                return PlayerExit(code=int(code))
            case [_, ["signalled", number]]:
                return PlayerExit(signal_number=int(number))
            case [_, ["refused", number]]:
                return PlayerExit(refused_errno=int(number))
            case [_, ["exceeded", what]]:
                return PlayerExit(exceeded=what)
            case [["player", pid]]:
                self._clean_up(int(pid))
        return PlayerExit(signal_number=signal.SIGKILL.value)

    def _clean_up(self, player: int) -> None:
        """The supervisor was killed, and the player with it, but not what the player had started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(player, signal.SIGKILL)
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)


def _new_file(path: Path, run_as: PlayerUser | None) -> int:
    """An empty file that the player may write, open for appending.

    A player before this one may have put a link there, and we may be root: what is there is neither written to nor
    given away.
    """
    with contextlib.suppress(FileNotFoundError):
        if stat.S_IFMT(path.lstat().st_mode) in (stat.S_IFREG, stat.S_IFLNK):
            path.unlink()
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    if run_as is not None:
        os.fchown(file, run_as.uid, run_as.gid)
    return file


def fitted(lines: Sequence[str], characters: int) -> str:
    """The end of what `lines` say, in at most so many characters."""
    return "\n".join(line[:_LOG_LINE_CHARACTERS] for line in lines)[-characters:]


def _last_lines(path: Path) -> list[str]:
    """Of a plain file, and of nothing that the player may have linked to it: what it may not read, it is not told."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
                return []
            file.seek(max(0, status.st_size - _LOG_TAIL_BYTES))
            text = file.read(_LOG_TAIL_BYTES).decode("utf-8", "replace")
    except OSError:
        return []
    return [line.strip() for line in text.splitlines() if line.strip()]
