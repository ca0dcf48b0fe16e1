"""What CloudWatch is told, and how many cores there are."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_src.serving.cores import quota_cores, usable_cores
from rl_src.serving.metrics import MAX_SAMPLES, Metrics


@given(st.lists(st.tuples(st.sampled_from([200, 400, 413, 500, 503]), st.floats(0, 60)), max_size=400))
def test_counts_are_exact_and_samples_bounded(answers: list[tuple[int, float]]) -> None:
    metrics = Metrics(lambda: 1_700_000_000.5)
    for status, seconds in answers:
        metrics.answered(status, seconds)
    line = metrics.line("p", "v")
    if not answers:
        assert line is None
        return
    document = json.loads(line or "")
    assert document["_aws"]["Timestamp"] == 1_700_000_000_500
    assert document["Requests"] == len(answers)
    assert document["Refused"] == sum(400 <= status < 500 for status, _ in answers)
    assert document["Failed"] == sum(status >= 500 for status, _ in answers)
    assert len(document["Latency"]) == min(len(answers), MAX_SAMPLES)
    assert set(document["Latency"]) <= {round(seconds * 1e3, 3) for _, seconds in answers}
    assert "Agents" not in document  # nothing was inferred
    assert metrics.line("p", "v") is None  # told once


def test_every_metric_has_its_unit() -> None:
    metrics = Metrics(lambda: 0.0)
    metrics.inferred(2, 3)
    metrics.answered(200, 0.001)
    (directive,) = json.loads(metrics.line("p", "v") or "")["_aws"]["CloudWatchMetrics"]
    assert {metric["Name"]: metric["Unit"] for metric in directive["Metrics"]} == {
        "Requests": "Count",
        "Refused": "Count",
        "Failed": "Count",
        "Latency": "Milliseconds",
        "Agents": "Count",
        "BatchSize": "Count",
    }


@pytest.mark.parametrize(
    ("cpu_max", "quota_us", "period_us", "cores"),
    [
        ("max 100000\n", "", "", None),
        ("150000 100000\n", "", "", 1.5),
        ("50000 100000\n", "", "", 0.5),
        ("", "200000\n", "100000\n", 2.0),
        ("", "-1\n", "100000\n", None),
        ("", "", "", None),
        ("nonsense", "", "", None),
    ],
)
def test_a_quota_is_read_from_both_kinds_of_control_groups(
    cpu_max: str, quota_us: str, period_us: str, cores: float | None
) -> None:
    assert quota_cores(cpu_max, quota_us, period_us) == cores


def test_there_is_a_core() -> None:
    assert usable_cores() >= 1
