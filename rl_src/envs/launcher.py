"""How a build's process is started: with which arguments, and with which display."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from rl_src.envs.diagnosis import cannot_start
from rl_src.envs.display import VirtualDisplay, display_is_reachable
from rl_src.envs.errors import DisplayMissingError
from rl_src.envs.player import Player, PlayerUser
from rl_src.envs.specs import BehaviorSpec

_HEADLESS = ("-nographics", "-batchmode")


class Launcher:
    """Starts one build, again if need be. Close it: it may hold a display.

    Args:
        executable: the program.
        arguments: further command line arguments for it.
        log_file: where the player logs.
        run_as: the user to drop it to.
        graphics: False starts it headless, True on a display: the one that `DISPLAY` names, or an Xvfb of its own. None
            starts it headless, until `needs_display` says otherwise.
    """

    def __init__(
        self,
        executable: Path,
        arguments: Sequence[str],
        log_file: Path,
        run_as: PlayerUser | None,
        graphics: bool | None,
    ) -> None:
        self._executable = executable
        self._arguments = arguments
        self._log_file = log_file
        self._run_as = run_as
        self._may_change = graphics is None
        self._graphics = bool(graphics)
        self._display: VirtualDisplay | None = None

    def start(self, port: int) -> Player:
        """Start the build; it is told to connect to `port`.

        Raises:
            BuildNotStartableError: the system would refuse it.
            DisplayMissingError: it needs a display, and none can be had.
        """
        problem = cannot_start(self._executable)
        if problem is not None:
            raise problem
        if self._graphics and self._display is None and not display_is_reachable(os.environ):
            self._display = VirtualDisplay(self._run_as)
        command = [str(self._executable), *(() if self._graphics else _HEADLESS), "--mlagents-port", str(port)]
        command += ["-logFile", str(self._log_file), *self._arguments]
        return Player(command, self._log_file, self._run_as, self._display.environment if self._display else {})

    def needs_display(self, specs: Iterable[BehaviorSpec]) -> bool:
        """Whether a build that was started headless on trial turns out to have cameras, which see nothing that way."""
        return self._may_change and not self._graphics and _camera(specs) is not None

    def use_display(self) -> None:
        """From the next start on."""
        self._graphics = True

    def close(self) -> None:
        """End the display. May be called twice."""
        if self._display is not None:
            self._display.close()


def late_camera(specs: Iterable[BehaviorSpec]) -> DisplayMissingError:
    """For a camera that shows up when it is too late to start again."""
    name, sensor = _camera(specs) or ("?", "?")
    return DisplayMissingError(
        f"Behavior {name} appeared in the middle of the game and has a camera ({sensor}); the build was started "
        "without graphics, because none of the behaviors that it began with has one.",
        "Set environment.graphics to true; to false if the sensor is not a camera.",
    )


def _camera(specs: Iterable[BehaviorSpec]) -> tuple[str, str] | None:
    cameras = [(spec.name, sensor.name) for spec in specs for sensor in spec.observations if sensor.may_be_camera]
    return cameras[0] if cameras else None
