"""Percentiles of CloudWatch's metrics, which moto (5.2) lacks: it answers GetMetricData with an error of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from typing import Any
from unittest.mock import patch

from moto.cloudwatch.models import Statistics

_without = Statistics.get_statistics_for_type


def _with_percentiles(statistics: Statistics, stat: str) -> Any:
    if not stat.startswith("p"):
        return _without(statistics, stat)
    values = sorted(statistics.metric_single_values_list)
    return values[max(0, ceil(float(stat[1:]) / 100 * len(values)) - 1)]


@contextmanager
def moto_percentiles() -> Iterator[None]:
    """Within it, p50 and the like are of the values by their rank."""
    with patch.object(Statistics, "get_statistics_for_type", _with_percentiles):
        yield
