"""How a training went, and what its evaluation found."""

from dataclasses import dataclass, field
from typing import Any

from gamedojo.models.runs import EvaluationWarning, Progress


@dataclass(frozen=True)
class TrainingWarning:
    """Something that is not well with a training: `code` is stable, `remedy` says what to do."""

    behavior: str
    code: str
    cause: str
    remedy: str = ""


@dataclass(frozen=True)
class BehaviorSeries:
    """What one behavior's training told: the i-th entry of every column is of the same iteration; None: not told."""

    behavior: str
    iterations: int = 0
    columns: dict[str, tuple[float | None, ...]] = field(default_factory=dict)
    warnings: tuple[TrainingWarning, ...] = ()

    def told(self, metric: str) -> tuple[float, ...]:
        """The values of one metric, without those that were not told."""
        return tuple(value for value in self.columns.get(metric, ()) if value is not None)

    def latest(self, metric: str) -> float | None:
        """The value that one metric was told last; None: never."""
        return next(reversed(self.told(metric)), None)


@dataclass(frozen=True)
class MetricsSeries:
    """The series of every metric, for each behavior of a run."""

    run_id: str
    status: str = ""
    progress: Progress = field(default_factory=Progress)
    behaviors: tuple[BehaviorSeries, ...] = ()
    document: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True)
class SuccessRate:
    """Share of the episodes whose return is at least `threshold`, with its 95 % interval."""

    threshold: float
    rate: float
    ci95_low: float
    ci95_high: float


@dataclass(frozen=True)
class PlayedEpisodes:
    """Episode returns of one behavior; the interval is the mean's 95 % confidence interval, lengths are decisions."""

    episodes: int
    mean_return: float
    std_return: float
    min_return: float
    max_return: float
    ci95_low: float
    ci95_high: float
    mean_length: float
    success: SuccessRate | None = None


@dataclass(frozen=True)
class BehaviorEvaluation:
    """One behavior, played with its likeliest actions and, where that was done, with sampled ones."""

    behavior: str
    deterministic: PlayedEpisodes
    stochastic: PlayedEpisodes | None = None


@dataclass(frozen=True)
class EvaluationReport:
    """What the evaluation job found; `document` has all of it: histograms, use of actions, comparison, teams."""

    run_id: str
    mean_return: float
    ci95_low: float
    ci95_high: float
    seed: int = 0
    behaviors: tuple[BehaviorEvaluation, ...] = ()
    warnings: tuple[EvaluationWarning, ...] = ()
    wall_time_seconds: float = 0.0
    document: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
