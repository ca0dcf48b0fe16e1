"""What CloudWatch is told: a line of its embedded metric format on stdout, from which the log makes metrics.

The container needs neither network nor credentials for it. Values are samples: a metric of the format holds 100.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from random import random

NAMESPACE = "gamedojo/serving"
MAX_SAMPLES = 100
"""Of one metric in one line (CloudWatch, embedded metric format specification)."""

_UNITS = {
    "Requests": "Count",
    "Refused": "Count",
    "Failed": "Count",
    "Latency": "Milliseconds",
    "Agents": "Count",
    "BatchSize": "Count",
}


@dataclass
class _Samples:
    """A uniform sample of what was seen (reservoir sampling, Vitter's algorithm R)."""

    values: list[float] = field(default_factory=list)
    seen: int = 0

    def add(self, value: float) -> None:
        self.seen += 1
        if len(self.values) < MAX_SAMPLES:
            self.values.append(value)
        elif (index := int(random() * self.seen)) < MAX_SAMPLES:  # noqa: S311 - a sample of latencies
            self.values[index] = value


class Metrics:
    """Counts between two lines. Methods are called from one thread."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._begin()

    def _begin(self) -> None:
        self._requests = self._refused = self._failed = 0
        self._latency, self._agents, self._batches = _Samples(), _Samples(), _Samples()

    def answered(self, status: int, seconds: float) -> None:
        """One answer of `/invocations`, and how long it took from the whole request on."""
        self._requests += 1
        self._latency.add(round(seconds * 1e3, 3))
        if status >= 500:
            self._failed += 1
        elif status >= 400:
            self._refused += 1

    def inferred(self, requests: int, agents: int) -> None:
        """One call of a model: for how many requests, and for how many agents in all."""
        self._batches.add(requests)
        self._agents.add(agents)

    def line(self, policy: str, version: str) -> str | None:
        """What happened since the line before; None when nothing did.

        The policy is the metrics' dimension. The version is only told: each value of a dimension costs a metric more.
        """
        if not self._requests:
            return None
        values = {
            "Requests": self._requests,
            "Refused": self._refused,
            "Failed": self._failed,
            "Latency": self._latency.values,
            "Agents": self._agents.values,
            "BatchSize": self._batches.values,
        }
        told = {name: value for name, value in values.items() if value != []}
        self._begin()
        directive = {
            "Namespace": NAMESPACE,
            "Dimensions": [["Policy"]],
            "Metrics": [{"Name": name, "Unit": _UNITS[name]} for name in told],
        }
        aws = {"Timestamp": int(self._clock() * 1000), "CloudWatchMetrics": [directive]}
        return json.dumps({"_aws": aws, "Policy": policy, "Version": version, **told}, separators=(",", ":"))
