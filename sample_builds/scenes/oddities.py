"""Games that are in order, but not what a trainer sees every day: each shows one thing that the protocol allows.

All play the same: an agent sees its number, its episode and its age in steps, is paid 0.25 a step whatever it does, and
ends at an age of four. So all that a trainer gets can be worked out beforehand.
"""

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sample_builds.player.command_line import option
from sample_builds.player.scene import (
    BUFFER_PROPERTIES,
    Behavior,
    Scene,
    World,
    float_observation,
    observation_field,
    png_observation,
)

ODD = Behavior("Odd?team=0", discrete_branches=(2,))
LATE = Behavior("Late?team=1", continuous_size=2)
EPISODE_STEPS = 4
STEP_REWARD = 0.25
BUFFER_SHAPE = (5, 3)
"""Rows, of which an agent fills one more each step, and numbers in a row."""

CAMERAS = {"Colour": (3, 6, 4), "Gray": (1, 5, 3), "Stacked": (2, 4, 4)}
"""Shapes: channels, height, width."""

_CHANNEL_MAPPINGS = {"Colour": (0, 1, 2), "Gray": (0, 0, 0), "Stacked": (0, 0, 0, 1, 1, 1)}


@dataclass
class OddAgent:
    """`reward`: what it has earned since it was last reported. `resting`: between two episodes."""

    behavior: Behavior
    number: int
    id: int
    episode: int = 0
    age: int = 0
    reward: float = 0.0
    resting: bool = False


class OddScene(Scene):
    """`--agents N` agents (default 2) that begin together. `broken` names what is wrong with what they send."""

    def __init__(self, world: World, arguments: Sequence[str], after: int) -> None:
        super().__init__(world, arguments)
        self.broken = ""
        self._count, self._after = int(option(arguments, "--agents", "2")), after
        self._agents: list[OddAgent] = []

    def reset(self) -> None:
        """Every agent begins its first episode."""
        self._agents = [OddAgent(ODD, number, self.world.new_episode_id()) for number in range(self._count)]
        for agent in self._agents:
            self._ask(agent)

    def step(self, actions: Mapping[str, Sequence[Any]]) -> None:
        """Every agent grows a step older."""
        for agent in self._agents:
            if agent.resting:
                agent.resting = False
                self._ask(agent)
                continue
            agent.age, agent.reward = agent.age + 1, agent.reward + STEP_REWARD
            if agent.age == EPISODE_STEPS:
                self._end(agent)
            if self._asks(agent) and not agent.resting:
                self._ask(agent)

    def _observations(self, agent: OddAgent) -> list[bytes]:
        return [float_observation("Self", [agent.number, agent.episode, agent.age])]

    def _asks(self, agent: OddAgent) -> bool:
        return True

    def _group(self, agent: OddAgent) -> tuple[int, float]:
        """Group id and what its group has earned."""
        return 0, 0.0

    def _ask(self, agent: OddAgent) -> None:
        group_id, group_reward = self._group(agent)
        self.world.request_decision(
            agent.behavior,
            agent.id,
            observation_field(self._observations(agent)),
            agent.reward,
            group_id=group_id,
            group_reward=group_reward,
        )
        agent.reward = 0.0

    def _end(self, agent: OddAgent, *, interrupted: bool = False, rests: bool = False) -> None:
        group_id, group_reward = self._group(agent)
        self.world.end_episode(
            agent.behavior,
            agent.id,
            observation_field(self._observations(agent)),
            agent.reward,
            interrupted=interrupted,
            group_id=group_id,
            group_reward=group_reward,
        )
        agent.id, agent.episode = self.world.new_episode_id(), agent.episode + 1
        agent.age, agent.reward, agent.resting = 0, 0.0, rests


class TruncationScene(OddScene):
    """Episodes are cut off by MaxStep."""

    def _end(self, agent: OddAgent, *, interrupted: bool = False, rests: bool = False) -> None:
        super()._end(agent, interrupted=True)


class TerminalOnlyScene(OddScene):
    """All end in a message in which nobody asks; the next episodes begin a step later."""

    def _end(self, agent: OddAgent, *, interrupted: bool = False, rests: bool = False) -> None:
        super()._end(agent, rests=True)


class SkippingScene(OddScene):
    """Agent n asks every n + 1 steps of an episode only; what it earned meanwhile comes with its next report."""

    def _asks(self, agent: OddAgent) -> bool:
        return agent.age % (agent.number + 1) == 0


class GroupScene(OddScene):
    """Agents by turns are of group 1 and 2, and earn 0.5 or 1 a report for it."""

    def _group(self, agent: OddAgent) -> tuple[int, float]:
        group_id = 1 + agent.number % 2
        return group_id, 0.5 * group_id


class LateScene(OddScene):
    """An agent of a second behavior, with a sensor more, appears with the given step."""

    def reset(self) -> None:
        """Only the first behavior is there."""
        super().reset()
        self._steps = 0

    def step(self, actions: Mapping[str, Sequence[Any]]) -> None:
        """As ever, and then somebody comes."""
        super().step(actions)
        self._steps += 1
        if self._steps == self._after:
            self._agents.append(OddAgent(LATE, len(self._agents), self.world.new_episode_id()))
            self._ask(self._agents[-1])

    def _observations(self, agent: OddAgent) -> list[bytes]:
        more = [float_observation("Lateness", [self._after])] if agent.behavior is LATE else []
        return [*super()._observations(agent), *more]


class VariableLengthScene(OddScene):
    """A buffer sensor, whose rows fill with an agent's age; the rest is zero."""

    def _observations(self, agent: OddAgent) -> list[bytes]:
        room, size = BUFFER_SHAPE
        rows = [[agent.number, row, agent.age][:size] if row <= agent.age else [0] * size for row in range(room)]
        flat = [number for row in rows for number in row]
        buffer = float_observation("Buffer", flat, BUFFER_SHAPE, properties=BUFFER_PROPERTIES)
        return [*super()._observations(agent), buffer]


class CamerasScene(OddScene):
    """Three cameras beside the vector: colour, grayscale, and grayscale with the picture before stacked under it."""

    def _observations(self, agent: OddAgent) -> list[bytes]:
        cameras = [
            png_observation(name, self._pictures(name, agent), shape, _CHANNEL_MAPPINGS[name])
            for name, shape in CAMERAS.items()
        ]
        return [*super()._observations(agent), *cameras]

    def _pictures(self, name: str, agent: OddAgent) -> bytes:
        _, height, width = CAMERAS[name]
        sources, pictures = _CHANNEL_MAPPINGS[name], []
        for first in range(0, len(sources), 3):
            rows = [
                bytes(pixel(agent, channel, row, column) for column in range(width) for channel in sources[first:][:3])
                for row in range(height)
            ]
            pictures.append(png(rows[1:] if self.broken == "wrong-picture-size" else rows))
        data = b"".join(pictures)
        return {"not-png": b"BM" + data, "truncated-png": data[: len(data) // 2]}.get(self.broken, data)


def pixel(agent: OddAgent, channel: int, row: int, column: int) -> int:
    """What a camera sees, 0 to 255."""
    return (agent.number * 50 + agent.age * 20 + channel * 100 + row * 7 + column) % 256


def png(rows: Sequence[bytes]) -> bytes:
    """A picture of 8-bit red, green and blue (PNG specification, section 5)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", len(rows[0]) // 3, len(rows), 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


ODDITIES: dict[str, type[OddScene]] = {
    "truncation": TruncationScene,
    "terminal-only": TerminalOnlyScene,
    "skipping": SkippingScene,
    "group-rewards": GroupScene,
    "late-behavior": LateScene,
    "variable-length": VariableLengthScene,
    "cameras": CamerasScene,
}
PICTURE_FAULTS = ("not-png", "truncated-png", "wrong-picture-size")
"""What the cameras may send at last."""
