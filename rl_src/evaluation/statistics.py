"""Episode returns in figures."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

HISTOGRAM_BINS = 20
"""Of equal width, at most."""

ROUNDING = 1e-9
"""Of a return, or absolute: what summing thousands of rewards in float64 may add, and less than any game can mean."""


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
class Difference:
    """A difference of mean returns with its 95 % confidence interval."""

    mean: float
    ci95_low: float
    ci95_high: float


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


def difference(
    candidate: Sequence[ReturnStatistics], incumbent: Sequence[ReturnStatistics], opposed: Sequence[bool]
) -> Difference:
    """How much more the candidate earns: mean over the behaviors of the differences of the mean returns.

    The interval is Welch's, for unequal variances (Welch 1947): with m_b and w_b the means of behavior b, s_i^2 the
    sample variances of all 2 B samples and n_i their sizes,

        d ± t(0.975, f) √(Σ v_i),   d = Σ (m_b - w_b) / B,   v_i = s_i² / (n_i B²),
        f = (Σ v_i)² / Σ (v_i² / (n_i - 1))                  (Satterthwaite 1946)

    Episodes are not paired one by one: with several agents or builds they end in another order for every policy, and
    what an agent does changes what the game draws next. To take them as unpaired is the cautious choice, for common
    seeds can only make the two sums alike. Behaviors are taken as independent of one another.

    Where the two were opponents, what one wins the other loses, and their means are far from independent. There v_b is
    the largest variance that the difference can have, whatever the correlation, (s_m / √n_m + s_w / √n_w)² / B², with
    the smaller sample's degrees of freedom.

    A sample without spread (all returns equal, or one episode, as in `describe`) adds nothing to the interval; where no
    sample has any, the interval is the difference itself.

    Args:
        candidate: one for each behavior.
        incumbent: of the same behaviors, in the same order.
        opposed: of each behavior, whether the two played against each other.

    Raises:
        ValueError: no behavior, or not the same number.
    """
    if not candidate or not len(candidate) == len(incumbent) == len(opposed):
        raise ValueError(f"{len(candidate)} behaviors cannot be compared with {len(incumbent)}")
    behaviors = len(candidate)
    own, other = (float(np.mean([part.mean_return for part in side])) for side in (candidate, incumbent))
    # Equal rewards, added in another order, differ in the last digits: that is no difference.
    mean = 0.0 if math.isclose(own, other, rel_tol=ROUNDING, abs_tol=ROUNDING) else own - other
    parts = [part for pair in zip(candidate, incumbent, opposed, strict=True) for part in _uncertainty(*pair)]
    errors, freedoms = np.asarray([part for part in parts if part[0] > 0], np.float64).reshape(-1, 2).T
    variances = (errors / behaviors) ** 2
    total = float(variances.sum())
    if total == 0:
        return Difference(mean, mean, mean)
    freedom = 1 / float(np.sum((variances / total) ** 2 / freedoms))
    half = float(special.stdtrit(freedom, 0.975)) * math.sqrt(total)
    return Difference(mean, mean - half, mean + half)


def _uncertainty(own: ReturnStatistics, other: ReturnStatistics, opposed: bool) -> list[tuple[float, int]]:
    """Standard errors of what a difference is made of, and their degrees of freedom."""
    errors = [(part.std_return / math.sqrt(part.episodes), part.episodes - 1) for part in (own, other)]
    if not opposed:
        return errors
    return [(sum(error for error, _ in errors), min((freedom for error, freedom in errors if error > 0), default=1))]


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
