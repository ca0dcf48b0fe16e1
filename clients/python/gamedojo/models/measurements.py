"""How a training went, what its jobs printed, what its evaluation found, and how a policy is used."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gamedojo.models.runs import FINAL_STATUSES, EvaluationWarning, Progress


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
class LogLine:
    """One line that a job has printed. `job`: training or evaluation."""

    at: datetime
    job: str
    text: str


@dataclass(frozen=True)
class LogPage:
    """Lines of a run's log, oldest first; `next_token` asks for those that come later. `status`: the run's."""

    run_id: str
    status: str = ""
    lines: tuple[LogLine, ...] = ()
    next_token: str = ""
    document: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def is_last(self) -> bool:
        """Whether nothing will come any more."""
        return self.status in FINAL_STATUSES and not self.lines


@dataclass(frozen=True)
class TrafficSums:
    """Counts of a whole window."""

    invocations: int = 0
    errors_4xx: int = 0
    errors_5xx: int = 0


@dataclass(frozen=True)
class PolicyTraffic:
    """How often a policy's endpoint was asked, and how fast it was: the i-th entry of a column is of `starts[i]` on."""

    policy: str
    endpoint_name: str = ""
    window: str = ""
    period_seconds: int = 0
    starts: tuple[datetime, ...] = ()
    columns: dict[str, tuple[float | None, ...]] = field(default_factory=dict)
    total: TrafficSums = field(default_factory=TrafficSums)
    document: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def told(self, metric: str) -> tuple[float, ...]:
        """The values of one metric, without the periods in which nobody asked."""
        return tuple(value for value in self.columns.get(metric, ()) if value is not None)


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
