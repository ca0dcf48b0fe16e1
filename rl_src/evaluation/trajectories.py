"""What an agent saw and did, episode by episode, and the file that keeps it.

`<behavior>.trajectory.npz` holds no pickles. Of the e-th episode, with T decisions:

    episode<e>_observation<i>   [T + 1, *shape] of the i-th sensor, the last one after the last decision
    episode<e>_continuous       [T, continuous actions]
    episode<e>_discrete         [T, branches]
    episode<e>_rewards          [T], group rewards included; what came after the decision
    episode<e>_terminated       [T], True where the game ended it
    episode<e>_truncated        [T], True where Max Step did
    header                      JSON: sensors with names and shapes, episodes with agent, team, return and ending

A picture is kept as bytes, 0 to 255 for 0.0 to 1.0, where that loses nothing.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rl_src.envs.specs import BehaviorSpec
from rl_src.evaluation.episodes import Ending

FORMAT_VERSION = 1
BRIGHTEST = np.float32(255)

Floats = NDArray[np.float32]
Kept = NDArray[np.float32] | NDArray[np.uint8]


@dataclass
class Trajectory:
    """One agent's episode. `ending`: None while it runs, and of one that was not recorded to its end.

    `sketches`: what the build showed of itself: of how many decisions there had been, and what.
    """

    agent: int
    team: int
    observations: list[tuple[Kept, ...]] = field(default_factory=list)
    continuous: list[Floats] = field(default_factory=list)
    discrete: list[NDArray[np.int32]] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    sketches: list[tuple[int, bytes]] = field(default_factory=list)
    ending: Ending | None = None

    @property
    def length(self) -> int:
        """Decisions."""
        return len(self.discrete)

    @property
    def episode_return(self) -> float:
        """Undiscounted, of what was recorded."""
        return sum(self.rewards)

    def document(self) -> dict[str, Any]:
        """What is told of it, as `contracts.evaluation.ReplayedEpisode`."""
        ending = None if self.ending is None else str(self.ending)
        return {"length": self.length, "episode_return": self.episode_return, "team": self.team, "ending": ending}


def packed(observations: Sequence[Floats], row: int) -> tuple[Kept, ...]:
    """One agent's row of each sensor."""
    return tuple(_packed(sensor[row]) for sensor in observations)


def _packed(values: Floats) -> Kept:
    if values.ndim == 3:
        scaled: NDArray[np.uint8] = np.rint(np.clip(values, 0, 1) * BRIGHTEST).astype(np.uint8)
        if np.array_equal(scaled.astype(np.float32) / BRIGHTEST, values):
            return scaled
    return np.array(values, np.float32)


def unpacked(values: Kept) -> Floats:
    """As the policy saw it."""
    if values.dtype == np.uint8:
        return values.astype(np.float32) / BRIGHTEST
    return values.astype(np.float32, copy=False)


def write_trajectories(
    path: Path, spec: BehaviorSpec, episodes: Sequence[Trajectory], facts: Mapping[str, Any]
) -> None:
    """Write the file. `facts`: what else its header tells."""
    arrays: dict[str, NDArray[Any]] = {}
    for number, episode in enumerate(episodes):
        for index in range(len(spec.observations)):
            arrays[f"episode{number}_observation{index}"] = _together([seen[index] for seen in episode.observations])
        arrays[f"episode{number}_continuous"] = np.stack(episode.continuous)
        arrays[f"episode{number}_discrete"] = np.stack(episode.discrete)
        arrays[f"episode{number}_rewards"] = np.asarray(episode.rewards, np.float32)
        for ending in (Ending.TERMINATED, Ending.TRUNCATED):
            ends = np.zeros(episode.length, np.bool_)
            ends[-1] = episode.ending is ending
            arrays[f"episode{number}_{ending}"] = ends
    header = {
        "format_version": FORMAT_VERSION,
        **facts,
        "behavior": spec.behavior_name,
        "observations": [{"name": sensor.name, "shape": list(sensor.shape)} for sensor in spec.observations],
        "continuous_size": spec.actions.continuous_size,
        "discrete_branches": list(spec.actions.discrete_branches),
        "episodes": [{"agent": episode.agent, **episode.document()} for episode in episodes],
    }
    arrays["header"] = np.array(json.dumps(header))
    np.savez_compressed(path, allow_pickle=False, **arrays)


def _together(rows: Sequence[Kept]) -> Kept:
    """[T + 1, *shape]; as numbers unless all are bytes."""
    if all(row.dtype == np.uint8 for row in rows):
        return np.stack([row.astype(np.uint8, copy=False) for row in rows])
    return np.stack([unpacked(row) for row in rows])
