"""Which of the usual causes it was: from a program's first bytes, its end and the last lines of its log."""

import errno
import os
import re
from pathlib import Path

from rl_src.envs.binary_format import identify
from rl_src.envs.errors import (
    BuildCrashedError,
    BuildHungError,
    BuildNeverConnectedError,
    BuildNotStartableError,
    BuildProcessError,
    BuildQuitError,
    UnityEnvironmentError,
)
from rl_src.envs.player import Player, PlayerExit

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


def cannot_start(executable: Path) -> UnityEnvironmentError | None:
    """Why the system would refuse `executable`; None when it looks fine."""
    if not executable.is_file():
        return BuildNotStartableError(f"There is no program {executable.name}.")
    program = identify(executable)
    if not program.runs_on_linux_x86_64:
        return BuildNotStartableError(f"{executable.name} is {program.description}; a Linux x86-64 program is needed.")
    if not os.access(executable, os.X_OK):
        return BuildNotStartableError(f"{executable.name} may not be executed.", "Set its run bit (chmod +x).")
    return None


def quit_first(player: Player) -> BuildProcessError:
    """The build said goodbye before we did."""
    return BuildQuitError(f"The build ended the session by itself.{_log(player)}")


def no_answer(
    player: Player, executable: Path, connected: bool, gone: bool, timeout_seconds: float
) -> BuildProcessError:
    """The build is gone, or silent."""
    ended = player.poll()
    if gone and ended is not None:
        return _ended(player, executable, ended, connected)
    if connected:
        return BuildHungError(
            f"The build still runs but has not answered for {timeout_seconds:g} s.{_log(player)}",
            _remedy_from_log(player),
        )
    return BuildNeverConnectedError(
        f"The build runs but did not connect to the trainer within {timeout_seconds:g} s."
        f"{_no_toolkit(executable)}{_log(player)}",
        _remedy_from_log(player),
    )


def _ended(player: Player, executable: Path, ended: PlayerExit, connected: bool) -> BuildProcessError:
    if ended.refused_errno is not None:
        return _refused(executable, ended)
    remedy = _remedy_from_log(player)
    if connected:
        if ended.code == 0:
            return BuildQuitError(f"The build ended by itself in the middle of the game.{_log(player)}", remedy)
        return BuildCrashedError(
            f"The build crashed in the middle of the game ({ended.describe()}).{_log(player)}", remedy
        )
    if ended.code == 0:
        return BuildNeverConnectedError(
            f"The build ended by itself without connecting to the trainer.{_no_toolkit(executable)}{_log(player)}",
            remedy,
        )
    return BuildCrashedError(f"The build crashed at its start ({ended.describe()}).{_log(player)}", remedy)


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
    log = player.log_tail()
    for pattern, remedy in _KNOWN_LINES:
        match = pattern.search(log)
        if match:
            return remedy.format(what=match["what"].strip())
    return None


def _log(player: Player) -> str:
    tail = player.log_tail()
    return f" Last lines of the player's log:\n{tail}\n" if tail else " The player's log is empty."
