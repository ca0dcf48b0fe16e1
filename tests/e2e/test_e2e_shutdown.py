"""The end, last by name: `down` in the middle of a training job leaves nothing behind."""

import tempfile
from pathlib import Path

from local.processes import JOB_FOLDER_VARIABLE, survivors


def test_down_in_the_middle_of_a_job_leaves_nothing(cloud, basic_zip):
    key = cloud.upload("Endless.zip", basic_zip)
    request = {"policy": "endless", "build": {"key": key}, "stop": {"env_steps": 1_000_000_000}}
    run_id = cloud.control("POST", "/training-runs", json=request).json()["run_id"]
    cloud.eventually(lambda: cloud.run(run_id)["progress"].get("env_steps"), "the job to learn", seconds=120)
    running = survivors(cloud.state_dir)
    assert [process for process in running if JOB_FOLDER_VARIABLE in process.environ()], "the job's own processes"

    assert "no process of it is left" in cloud.command("local", "down")

    assert survivors(cloud.state_dir) == []
    assert not [process for process in running if process.is_running()]
    ports = {cloud.connection[name].rpartition(":")[2] for name in ("endpoint_url", "sagemaker_url")}
    assert not [path for port in ports for path in Path(tempfile.gettempdir()).glob(f"ministack-*{port}*")]
    assert not (cloud.state_dir / "tmp").exists()
    assert "is down" in cloud.command("local", "status", exits=3)
    assert "No local cloud runs" in cloud.command("local", "down")
