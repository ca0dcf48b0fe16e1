"""Plays a sample build's scene without a process: what the player's loop does, between a World and a test."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from sample_builds.descriptors import packed_descriptors
from sample_builds.player import messages
from sample_builds.player.scene import Scene, World

FloatArray = npt.NDArray[np.float32]


def load_messages() -> None:
    """A packed build finds the protocol's messages beside its code; here they are read from where the packer does."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "messages.binpb")
        path.write_bytes(packed_descriptors())
        original, messages.DESCRIPTORS_FILE = messages.DESCRIPTORS_FILE, str(path)
        try:
            messages.message_class("AgentInfoProto")
        finally:
            messages.DESCRIPTORS_FILE = original


@dataclass(frozen=True)
class Report:
    """One agent in one message."""

    behavior: str
    id: int
    reward: float
    done: bool
    interrupted: bool
    group_id: int
    group_reward: float
    observations: tuple[FloatArray, ...]
    sensors: tuple[str, ...]


class ScenePlayer:
    """One scene; `reset` and `step` return what it reports for one message, in order."""

    def __init__(
        self,
        scene: type[Scene],
        *arguments: str,
        seed: int = 0,
        parameters: Mapping[str, float] | None = None,
    ) -> None:
        load_messages()
        self.world = World(seed=seed)
        for name, value in (parameters or {}).items():
            self.set_parameter(name, value)
        self.scene = scene(self.world, list(arguments))

    def set_parameter(self, name: str, value: float) -> None:
        self.world.parameters[name] = lambda: value

    def reset(self) -> list[Report]:
        self.world.infos.clear()
        self.scene.reset()
        return self._message()

    def step(self, actions: Mapping[str, Sequence[Sequence[int]]]) -> list[Report]:
        """`actions`: choices of each agent that waits, by behavior."""
        self.scene.step(
            {name: [SimpleNamespace(discrete_actions=own) for own in rows] for name, rows in actions.items()}
        )
        while not self.world.infos:
            self.scene.step({})
        return self._message()

    def _message(self) -> list[Report]:
        reports = [_report(name, info) for name, infos in self.world.infos.items() for info in infos]
        self.world.infos.clear()
        return reports


def _report(behavior: str, serialized: bytes) -> Report:
    info: Any = messages.message_class("AgentInfoProto").FromString(serialized)
    observations = tuple(np.array(proto.float_data.data, np.float32) for proto in info.observations)
    assert [tuple(proto.shape) for proto in info.observations] == [values.shape for values in observations]
    return Report(
        behavior,
        info.id,
        info.reward,
        info.done,
        info.max_step_reached,
        info.group_id,
        info.group_reward,
        observations,
        tuple(proto.name for proto in info.observations),
    )
