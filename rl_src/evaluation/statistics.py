"""Episode returns in figures."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

HISTOGRAM_BINS = 20
"""Of equal width, at most."""


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


@dataclass(frozen=True)
class SuccessRate:
    """The share of episodes whose return is at least `threshold`, with its 95 % confidence interval."""

    threshold: float
    rate: float
    ci95_low: float
    ci95_high: float


@dataclass(frozen=True)
class Histogram:
    """`counts[i]` values lie from `edges[i]` to `edges[i + 1]`; the last bin holds its upper edge, too."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


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


def success_rate(returns: Sequence[float], threshold: float) -> SuccessRate:
    """Successes among the episodes, with the score interval (Wilson 1927).

    Unlike p ± z √(p (1 - p) / n) it stays within [0, 1], and says something where every episode succeeded, or none.

    Raises:
        ValueError: no episode.
    """
    if not returns:
        raise ValueError("no episode has ended")
    count = len(returns)
    rate = sum(value >= threshold for value in returns) / count
    z = float(special.ndtri(0.975))
    centre = (rate + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(rate * (1 - rate) / count + z * z / (4 * count * count))
    return SuccessRate(threshold, rate, max(0.0, centre - half), min(1.0, centre + half))


def histogram(values: Sequence[float], *, whole_numbers: bool = False) -> Histogram:
    """Bins of equal width from the least to the greatest value; one bin of width 1 around values that are all equal.

    `whole_numbers`: widths are whole, and the edges lie halfway between numbers, so that no number lies on an edge.

    Raises:
        ValueError: no value.
    """
    if not values:
        raise ValueError("there is nothing to count")
    low, high = float(min(values)), float(max(values))
    if whole_numbers:
        width = math.ceil((high - low + 1) / HISTOGRAM_BINS)
        bins = math.ceil((high - low + 1) / width)
        edges = low - 0.5 + width * np.arange(bins + 1)
    elif high > low and np.unique(np.linspace(low, high, HISTOGRAM_BINS + 1)).size == HISTOGRAM_BINS + 1:
        edges = np.linspace(low, high, HISTOGRAM_BINS + 1)
    else:  # one value, or values that float64 cannot tell apart in so many bins
        edges = np.asarray([low - 0.5, high + 0.5])
    counts, _ = np.histogram(np.asarray(values, np.float64), edges)
    return Histogram(tuple(edges.tolist()), tuple(counts.tolist()))
