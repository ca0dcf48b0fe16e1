"""The end, last by name: `down` leaves nothing running, and loses nothing."""

import json
import tempfile
from pathlib import Path

from local.processes import JOB_FOLDER_VARIABLE, survivors
from tests.fakes.running_processes import environment_of, is_there

SCRATCH = ("TMPDIR", "HOME", JOB_FOLDER_VARIABLE)
"""Variables that name folders which are made for a process and go with it."""


def test_down_in_the_middle_of_a_job_leaves_nothing(cloud, dropped, basic_zip):
    assert cloud.finished(cloud.first_run("basic"))["status"] == "SUCCEEDED"
    key = cloud.upload("Endless.zip", basic_zip)
    request = {"policy": "endless", "build": {"key": key}, "stop": {"env_steps": 1_000_000_000}}
    run_id = cloud.control("POST", "/training-runs", json=request).json()["run_id"]
    cloud.eventually(lambda: cloud.run(run_id)["progress"].get("env_steps"), "the job to learn", seconds=120)
    running = survivors(cloud.state_dir)
    environments = [environment_of(process) for process in running]
    assert [environment for environment in environments if JOB_FOLDER_VARIABLE in environment], "the job's processes"
    scratch = {Path(environment[name]) for environment in environments for name in SCRATCH if name in environment}

    assert "no process of it is left" in cloud.command("local", "down")

    assert survivors(cloud.state_dir) == []
    # a zombie has ended: it waits for the machine's first process to collect it
    assert not [process for process in running if is_there(process)]
    ports = {cloud.connection[name].rpartition(":")[2] for name in ("endpoint_url", "sagemaker_url")}
    assert not [path for port in ports for path in Path(tempfile.gettempdir()).glob(f"ministack-*{port}*")]
    assert [folder for folder in scratch if folder.exists() and folder != cloud.state_dir / "home"] == []
    assert "is down" in cloud.command("local", "status", exits=3)
    assert "No local cloud runs" in cloud.command("local", "down")


def test_what_was_learned_outlives_the_cloud(cloud):
    if survivors(cloud.state_dir):
        cloud.command("local", "down")
    said = cloud.command("local", "up", "--detach")
    assert "packed already" in said
    assert "deployed already" in said
    assert json.loads((cloud.state_dir / "connection.json").read_text()) == cloud.connection
    assert cloud.run(cloud.first_run("basic"))["status"] == "SUCCEEDED"

    def answer() -> dict | None:
        answer = cloud.predict("basic", json={"observations": [[1.0 if cell == 10 else 0.0 for cell in range(20)]]})
        return answer.json() if answer.status_code == 200 else None

    assert cloud.eventually(answer, "the endpoint to serve again", seconds=60)["action"]["discrete"] == [2]


def test_the_run_that_the_end_cut_short_has_ended_too(cloud):
    run = cloud.finished(cloud.first_run("endless"), seconds=120)
    assert (run["status"], run["failure"]["code"]) == ("FAILED", "ExecutionEnded"), run
