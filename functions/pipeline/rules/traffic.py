"""How an endpoint's traffic is told: periods that a chart can show, and CloudWatch's numbers in them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from pipeline.contracts.api import PolicyTraffic, TrafficSums, TrafficWindow

_WINDOWS: dict[TrafficWindow, tuple[timedelta, int]] = {
    "1h": (timedelta(hours=1), 60),
    "24h": (timedelta(hours=24), 900),
    "7d": (timedelta(days=7), 7200),
}
"""Its length, and seconds of a period: some 60 to 100 of them."""

_MILLISECOND = 1000.0
"""SageMaker tells latencies in microseconds."""


class Statistic(NamedTuple):
    """Of one of the endpoint's metrics."""

    metric: str
    statistic: str


COUNTS = {
    "invocations": Statistic("Invocations", "Sum"),
    "errors_4xx": Statistic("Invocation4XXErrors", "Sum"),
    "errors_5xx": Statistic("Invocation5XXErrors", "Sum"),
}
LATENCIES = {
    "latency_ms_mean": Statistic("ModelLatency", "Average"),
    "latency_ms_p50": Statistic("ModelLatency", "p50"),
    "latency_ms_p99": Statistic("ModelLatency", "p99"),
}
STATISTICS = COUNTS | LATENCIES
"""By column."""

Points = Mapping[str, Mapping[datetime, float]]
"""By column, then by the beginning of a period."""


class Periods(NamedTuple):
    """Of equal length, the last one with the present in it."""

    seconds: int
    starts: tuple[datetime, ...]

    @property
    def end(self) -> datetime:
        """Of the last period."""
        return self.starts[-1] + timedelta(seconds=self.seconds)


def periods(window: TrafficWindow, now: datetime) -> Periods:
    """Those of a window, on whole multiples of their length since 1970, as CloudWatch keeps them."""
    length, seconds = _WINDOWS[window]
    last = int(now.timestamp()) // seconds * seconds
    count = int(length.total_seconds()) // seconds
    return Periods(
        seconds, tuple(datetime.fromtimestamp(last - seconds * back, UTC) for back in reversed(range(count)))
    )


def told(policy: str, endpoint: str, window: TrafficWindow, chosen: Periods, points: Points) -> PolicyTraffic:
    """CloudWatch's numbers in the periods: where it has none, nobody asked."""
    columns: dict[str, tuple[float | None, ...]] = {}
    for column in STATISTICS:
        values = [points.get(column, {}).get(start) for start in chosen.starts]
        columns[column] = tuple(_counts(values)) if column in COUNTS else tuple(_milliseconds(values))
    return PolicyTraffic(
        policy=policy,
        endpoint_name=endpoint,
        window=window,
        period_seconds=chosen.seconds,
        starts=chosen.starts,
        columns=columns,
        total=TrafficSums(**{column: int(sum(value or 0 for value in columns[column])) for column in COUNTS}),
    )


def _counts(values: Sequence[float | None]) -> list[float]:
    return [value or 0 for value in values]


def _milliseconds(values: Sequence[float | None]) -> list[float | None]:
    return [None if value is None else round(value / _MILLISECOND, 3) for value in values]
