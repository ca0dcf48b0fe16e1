"""CloudWatch metrics: those that a job's MetricDefinitions find in its log, and those of endpoints."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from local.sagemaker.errors import ValidationError
from local.sagemaker.publishing import Publisher

TRAINING_NAMESPACE = "/aws/sagemaker/TrainingJobs"
"""Metrics of MetricDefinitions have one dimension, TrainingJobName (the SDK's TrainingJobAnalytics reads them so)."""
ENDPOINT_NAMESPACE = "AWS/SageMaker"
"""Dimensions EndpointName and VariantName; latencies in microseconds."""

_DATA_PER_CALL = 500
_VALUES_PER_DATUM = 150
"""PutMetricData: at most 1,000 data a call and 150 distinct values a datum."""


@dataclass(frozen=True)
class Measurement:
    """One value of one metric."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]
    value: float
    unit: str
    timestamp: float


class LogMetrics:
    """Finds the metrics of one job in its log: each definition's regex, whose first group is the number."""

    def __init__(self, definitions: Sequence[Mapping[str, str]]) -> None:
        """Raises ValidationError for a regex that is none."""
        self._patterns = []
        for definition in definitions:
            try:
                self._patterns.append((definition["Name"], re.compile(definition["Regex"])))
            except re.error as error:
                raise ValidationError(
                    f"The regex of metric {definition['Name']!r} is not valid: {error}: {definition['Regex']}"
                ) from error

    def find(self, line: str) -> Iterator[tuple[str, float]]:
        """Name and value of each metric in a line; what is no finite number is left out."""
        for name, pattern in self._patterns:
            for match in pattern.finditer(line):
                try:
                    value = float(match.group(1))
                except (ValueError, TypeError, IndexError):
                    continue
                if math.isfinite(value):
                    yield name, value


class Metrics:
    """Publishes measurements in the background."""

    def __init__(self, client: Any, *, interval_seconds: float) -> None:
        self._client = client
        self._publisher: Publisher[Measurement] = Publisher("metrics", self._send, interval_seconds=interval_seconds)

    def add(self, measurement: Measurement) -> None:
        """Add one; returns at once."""
        self._publisher.add(measurement)

    def flush(self, timeout_seconds: float) -> bool:
        """Publish what waits."""
        return self._publisher.flush(timeout_seconds)

    def close(self) -> None:
        """Publish what waits and end."""
        self._publisher.close()

    def _send(self, measurements: list[Measurement]) -> None:
        for namespace, data in _data(measurements).items():
            for start in range(0, len(data), _DATA_PER_CALL):
                self._client.put_metric_data(Namespace=namespace, MetricData=data[start : start + _DATA_PER_CALL])


def _data(measurements: list[Measurement]) -> dict[str, list[dict[str, Any]]]:
    """Measurements of one second become one datum with values and counts."""
    groups: dict[tuple[Any, ...], Counter[float]] = defaultdict(Counter)
    for each in measurements:
        groups[each.namespace, each.name, each.dimensions, each.unit, int(each.timestamp)][each.value] += 1
    data: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for (namespace, name, dimensions, unit, second), counts in groups.items():
        values = list(counts)
        for start in range(0, len(values), _VALUES_PER_DATUM):
            part = values[start : start + _VALUES_PER_DATUM]
            data[namespace].append(
                {
                    "MetricName": name,
                    "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions],
                    "Timestamp": datetime.fromtimestamp(second, UTC),
                    "Unit": unit,
                    "Values": part,
                    "Counts": [float(counts[value]) for value in part],
                }
            )
    return data
