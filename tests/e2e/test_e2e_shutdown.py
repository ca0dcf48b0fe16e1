"""The end, last by name: `down` in the middle of a training job leaves nothing behind."""

import tempfile
from pathlib import Path

import psutil

from local.processes import JOB_FOLDER_VARIABLE, survivors

SCRATCH = ("TMPDIR", "HOME", JOB_FOLDER_VARIABLE)
"""Variables that name folders which are made for a process and go with it."""


def test_down_in_the_middle_of_a_job_leaves_nothing(cloud, basic_zip):
    key = cloud.upload("Endless.zip", basic_zip)
    request = {"policy": "endless", "build": {"key": key}, "stop": {"env_steps": 1_000_000_000}}
    run_id = cloud.control("POST", "/training-runs", json=request).json()["run_id"]
    cloud.eventually(lambda: cloud.run(run_id)["progress"].get("env_steps"), "the job to learn", seconds=120)
    running = survivors(cloud.state_dir)
    environments = [process.environ() for process in running]
    assert [environment for environment in environments if JOB_FOLDER_VARIABLE in environment], "the job's processes"
    scratch = {Path(environment[name]) for environment in environments for name in SCRATCH if name in environment}

    assert "no process of it is left" in cloud.command("local", "down")

    assert survivors(cloud.state_dir) == []
    # a zombie has ended: it waits for the machine's first process to collect it
    assert not [process for process in running if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    ports = {cloud.connection[name].rpartition(":")[2] for name in ("endpoint_url", "sagemaker_url")}
    assert not [path for port in ports for path in Path(tempfile.gettempdir()).glob(f"ministack-*{port}*")]
    assert [folder for folder in scratch if folder.exists() and folder != cloud.state_dir / "home"] == []
    assert "is down" in cloud.command("local", "status", exits=3)
    assert "No local cloud runs" in cloud.command("local", "down")
