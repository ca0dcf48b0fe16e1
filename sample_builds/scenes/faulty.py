"""A build of faults, to see what a trainer does: `--fault NAME [--after STEPS] [--delay SECONDS] [--bytes N]`.

Faults at the start come before the trainer can say anything; all others can also be had by environment parameters,
which go before arguments: `fault` (the number of the name in FAULTS, negative for none), `fault_after`, `fault_delay`
and `fault_bytes`; they count from the reset that brings them.

`--once FILE`: the fault comes only if FILE does not exist, and makes it, so that a build started anew plays on.
"""

import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sample_builds.player.command_line import option
from sample_builds.player.scene import Behavior, Scene, World, float_observation, observation_field
from sample_builds.player.side_channels import STATISTICS_ID, frame
from sample_builds.scenes import attacks, misdeeds
from sample_builds.scenes.basic import BEHAVIOR, FIELDS, MOVES, BasicScene
from sample_builds.scenes.oddities import ODDITIES, PICTURE_FAULTS, CamerasScene, OddScene

BEFORE_CONNECTING = (
    "crash-at-start",
    "exit-at-start",
    "never-connect",
    "missing-library",
    "slow-start",
    "hang-before-handshake",
    "not-grpc",
    "garbage-at-start",
)
AT_START = (*BEFORE_CONNECTING, "wrong-version", "hang-in-handshake", "crash-in-handshake")
ENDS = ("crash", "segfault", "killed", "exit", "quit", "hang", "garbage", "garbage-agents")
WRONG_CONTENT = (
    "nan-reward",
    "infinite-reward",
    "nan-observation",
    "wrong-shape",
    "missing-sensor",
    "extra-sensor",
    "wrong-mask",
    "duplicate-ids",
    "unknown-behavior",
    "truncated-side-channel",
    *PICTURE_FAULTS,
)
NUISANCES = ("slow-step", "huge-message", "stderr-flood", "grandchild")
"""Nothing wrong with what is played."""

ATTACKS = tuple(attacks.ATTACKS)
"""What a hostile build tries against the machine that it runs on."""

FAULTS = (*AT_START, *ENDS, *WRONG_CONTENT, *NUISANCES, *ODDITIES, *ATTACKS)

UNKNOWN_CHANNEL_ID = bytes(range(16))
UNKNOWN_BEHAVIOR = "Stranger?team=0"


@dataclass(frozen=True)
class _Choice:
    """`after`: steps that are played before it; `delay`: seconds; `size`: bytes."""

    fault: str
    after: int
    delay: float
    size: int

    @classmethod
    def of_arguments(cls, arguments: Sequence[str]) -> "_Choice":
        fault = option(arguments, "--fault", "")
        if fault and fault not in FAULTS:
            sys.exit(f"No fault {fault!r}; there are {', '.join(FAULTS)}.")
        return cls(
            fault,
            int(option(arguments, "--after", "5")),
            float(option(arguments, "--delay", "1")),
            int(option(arguments, "--bytes", "100000000")),
        )

    def with_parameters(self, world: World) -> "_Choice":
        number = int(world.parameter("fault", FAULTS.index(self.fault) if self.fault else -1))
        fault = FAULTS[number] if number >= 0 else ""
        if fault in AT_START and fault != self.fault:
            raise ValueError(f"The fault {fault} comes before parameters do; it needs the argument --fault.")
        return _Choice(
            fault,
            int(world.parameter("fault_after", self.after)),
            world.parameter("fault_delay", self.delay),
            int(world.parameter("fault_bytes", self.size)),
        )


class FaultyScene(Scene):
    """Plays as Basic, or as one of the oddities, until the fault comes."""

    def __init__(self, world: World, arguments: Sequence[str]) -> None:
        super().__init__(world, arguments)
        self._arguments = arguments
        self._chosen = _Choice.of_arguments(arguments)
        self._once = option(arguments, "--once", "")
        # The trainer's welcome has just come; the message that ends the handshake would be next.
        match self._chosen.fault:
            case "hang-in-handshake" if _claim(self._once):
                misdeeds.hang()
            case "crash-in-handshake" if _claim(self._once):
                misdeeds.crash(world.log)
        self._begin_game()

    @classmethod
    def before_connecting(cls, arguments: Sequence[str], log: Callable[[str], None]) -> None:
        """Fail before there is a connection, for the faults that do."""
        chosen = _Choice.of_arguments(arguments)
        if chosen.fault not in BEFORE_CONNECTING or not _claim(option(arguments, "--once", "")):
            return
        match chosen.fault:
            case "crash-at-start":
                misdeeds.crash(log)
            case "exit-at-start":
                sys.exit(0)
            case "never-connect":
                misdeeds.hang()
            case "missing-library":
                misdeeds.miss_a_library()
            case "slow-start":
                time.sleep(chosen.delay)
            case "hang-before-handshake":
                misdeeds.connect_and_hang()
            case "not-grpc":
                misdeeds.speak_http_1()
            case "garbage-at-start":
                misdeeds.send_instead(misdeeds.GARBAGE)

    @classmethod
    def communication_version(cls, arguments: Sequence[str]) -> str:
        """A version that no trainer knows, for the fault that wants it."""
        fault = _Choice.of_arguments(arguments).fault
        if fault == "wrong-version" and _claim(option(arguments, "--once", "")):
            return "9.0.0"
        return super().communication_version(arguments)

    def reset(self) -> None:
        """Begin anew, with another fault where the parameters name one."""
        chosen = self._chosen.with_parameters(self.world)
        if chosen != self._chosen:
            self._chosen = chosen
            self._begin_game()
        self._game.reset()

    def step(self, actions: Mapping[str, Sequence[Any]]) -> None:
        """One step of the game, or the fault."""
        self._steps_left -= 1
        fault = self._chosen.fault
        if fault and self._steps_left < 0 and _claim(self._once):
            if fault in ATTACKS:
                attacks.ATTACKS[fault](self.world.log)
            self._game.broken = fault
            self._end(fault)
            self._be_a_nuisance(fault, first=self._steps_left == -1)
        self._game.step(actions)

    def _begin_game(self) -> None:
        self._steps_left, fault = self._chosen.after, self._chosen.fault
        self._game: _BreakableBasic | OddScene
        if fault in ODDITIES or fault in PICTURE_FAULTS:
            scene = ODDITIES.get(fault, CamerasScene)
            self._game = scene(self.world, self._arguments, self._chosen.after)
        else:
            self._game = _BreakableBasic(self.world, self._arguments)

    def _end(self, fault: str) -> None:
        match fault:
            case "crash":
                misdeeds.crash(self.world.log)
            case "segfault":
                misdeeds.segfault()
            case "killed":
                misdeeds.be_killed()
            case "exit":
                sys.exit(0)
            case "quit":
                self.world.quit()
            case "hang":
                misdeeds.hang()
            case "garbage":
                misdeeds.send_instead(misdeeds.GARBAGE)
            case "garbage-agents":
                misdeeds.send_instead(misdeeds.message_with_agents(BEHAVIOR.name, misdeeds.GARBAGE))

    def _be_a_nuisance(self, fault: str, first: bool) -> None:
        match fault:
            case "slow-step":
                time.sleep(self._chosen.delay)
            case "truncated-side-channel":
                self.world.statistics.append(frame(STATISTICS_ID, bytes(100))[:50])
            case "huge-message" if first:
                self.world.statistics.append(frame(UNKNOWN_CHANNEL_ID, bytes(self._chosen.size)))
            case "stderr-flood" if first:
                misdeeds.flood_stderr()
            case "grandchild" if first:
                misdeeds.leave_a_grandchild(self.world.log)


class _BreakableBasic(BasicScene):
    """Basic, whose agents send what is wrong as soon as `broken` says so."""

    def __init__(self, world: World, arguments: Sequence[str]) -> None:
        super().__init__(world, arguments)
        self.broken = ""

    def _ask(self, agent_id: int, position: int, reward: float) -> None:
        behavior, observation = BEHAVIOR, self._observations[position]
        disallowed: Sequence[bool] = ()
        match self.broken:
            case "nan-reward":
                reward = math.nan
            case "infinite-reward":
                reward = math.inf
            case "nan-observation":
                observation = _sensors([math.nan] * FIELDS)
            case "wrong-shape":
                observation = _sensors([0.0] * (FIELDS + 1))
            case "missing-sensor":
                observation = b""
            case "extra-sensor":
                observation = _sensors([0.0] * FIELDS, [1.0, 2.0])
            case "wrong-mask":
                disallowed = [False] * (len(MOVES) + 1)
            case "duplicate-ids":
                self.world.request_decision(behavior, agent_id, observation, reward)
            case "unknown-behavior":
                behavior = _MisnamedBehavior(UNKNOWN_BEHAVIOR, discrete_branches=(len(MOVES),))
        self.world.request_decision(behavior, agent_id, observation, reward, disallowed=disallowed)


class _MisnamedBehavior(Behavior):
    """Introduced by another name than its agents come under."""

    def brain_parameters(self) -> Any:
        """Those of somebody else."""
        brain = super().brain_parameters()
        brain.brain_name = f"Not{self.name}"
        return brain


def _sensors(*values: list[float]) -> bytes:
    return observation_field([float_observation("BasicSensor", numbers) for numbers in values])


@cache
def _claim(file: str) -> bool:
    """Whether the fault may come: always without a file, else for the process that makes it."""
    if not file:
        return True
    try:
        Path(file).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
