"""Which weights are kept: the best, not the last.

A policy in training is judged by the episodes that it plays for training: free of cost, but noisy. So a policy counts
only with enough episodes behind it, and of equals the later one is kept, which has learned more.
"""

import statistics
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rl_src.training.sampling.trajectories import FinishedEpisode

Weights = dict[str, NDArray[Any]]

EPISODES_TO_JUDGE = 20
"""Fewer episodes say little: the mean's standard error is above a fifth of the returns' deviation."""


@dataclass(frozen=True)
class Best:
    """The weights that played best so far."""

    weights: Weights
    mean_return: float
    iteration: int


class BestPolicy:
    """Keeps the best weights."""

    def __init__(self, best: Best | None = None) -> None:
        self.best = best
        self._recent: deque[list[float]] = deque()

    def judge(self, episodes: Sequence[FinishedEpisode], weights: Weights, iteration: int) -> bool:
        """Consider the weights that `episodes` were played with; true when they are the best so far.

        Where an iteration ends fewer than `EPISODES_TO_JUDGE` episodes, the previous iterations' count too: as many
        as are needed.
        """
        self._recent.append([item.episode_return for item in episodes])
        while sum(map(len, self._recent)) - len(self._recent[0]) >= EPISODES_TO_JUDGE:
            self._recent.popleft()
        returns = [value for iteration_returns in self._recent for value in iteration_returns]
        if len(returns) < EPISODES_TO_JUDGE:
            return False
        mean = statistics.fmean(returns)
        if self.best is not None and mean < self.best.mean_return:
            return False
        self.best = Best({name: np.array(value) for name, value in weights.items()}, mean, iteration)
        return True
