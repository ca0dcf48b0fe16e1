"""Which actions a policy takes: the share of every choice, and how continuous actions are spread."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_ACTIONS = 32
"""Branches and continuous actions that are told of, and `MAX_CHOICES` of each branch: the report stays small."""

MAX_CHOICES = 128
BINS = 20
"""Of equal width over [-1, 1], Unity's range of continuous actions."""


@dataclass
class ActionUse:
    """Counts of what one behavior's agents did."""

    branches: tuple[int, ...]
    continuous_size: int
    decisions: int = 0
    _chosen: list[NDArray[np.int64]] = field(default_factory=list)
    _spread: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, BINS), np.int64))

    def __post_init__(self) -> None:
        self._chosen = [np.zeros(size, np.int64) for size in self.branches[:MAX_ACTIONS]]
        self._spread = np.zeros((min(self.continuous_size, MAX_ACTIONS), BINS), np.int64)

    def add(self, continuous: NDArray[np.float32], discrete: NDArray[np.int64]) -> None:
        """Count the actions of one batch: continuous [N, continuous_size], discrete [N, branches]."""
        self.decisions += len(continuous)
        for branch, chosen in enumerate(self._chosen):
            self._chosen[branch] = chosen + np.bincount(discrete[:, branch], minlength=len(chosen))
        for index in range(len(self._spread)):
            # 1 itself belongs into the last bin, and so does what lies beyond: Unity clamps it.
            places = np.floor((continuous[:, index] + 1.0) * (BINS / 2)).astype(np.int64)
            self._spread[index] += np.bincount(np.clip(places, 0, BINS - 1), minlength=BINS)

    def document(self) -> dict[str, Any]:
        """Shares of all decisions, as `contracts.evaluation.ActionUse` describes them."""
        whole = max(1, self.decisions)
        return {
            "decisions": self.decisions,
            "discrete": [_shares(chosen[:MAX_CHOICES], whole) for chosen in self._chosen],
            "continuous": [_shares(spread, whole) for spread in self._spread],
        }


def together(parts: Iterable[ActionUse]) -> ActionUse:
    """What several builds counted of one behavior.

    Raises:
        ValueError: no part.
    """
    parts = list(parts)
    if not parts:
        raise ValueError("there is nothing to add up")
    whole = ActionUse(parts[0].branches, parts[0].continuous_size)
    for part in parts:
        whole.decisions += part.decisions
        whole._chosen = [chosen + more for chosen, more in zip(whole._chosen, part._chosen, strict=True)]
        whole._spread += part._spread
    return whole


def _shares(counts: NDArray[np.int64], whole: int) -> list[float]:
    return [round(count / whole, 6) for count in counts.tolist()]
