"""Basic with a fault of choice, to see what a trainer does: `--fault NAME [--after STEPS]`."""

import math
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sample_builds.player.command_line import option
from sample_builds.player.scene import World, float_observation, observation_field
from sample_builds.scenes.basic import BEHAVIOR, FIELDS, BasicScene

AT_START = ("crash-at-start", "exit-at-start", "never-connect", "wrong-version")
IN_THE_MIDDLE = (
    "crash",
    "segfault",
    "exit",
    "hang",
    "quit",
    "nan-reward",
    "infinite-reward",
    "nan-observation",
    "wrong-shape",
)
FAULTS = AT_START + IN_THE_MIDDLE
CRASH_CODE = 134


class FaultyScene(BasicScene):
    """Plays as Basic until the fault comes: at once, or after so many steps (default 5)."""

    def __init__(self, world: World, arguments: Sequence[str]) -> None:
        super().__init__(world, arguments)
        self._fault = _fault(arguments)
        self._steps_left = int(option(arguments, "--after", "5"))

    @classmethod
    def before_connecting(cls, arguments: Sequence[str], log: Callable[[str], None]) -> None:
        """Fail before there is a connection, for the faults that do."""
        match _fault(arguments):
            case "crash-at-start":
                _crash(log)
            case "exit-at-start":
                sys.exit(0)
            case "never-connect":
                _hang()

    @classmethod
    def communication_version(cls, arguments: Sequence[str]) -> str:
        """A version that no trainer knows, for the fault that wants it."""
        return "9.0.0" if _fault(arguments) == "wrong-version" else super().communication_version(arguments)

    def step(self, actions: Mapping[str, Sequence[Any]]) -> None:
        """One step of Basic, or the fault."""
        self._steps_left -= 1
        if self._steps_left < 0:
            self._break()
        super().step(actions)

    def _break(self) -> None:
        match self._fault:
            case "crash":
                _crash(self.world.log)
            case "segfault":
                os.kill(os.getpid(), signal.SIGSEGV)
            case "exit":
                os._exit(0)
            case "hang":
                _hang()
            case "quit":
                self.world.quit()

    def _ask(self, agent_id: int, position: int, reward: float) -> None:
        observation = self._observations[position]
        if self._steps_left < 0:
            match self._fault:
                case "nan-reward":
                    reward = math.nan
                case "infinite-reward":
                    reward = math.inf
                case "nan-observation":
                    observation = observation_field([float_observation("BasicSensor", [math.nan] * FIELDS)])
                case "wrong-shape":
                    observation = observation_field([float_observation("BasicSensor", [0.0] * (FIELDS + 1))])
        self.world.request_decision(BEHAVIOR, agent_id, observation, reward)


def _fault(arguments: Sequence[str]) -> str:
    fault = option(arguments, "--fault", "")
    if fault and fault not in FAULTS:
        sys.exit(f"No fault {fault!r}; there are {', '.join(FAULTS)}.")
    return fault


def _crash(log: Callable[[str], None]) -> None:
    log("NullReferenceException: Object reference not set to an instance of an object")
    log("  at BasicController.FixedUpdate () [0x00000] in <sample>:0")
    os._exit(CRASH_CODE)


def _hang() -> None:
    while True:
        time.sleep(3600)
