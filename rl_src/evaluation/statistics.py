"""Episode returns in figures."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special


@dataclass(frozen=True)
class ReturnStatistics:
    """Undiscounted returns of `episodes` episodes; the interval is the mean's 95 % confidence interval."""

    episodes: int
    mean_return: float
    std_return: float
    min_return: float
    max_return: float
    ci95_low: float
    ci95_high: float
    mean_length: float
    cut_off_episodes: int = 0


def describe(returns: Sequence[float], lengths: Sequence[int], cut_off_episodes: int = 0) -> ReturnStatistics:
    """Mean, sample standard deviation, and mean ± t(0.975, n - 1) s / √n (Student 1908).

    One episode has no spread to judge by: its interval is the return itself.

    Raises:
        ValueError: no episode.
    """
    if not returns:
        raise ValueError("no episode has ended")
    values = np.asarray(returns, np.float64)
    count, mean = len(values), float(np.mean(values))
    std = float(np.std(values, ddof=1)) if count > 1 else 0.0
    half = float(special.stdtrit(count - 1, 0.975)) * std / math.sqrt(count) if count > 1 else 0.0
    return ReturnStatistics(
        episodes=count,
        mean_return=mean,
        std_return=std,
        min_return=float(values.min()),
        max_return=float(values.max()),
        ci95_low=mean - half,
        ci95_high=mean + half,
        mean_length=float(np.mean(lengths)),
        cut_off_episodes=cut_off_episodes,
    )
