"""A policy for WallJump written by hand, from what an agent observes; it never turns, and steps sideways instead."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import radians, sin
from typing import Protocol

import numpy as np
import numpy.typing as npt

_RAYS = (0, 30, -30, 60, -60, 90, -90)
"""Degrees clockwise from straight ahead."""
_BLOCK_TAG, _RAY_LENGTH, _SCALE = 2, 20.0, 20.0
_AT_THE_WALL = -4.5
"""Just before the agent's z when the block that it pushes has reached the wall."""
_LEFT, _RIGHT = (0, 0, 1, 0), (0, 0, 2, 0)
_FORWARD, _JUMP = (1, 0, 0, 0), (1, 0, 0, 1)


class Seen(Protocol):
    """What the script needs of an agent that waits."""

    @property
    def behavior(self) -> str: ...
    @property
    def id(self) -> int: ...
    @property
    def observations(self) -> Sequence[npt.NDArray[np.float32]]: ...


@dataclass
class _Memory:
    edges: list[float]
    pushing: bool = False


class WallJumpScript:
    """Low walls: run and jump. High ones: find the block, get behind it, push it to the wall, jump twice."""

    def __init__(self) -> None:
        self._memories: dict[int, _Memory] = {}

    def __call__(self, seen: Seen) -> tuple[int, ...]:
        x, _, z, _ = (float(value) * _SCALE for value in seen.observations[2])
        if seen.behavior.startswith("Small"):
            return _JUMP if _AT_THE_WALL < z < 1.0 else _FORWARD
        memory = self._memories.setdefault(seen.id, _Memory([]))
        if memory.pushing:
            return _FORWARD if z < _AT_THE_WALL or z > 1.0 else _JUMP
        memory.edges += self._block_sightings(x, seen.observations[1].reshape(len(_RAYS), -1))
        if not memory.edges:
            return _LEFT if x > 0 else _RIGHT
        middle = (min(memory.edges) + max(memory.edges)) / 2
        if abs(x - middle) < 0.8:
            memory.pushing = True
            return _FORWARD
        return _LEFT if x > middle else _RIGHT

    @staticmethod
    def _block_sightings(x: float, rays: npt.NDArray[np.float32]) -> list[float]:
        """Where, along x, rays hit the block."""
        hits = zip(_RAYS, rays, strict=True)
        return [x + float(ray[-1]) * _RAY_LENGTH * sin(radians(angle)) for angle, ray in hits if ray[_BLOCK_TAG]]
