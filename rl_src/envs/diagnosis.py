"""Which of the usual causes it was: from a program's first bytes, its end and the last lines of its log."""

import errno
import os
import re
import signal
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from rl_src.envs.binary_format import identify
from rl_src.envs.errors import (
    BuildCrashedError,
    BuildHungError,
    BuildLimitError,
    BuildNeverConnectedError,
    BuildNotStartableError,
    BuildProcessError,
    BuildQuitError,
    ProtocolError,
    UnityEnvironmentError,
)
from rl_src.envs.http2 import MessageTooLargeError, ViolationError
from rl_src.envs.player import LOG_TAIL_CHARACTERS, Player, PlayerExit, fitted
from rl_src.envs.sightings import seen

_QUOTED_CHARACTERS = 160

# Nothing of ours ends a build while its answer is awaited, and the kernel's reaper of memory sends this signal.
_NO_MEMORY = (
    "Something outside killed the build, most often the system because memory ran out: choose a larger instance, a "
    "smaller `environment.num_builds` or a lighter scene."
)
_SLOW_HANDSHAKE = (
    "Look for endless loops or dialogs in what the first scene does before agents act (Awake, OnEnable, Initialize); a "
    "slow start needs a longer `environment.startup_timeout_seconds`."
)

# What a log line tells, and what to do about it. Unity's and the loader's own words.
_KNOWN_LINES: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"error while loading shared libraries: (?P<what>[^:\s]+)"),
        "The library {what} is missing on the training machine; put it into the build's folder, or build without the "
        "plug-in that needs it.",
    ),
    (
        re.compile(
            r"(?P<what>There should be '[^']+'|\S+_Data folder)[^\n]*(?:next to the executable|missing)", re.IGNORECASE
        ),
        "The build is incomplete: zip the whole folder, with <Name>_Data beside the program.",
    ),
    (
        re.compile(
            r"(?P<what>Failed to (?:create .*|initialize )graphics|No supported renderers|unable to open display)",
            re.IGNORECASE,
        ),
        "The build wants a display: camera sensors or effects need graphics; remove them or train with graphics.",
    ),
    (
        re.compile(r"(?P<what>[^\n]*(?:OutOfMemory|out of memory|Could not allocate memory)[^\n]*)", re.IGNORECASE),
        "The build ran out of memory; choose a larger instance or a lighter scene.",
    ),
    (
        re.compile(r"(?P<what>\w*Exception: [^\n]+)"),
        "The game threw an exception ({what}); mend it where the log says.",
    ),
    (
        re.compile(r"env: .?(?P<what>[\w./-]+).?: No such file"),
        "The program is a script whose interpreter {what} is missing on the training machine.",
    ),
    (
        re.compile(r"ModuleNotFoundError: No module named '(?P<what>[^']+)'"),
        "The program is a Python script that needs the module {what}, which is missing on the training machine.",
    ),
)


class Phase(Enum):
    """How far a build had come, as errors say it."""

    START = "at its start"
    HANDSHAKE = "during the handshake"
    GAME = "in the middle of the game"


@dataclass(frozen=True)
class Silence:
    """What is known of a build that does not answer.

    `gone`: its process has ended. `timeout_seconds`: of the whole start-up, or for one answer in the game.
    `violation`: it was hung up on for this.
    """

    phase: Phase
    gone: bool
    timeout_seconds: float
    violation: ViolationError | None = None


def cannot_start(executable: Path) -> UnityEnvironmentError | None:
    """Why the system would refuse `executable`; None when it looks fine."""
    if not executable.is_file():
        return BuildNotStartableError(f"There is no program {executable.name}.")
    program = identify(executable)
    if not program.runs_on_linux_x86_64:
        return BuildNotStartableError(
            f"{executable.name} is {program.description}; a Linux x86-64 program is needed.", program.remedy
        )
    if not os.access(executable, os.X_OK):
        return BuildNotStartableError(f"{executable.name} may not be executed.", "Set its run bit (chmod +x).")
    return None


def quit_first(player: Player, violation: ViolationError | None) -> UnityEnvironmentError:
    """The build said goodbye before we did; of its own accord, unless it was hung up on for a violation."""
    if violation is not None:
        return _hung_up_on(player, violation, Phase.GAME)
    return BuildQuitError(f"The build ended the session by itself.{_log(player)}")


def no_answer(player: Player, executable: Path, silence: Silence) -> UnityEnvironmentError:
    """The build is gone, or silent."""
    ended = player.poll()
    if silence.violation is not None:
        return _hung_up_on(player, silence.violation, silence.phase)
    if silence.gone and ended is not None:
        return _ended(player, executable, ended, silence.phase)
    return _silent(player, executable, silence)


def _hung_up_on(player: Player, violation: ViolationError, phase: Phase) -> ProtocolError:
    if isinstance(violation, MessageTooLargeError):
        remedy = "Send less at once: fewer or smaller camera pictures, PNG compression, fewer agents in the scene."
    elif phase is Phase.START:
        remedy = f"{ProtocolError.default_remedy} Nothing else may use the port of --mlagents-port."
    else:
        remedy = None
    return ProtocolError(f"The trainer hung up on the build {phase.value}: {violation}.{_log(player)}", remedy)


def _silent(player: Player, executable: Path, silence: Silence) -> BuildProcessError:
    remedy = _remedy_from_log(player)
    if silence.phase is Phase.START:
        return BuildNeverConnectedError(
            f"The build runs but did not connect to the trainer within {silence.timeout_seconds:g} s."
            f"{_no_toolkit(executable)}{_log(player)}",
            remedy,
        )
    if silence.phase is Phase.HANDSHAKE:
        return BuildHungError(
            f"The build still runs and has connected, but did not finish the handshake within "
            f"{silence.timeout_seconds:g} s of its start.{_log(player)}",
            remedy or _SLOW_HANDSHAKE,
        )
    return BuildHungError(
        f"The build still runs but has not answered for {silence.timeout_seconds:g} s.{_log(player)}", remedy
    )


def _ended(player: Player, executable: Path, ended: PlayerExit, phase: Phase) -> UnityEnvironmentError:
    exceeded = "disk" if ended.signal_number == signal.SIGXFSZ else ended.exceeded
    if exceeded is not None:
        return _exceeded(player, exceeded, phase)
    if ended.refused_errno is not None:
        return _refused(executable, ended)
    if ended.code != 0:
        return BuildCrashedError(
            f"The build crashed {phase.value} ({ended.describe()}).{_log_and_output(player)}",
            _NO_MEMORY if ended.signal_number == signal.SIGKILL else _remedy_from_log(player),
        )
    if phase is Phase.START:
        return BuildNeverConnectedError(
            f"The build ended by itself without connecting to the trainer.{_no_toolkit(executable)}{_log(player)}",
            _remedy_from_log(player),
        )
    return BuildQuitError(f"The build ended by itself {phase.value}.{_log(player)}", _remedy_from_log(player))


def _exceeded(player: Player, what: str, phase: Phase) -> BuildLimitError:
    limits = player.limits
    disk_megabytes, log_megabytes = limits.disk_bytes // 1024**2, limits.log_bytes // 1024**2
    did, setting = {
        "processes": (f"it ran more than {limits.processes} processes", "GAMEDOJO_PLAYER_PROCESSES"),
        "disk": (
            f"it wrote more than {disk_megabytes:,} MB to the disk, or files without number",
            "GAMEDOJO_PLAYER_DISK_MB",
        ),
        "output": (f"it logged more than {log_megabytes:,} MB a second", "GAMEDOJO_PLAYER_LOG_MB"),
    }[what]
    return BuildLimitError(
        f"The build was ended {phase.value}: {did}.{_log(player)}",
        f"{BuildLimitError.default_remedy} A build that needs so much: set {setting} in the training image.",
    )


def _refused(executable: Path, ended: PlayerExit) -> BuildProcessError:
    if ended.refused_errno == errno.ENOEXEC:
        return BuildNotStartableError(
            f"{executable.name} is {identify(executable).description}, in a form that Linux cannot run."
        )
    if ended.refused_errno == errno.ENOENT:
        program = identify(executable)
        needs = f" ({program.interpreter})" if program is not None and program.interpreter else ""
        return BuildNotStartableError(
            f"{executable.name} needs an interpreter{needs} that the training machine does not have.",
            "Build for Linux x86-64; check the first line of a script, and its line ends (Linux, not Windows).",
        )
    return BuildNotStartableError(f"The system refused to start {executable.name}: {ended.describe()}.")


def _no_toolkit(executable: Path) -> str:
    """A Mono build lists its assemblies; one without ML-Agents' has no toolkit in it."""
    managed = executable.with_name(executable.stem + "_Data") / "Managed"
    if managed.is_dir() and not (managed / "Unity.ML-Agents.dll").is_file():
        return " It contains no ML-Agents (Unity.ML-Agents.dll is not among its assemblies)."
    return ""


def _remedy_from_log(player: Player) -> str | None:
    said = "\n".join([*player.log_lines(), *player.output_lines()])
    for pattern, remedy in _KNOWN_LINES:
        match = pattern.search(said)
        if match:
            return remedy.format(what=match["what"].strip()[:_QUOTED_CHARACTERS])
    return None


def _log(player: Player) -> str:
    """What it was seen to do, and its last words."""
    quoted = _quoted("the player's log", player.log_tail()) or " The player's log is empty."
    return seen(player.sightings()) + quoted


def _log_and_output(player: Player) -> str:
    """For a crash: the last words of loaders, libraries and interpreters are printed, not logged."""
    log, output = player.log_lines(), player.output_lines()
    if not log or not output:
        return _log(player)
    printed = fitted(output, LOG_TAIL_CHARACTERS // 2)
    logged = fitted(log, LOG_TAIL_CHARACTERS - len(printed))
    said = _quoted("the player's log", logged) + _quoted("what it printed", printed)
    return seen(player.sightings()) + said


def _quoted(source: str, tail: str) -> str:
    return f" Last lines of {source}:\n{tail}\n" if tail else ""
