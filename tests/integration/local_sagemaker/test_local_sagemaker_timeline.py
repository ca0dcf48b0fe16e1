"""A job's phases in the double's own time, and what becomes of it when it is stopped in each of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.sagemaker_cloud import Cloud, service
from tests.fakes.waiting import wait_for

WHOLE = ["Starting", "Pending", "Downloading", "Downloading", "Training", "Uploading", "Completed"]
SLOW = {"starting_seconds": 60.0, "pending_seconds": 120.0, "image_download_seconds": 30.0}


@pytest.fixture(scope="module")
def slow(emulator_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A cloud whose instances take minutes; its clock stands still but for what the tests let pass."""
    folder = tmp_path_factory.mktemp("slow")
    with service(folder, emulator_url, timing=SLOW) as running:
        yield running


def lasted(described: dict[str, Any], secondary_status: str) -> float:
    """Seconds of the double."""
    return sum(
        (each["EndTime"] - each["StartTime"]).total_seconds()
        for each in described["SecondaryStatusTransitions"]
        if each["Status"] == secondary_status
    )


def test_phases_take_the_time_that_instances_take(emulator_url: str, tmp_path: Path):
    with service(tmp_path, emulator_url, timing=SLOW, time_scale=0.002) as quick:
        quick.train("phases")
        described = quick.ended("phases")
        assert [each["Status"] for each in described["SecondaryStatusTransitions"]] == WHOLE
        assert lasted(described, "Starting") >= 60
        assert lasted(described, "Pending") >= 120
        assert lasted(described, "Downloading") >= 30
        assert described["TrainingStartTime"] >= described["CreationTime"]
        ends = [each["EndTime"] for each in described["SecondaryStatusTransitions"]]
        starts = [each["StartTime"] for each in described["SecondaryStatusTransitions"]]
        assert ends[:-1] == starts[1:], "one phase begins as the other ends"
        assert (described["TrainingEndTime"] - described["CreationTime"]).total_seconds() >= 210


@pytest.mark.parametrize("phase", ["Starting", "Pending", "Downloading", "Training"])
def test_a_job_stopped_in_any_phase_is_stopped(slow: Cloud, phase: str):
    name = f"stopped-in-{phase}"
    slow.train(name, {"until": "/never", "on_term": "save"})
    for earlier, seconds in (("Starting", 60), ("Pending", 120), ("Downloading", 30)):
        if earlier == phase:
            break
        slow.in_phase(name, earlier)
        slow.admin("POST", "clock", {"advance_seconds": seconds})
    slow.in_phase(name, phase)
    slow.sagemaker.stop_training_job(TrainingJobName=name)
    described = slow.ended(name)
    assert (described["TrainingJobStatus"], described["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert slow.phases(name)[-2:] == ["Stopping", "Stopped"]
    assert "FailureReason" not in described


def test_28_days_are_over_in_a_moment(cloud: Cloud):
    seconds = 28 * 86_400
    cloud.train("long", {"until": "/never", "on_term": "save"}, StoppingCondition={"MaxRuntimeInSeconds": seconds})
    cloud.in_phase("long", "Training")
    cloud.admin("POST", "clock", {"advance_seconds": seconds - 60})
    assert cloud.described("long")["TrainingJobStatus"] == "InProgress"
    cloud.admin("POST", "clock", {"advance_seconds": 60})
    described = cloud.ended("long")
    assert (described["TrainingJobStatus"], described["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert described["TrainingTimeInSeconds"] >= seconds
    assert described["BillableTimeInSeconds"] == described["TrainingTimeInSeconds"]


def test_a_job_that_was_stopped_while_it_ends_is_stopped_once(cloud: Cloud):
    cloud.train("once", {"until": "/never", "on_term": "ignore"})
    cloud.in_phase("once", "Training")
    cloud.sagemaker.stop_training_job(TrainingJobName="once")
    cloud.sagemaker.stop_training_job(TrainingJobName="once")
    cloud.ended("once")
    assert cloud.phases("once").count("Stopping") == 1


def test_the_clock_does_not_go_back_with_the_next_service(emulator_url: str, tmp_path: Path):
    with service(tmp_path, emulator_url) as first:
        first.admin("POST", "clock", {"advance_seconds": 1e6})
        first.train("done")
        ended = first.ended("done")["TrainingEndTime"].timestamp()
    with service(tmp_path, emulator_url) as second:
        assert second.admin("GET", "clock")["now"] >= ended
        second.train("later")
        wait_for(lambda: second.ended("later")["CreationTime"].timestamp() >= ended, "the clock went on")
