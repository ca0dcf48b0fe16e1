"""A batch on the device that learns from it: on a GPU, pictures are the bytes that the build sent."""

from collections.abc import Iterator, Sequence
from copy import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.env.utils.infinite_lookback_buffer import InfiniteLookbackBuffer

from rl_src.envs.specs import ObservationSpec
from rl_src.training.networks.normalization import BRIGHTEST

ROWS_AT_ONCE = 4096
"""Of a forward pass over a whole batch on a GPU, whose memory is smaller than the machine's."""


def joined(pieces: Sequence[Any], device: torch.device) -> torch.Tensor:
    """[L, ...] each, one behind the other: [N, ...]. To a GPU each goes alone: joined first, all are copied twice."""
    if device.type == "cpu":
        return torch.from_numpy(np.concatenate(pieces))
    first = torch.from_numpy(pieces[0][:0])
    whole = torch.empty((sum(map(len, pieces)), *first.shape[1:]), dtype=first.dtype, device=device)
    start = 0
    for piece in pieces:
        whole[start : start + len(piece)].copy_(torch.from_numpy(np.ascontiguousarray(piece)), non_blocking=True)
        start += len(piece)
    return whole


def sent(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    """The same on a device, without waiting until it is there: an ordinary copy waits for all that goes on there."""
    return values.to(device, non_blocking=True)


def portions(rows: int, device: torch.device) -> Iterator[slice]:
    """What a forward pass over so many rows takes at once: all, on the CPU."""
    step = max(1, rows) if device.type == "cpu" else ROWS_AT_ONCE
    return (slice(start, start + step) for start in range(0, rows, step))


def with_bytes(
    episodes: Sequence[SingleAgentEpisode], observations: Sequence[ObservationSpec]
) -> list[SingleAgentEpisode]:
    """The same episodes, with pictures as uint8 where that says the same: a quarter of the memory, and of the way.

    A sensor whose values are no whole bytes, such as averaged channels, stays as it is. The given ones are left alone.
    """
    found = {
        i: pieces
        for i, item in enumerate(observations)
        if item.is_image and (pieces := _all_as_bytes([episode.observations.data[i] for episode in episodes]))
    }
    if not found:
        return list(episodes)
    changed = []
    for number, episode in enumerate(episodes):
        own = copy(episode)
        sensors = enumerate(episode.observations.data)
        seen: Any = tuple(found[i][number] if i in found else old for i, old in sensors)
        own.observations = InfiniteLookbackBuffer(seen)
        changed.append(own)
    return changed


def _all_as_bytes(pieces: Sequence[NDArray[np.generic]]) -> list[NDArray[np.uint8]] | None:
    """None where one of them holds anything else."""
    found = []
    for piece in pieces:
        as_bytes = _as_bytes(piece)
        if as_bytes is None:
            return None
        found.append(as_bytes)
    return found


def _as_bytes(values: NDArray[np.generic]) -> NDArray[np.uint8] | None:
    """What `envs.agent_messages` made of bytes, undone exactly."""
    if values.dtype == np.uint8:
        return values.astype(np.uint8, copy=False)
    largest = np.float32(BRIGHTEST)
    whole = np.rint(np.asarray(values, dtype=np.float32) * largest)
    if not ((whole / largest == values) & (whole >= 0) & (whole <= largest)).all():
        return None
    as_bytes: NDArray[np.uint8] = whole.astype(np.uint8)
    return as_bytes
