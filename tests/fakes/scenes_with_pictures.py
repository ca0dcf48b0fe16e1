"""Plays a scene whose agents send pictures, masks or hybrid actions, without a process."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from sample_builds.player import messages
from sample_builds.player.scene import Scene, World
from tests.fakes.scenes_in_process import load_messages

FloatArray = npt.NDArray[np.float32]
Action = tuple[Sequence[float], Sequence[int]]
"""Continuous actions and choices of one agent."""

_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Report:
    """One agent in one message. `sensors`: ObservationProtos; `disallowed`: empty when there is no mask."""

    id: int
    reward: float
    done: bool
    interrupted: bool
    disallowed: tuple[bool, ...]
    sensors: tuple[Any, ...]
    observations: tuple[FloatArray, ...]


class PicturePlayer:
    """One scene of one behavior; `reset` and `step` return what it reports for one message, in order."""

    def __init__(
        self, scene: type[Scene], *arguments: str, seed: int = 0, parameters: Mapping[str, float] | None = None
    ) -> None:
        load_messages()
        self.world = World(seed=seed)
        for name, value in (parameters or {}).items():
            self.world.parameters[name] = lambda value=value: value  # type: ignore[misc]
        self.scene = scene(self.world, list(arguments))

    def reset(self) -> list[Report]:
        self.world.infos.clear()
        self.scene.reset()
        return self.message()

    def step(self, actions: Sequence[Action]) -> list[Report]:
        (name,) = self.world.behaviors
        protos = [
            SimpleNamespace(continuous_actions=[float(value) for value in continuous], discrete_actions=list(discrete))
            for continuous, discrete in actions
        ]
        self.scene.step({name: protos})
        return self.message()

    def message(self) -> list[Report]:
        """What the world has to tell."""
        (infos,) = self.world.infos.values()
        reports = [_report(info) for info in infos]
        infos.clear()
        self.world.infos.clear()
        return reports


def _report(serialized: bytes) -> Report:
    info = messages.message_class("AgentInfoProto").FromString(serialized)
    return Report(
        info.id,
        info.reward,
        info.done,
        info.max_step_reached,
        tuple(info.action_mask),
        tuple(info.observations),
        tuple(_values(proto) for proto in info.observations),
    )


def _values(proto: Any) -> FloatArray:
    if not proto.compressed_data:
        return np.array(proto.float_data.data, np.float32).reshape(tuple(proto.shape))
    pictures = [Image.open(io.BytesIO(_PNG + data)) for data in proto.compressed_data.split(_PNG)[1:]]
    assert {picture.mode for picture in pictures} == {"RGB"}
    planes = np.concatenate([np.asarray(picture).transpose(2, 0, 1) for picture in pictures])
    assert planes.shape == tuple(proto.shape)
    return (planes / 255).astype(np.float32)
