"""The arguments that Unity itself reads; the rest belongs to the scene."""

import contextlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_NO_GRAPHICS = "-nographics"
_BATCH_MODE = "-batchmode"


@dataclass
class CommandLine:
    """What a player was started with. `port` is None when no trainer asked for a connection.

    `-nographics` stays among the scene's arguments: it is the scene that draws, or does not (`has_graphics`).
    """

    port: int | None = None
    log_file: Path | None = None
    scene_arguments: list[str] = field(default_factory=list)


def parse(arguments: Sequence[str]) -> CommandLine:
    """Read the arguments as Unity does: what it does not know, it leaves alone."""
    line = CommandLine()
    rest = iter(arguments)
    for argument in rest:
        if argument == "--mlagents-port":
            line.port = int(next(rest))
        elif argument.lower() == "-logfile":
            name = next(rest)
            line.log_file = None if name == "-" else Path(name)
        elif argument != _BATCH_MODE:
            line.scene_arguments.append(argument)
    return line


def option(arguments: Sequence[str], name: str, default: str) -> str:
    """The value behind `name` among a scene's arguments."""
    return arguments[arguments.index(name) + 1] if name in arguments[:-1] else default


def has_graphics(arguments: Sequence[str]) -> bool:
    """Whether the player may draw, by a scene's arguments."""
    return _NO_GRAPHICS not in arguments


def open_log(line: CommandLine) -> Callable[[str], None]:
    """A function that writes one line to the player's log, at once; to standard output where it cannot be opened."""
    file = sys.stdout
    if line.log_file is not None:
        with contextlib.suppress(OSError):
            file = line.log_file.open("a", encoding="utf-8")

    def write(text: str) -> None:
        file.write(text + "\n")
        file.flush()

    return write
