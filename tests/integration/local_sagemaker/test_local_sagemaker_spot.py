"""Spot: instances taken away and found again, checkpoints in between, waiting that has an end, what is billed."""

from pathlib import Path

import pytest

from tests.fakes.sagemaker_cloud import BUCKET, Cloud, service
from tests.fakes.waiting import wait_for

SPOT = {
    "EnableManagedSpotTraining": True,
    "StoppingCondition": {"MaxRuntimeInSeconds": 1000, "MaxWaitTimeInSeconds": 5000},
}


@pytest.fixture(autouse=True)
def no_plan_stays(cloud: Cloud):
    yield
    cloud.plan()


def checkpoint_config(name: str) -> dict:
    return {"S3Uri": f"s3://{BUCKET}/checkpoints/{name}", "LocalPath": "/opt/ml/checkpoints"}


def test_an_interrupted_job_goes_on_from_its_checkpoint(cloud: Cloud):
    name = "spot-resumes"
    cloud.train(name, {"resume": "1"}, CheckpointConfig=checkpoint_config(name), **SPOT)
    wait_for(lambda: cloud.keys(f"checkpoints/{name}"), "the checkpoint is in S3")
    cloud.plan({"kind": "spot_interruption", "resource": name, "after_seconds": 100})
    cloud.admin("POST", "clock", {"advance_seconds": 100})
    described = cloud.ended(name)
    assert described["TrainingJobStatus"] == "Completed"
    assert cloud.phases(name) == [
        *("Starting", "Pending", "Downloading", "Training", "Interrupted"),
        *("Starting", "Pending", "Downloading", "Training", "Uploading", "Completed"),
    ]
    assert cloud.artifact(name)["resumed"] == b"from the first instance"
    assert described["EnableManagedSpotTraining"] is True
    assert 100 <= described["TrainingTimeInSeconds"] < 200
    assert described["BillableTimeInSeconds"] == pytest.approx(0.3 * described["TrainingTimeInSeconds"], abs=1)


def test_sigterm_comes_first_and_an_end_in_order_is_no_end_of_the_job(cloud: Cloud):
    name = "spot-saves"
    cloud.train(name, {"on_term": "save", "until": "/never", "print": "begun"}, **SPOT)
    wait_for(lambda: "begun" in cloud.log_lines("/aws/sagemaker/TrainingJobs", name), "the job has begun")
    cloud.plan({"kind": "spot_interruption", "resource": name})
    wait_for(lambda: "Interrupted" in cloud.phases(name), "it gets there")
    cloud.in_phase(name, "Training")
    # Lines are shipped in the background, and flushed only when a job has ended
    wait_for(lambda: "got SIGTERM" in cloud.log_lines("/aws/sagemaker/TrainingJobs", name), "its first log is there")
    cloud.sagemaker.stop_training_job(TrainingJobName=name)
    assert cloud.ended(name)["TrainingJobStatus"] == "Stopped"


def test_a_job_that_is_no_spot_job_keeps_its_instances(cloud: Cloud, tmp_path: Path):
    go_on = tmp_path / "go on"
    cloud.plan({"kind": "spot_interruption", "resource": "on-demand", "times": None})
    cloud.train("on-demand", {"until": str(go_on)})
    cloud.in_phase("on-demand", "Training")
    go_on.touch()
    assert cloud.ended("on-demand")["TrainingJobStatus"] == "Completed"
    assert cloud.happened() == [0]


def test_a_spot_job_waits_for_capacity_until_there_is_some(emulator_url: str, tmp_path: Path):
    with service(tmp_path, emulator_url, time_scale=0.005) as own:
        own.plan({"kind": "capacity_error", "resource": "spot-waits", "times": 3})
        own.train("spot-waits", **SPOT)
        described = own.ended("spot-waits")
        assert described["TrainingJobStatus"] == "Completed"
        pending = described["SecondaryStatusTransitions"][1]
        assert (pending["EndTime"] - pending["StartTime"]).total_seconds() >= 3 * 60


def test_it_does_not_wait_for_ever(cloud: Cloud):
    cloud.plan({"kind": "capacity_error", "resource": "spot-in-vain", "times": None})
    cloud.train("spot-in-vain", **SPOT)
    cloud.in_phase("spot-in-vain", "Pending")
    cloud.admin("POST", "clock", {"advance_seconds": 5000})
    described = cloud.ended("spot-in-vain")
    assert (described["TrainingJobStatus"], described["SecondaryStatus"]) == ("Stopped", "MaxWaitTimeExceeded")
    assert "TrainingTimeInSeconds" not in described, "it never trained, so it costs nothing"


def test_the_time_of_all_instances_counts_for_its_maximum(cloud: Cloud):
    name = "spot-too-long"
    cloud.train(name, {"until": "/never"}, **SPOT)
    cloud.in_phase(name, "Training")
    cloud.plan({"kind": "spot_interruption", "resource": name, "after_seconds": 600})
    cloud.admin("POST", "clock", {"advance_seconds": 600})
    wait_for(lambda: cloud.phases(name).count("Training") == 2, "it gets there")
    cloud.admin("POST", "clock", {"advance_seconds": 401})
    described = cloud.ended(name)
    assert (described["TrainingJobStatus"], described["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert 1000 <= described["TrainingTimeInSeconds"] < 1100


def test_the_end_of_the_service_is_an_interruption(emulator_url: str, tmp_path: Path):
    name = "spot-survives"
    with service(tmp_path, emulator_url) as first:
        first.train(name, {"resume": "1"}, CheckpointConfig=checkpoint_config(name), **SPOT)
        first.in_phase(name, "Training")
        wait_for(lambda: first.keys(f"checkpoints/{name}"), "it gets there")
    with service(tmp_path, emulator_url) as second:
        assert second.ended(name)["TrainingJobStatus"] == "Completed"
        assert "Interrupted" in second.phases(name)
        assert second.artifact(name)["resumed"] == b"from the first instance"
