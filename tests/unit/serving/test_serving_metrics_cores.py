"""What CloudWatch is told, and how many cores there are."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_src import cores
from rl_src.cores import quota_cores
from rl_src.serving import model
from rl_src.serving.artifact import ServedPolicy, load_artifact
from rl_src.serving.metrics import MAX_SAMPLES, Metrics
from tests.fakes.onnx_policies import write_artifact


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
    ("cpu_max", "quota_us", "period_us", "found"),
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
    cpu_max: str, quota_us: str, period_us: str, found: float | None
) -> None:
    assert quota_cores(cpu_max, quota_us, period_us) == found


@pytest.mark.parametrize(("quota", "most"), [("50000 100000", 1), ("100000 100000", 1), ("max 100000", 1024)])
def test_cores_are_those_of_the_quota_and_of_the_affinity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str, most: int
) -> None:
    (tmp_path / "cpu.max").write_text(f"{quota}\n")
    monkeypatch.setattr(cores, "_CGROUP_V2", tmp_path / "cpu.max")
    allowed = os.sched_getaffinity(0)
    assert cores.usable_cores() == min(len(allowed), most)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert cores.usable_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)


@pytest.mark.parametrize(("heavy_seconds", "cores_of_it", "of_a_call"), [(0.0, 3, 3), (0.0, 1, 1), (60.0, 3, 1)])
def test_threads_follow_the_cores_and_a_light_model_needs_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heavy_seconds: float, cores_of_it: int, of_a_call: int
) -> None:
    monkeypatch.setattr(model, "HEAVY_SECONDS", heavy_seconds)
    given: list[int] = []

    def load(folder: Path, threads: int = 1) -> ServedPolicy:
        given.append(threads)
        return load_artifact(folder, threads)

    monkeypatch.setattr(model, "load_artifact", load)
    folder = write_artifact(tmp_path, np.eye(3, dtype=np.float32))
    loaded = model.Model.load(folder, cores_of_it, Metrics(lambda: 0.0))
    assert given[-1] == of_a_call
    assert loaded._threads._max_workers == cores_of_it
