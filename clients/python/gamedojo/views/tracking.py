"""What is known of one run: its latest record, and how its behaviors learn, from its series and its records."""

from dataclasses import dataclass, field

from gamedojo.models import BehaviorSeries, MetricsSeries, Run, TrainingWarning


@dataclass(frozen=True)
class Learning:
    """How one behavior learns: its mean returns so far, and the latest value of each metric. "": it has no name yet."""

    behavior: str
    returns: tuple[float, ...]
    latest: dict[str, float]


@dataclass
class TrackedRun:
    """A run that is shown. Records come more often than series, so the end of the curve is made of them."""

    run: Run
    _series: tuple[BehaviorSeries, ...] = ()
    _returns: list[tuple[int, float]] = field(default_factory=list)

    def take(self, run: Run) -> None:
        """The next record."""
        self.run = run
        progress = run.progress
        if progress.mean_return is None or progress.env_steps is None:
            return
        if not self._returns or progress.env_steps > self._returns[-1][0]:
            self._returns.append((progress.env_steps, progress.mean_return))

    def learn(self, series: MetricsSeries) -> None:
        """The series as it is now."""
        self._series = series.behaviors

    @property
    def warnings(self) -> tuple[TrainingWarning, ...]:
        """What is not well with the training."""
        return tuple(warning for behavior in self._series for warning in behavior.warnings)

    @property
    def env_steps_per_second(self) -> float | None:
        """Over the later half of what the series tells: one iteration may be three times as quick as the next."""
        if len(self._series) != 1:
            return None
        columns = self._series[0].columns
        pairs = zip(columns.get("wall_time_seconds", ()), columns.get("env_steps", ()), strict=False)
        told = [(seconds, steps) for seconds, steps in pairs if seconds is not None and steps is not None]
        if len(told) < 2:
            return None
        (began, before), (ended, after) = told[len(told) // 2 - 1], told[-1]
        return (after - before) / (ended - began) if ended > began and after > before else None

    def behaviors(self) -> tuple[Learning, ...]:
        """Each behavior; of one alone the records tell as well. Empty before anything was told."""
        if len(self._series) > 1:
            return tuple(Learning(one.behavior, one.told("mean_return"), _latest(one)) for one in self._series)
        series = self._series[0] if self._series else BehaviorSeries("")
        latest = _latest(series) | self._latest_of_record()
        if not latest:
            return ()
        since = series.latest("env_steps") or 0
        later = (value for env_steps, value in self._returns if env_steps > since)
        return (Learning(series.behavior, (*series.told("mean_return"), *later), latest),)

    def _latest_of_record(self) -> dict[str, float]:
        progress = self.run.progress
        names = ("env_steps", "mean_return", "episodes", "env_steps_per_second")
        told = {name: getattr(progress, name) for name in names}
        return {name: value for name, value in told.items() if value is not None}


def _latest(series: BehaviorSeries) -> dict[str, float]:
    values = {metric: series.latest(metric) for metric in series.columns}
    return {metric: value for metric, value in values.items() if value is not None}
