"""A run that learns is cancelled from the command line: its execution, its job and its processes end."""

from local.processes import JOB_FOLDER_VARIABLE, survivors
from tests.fakes.running_processes import environment_of


def jobs_of(cloud, run_id):
    """The environments of the processes of the run's jobs."""
    environments = [environment_of(process) for process in survivors(cloud.state_dir)]
    return [one for one in environments if JOB_FOLDER_VARIABLE in one and run_id in str(one)]


def test_a_run_that_learns_is_cancelled_with_all_its_processes(cloud, basic_zip):
    key = cloud.upload("Cancelled.zip", basic_zip)
    request = {"policy": "cancelled", "build": {"key": key}, "stop": {"env_steps": 1_000_000_000}}
    run_id = cloud.control("POST", "/training-runs", json=request).json()["run_id"]
    cloud.eventually(lambda: cloud.run(run_id)["progress"].get("env_steps"), "the job to learn", seconds=120)
    assert jobs_of(cloud, run_id)

    for _ in range(2):
        assert cloud.command("cancel", run_id).strip() == f"{run_id} is cancelled."

    def taken_back():
        return cloud.control("DELETE", f"/training-runs/{run_id}").status_code == 200

    cloud.eventually(taken_back, "the sweeper to take back what the run made", seconds=60)
    record = cloud.run(run_id)
    assert record["status"] == "CANCELLED"
    assert "failure" not in record
    job = cloud.sagemaker.describe_training_job(TrainingJobName=record["training_job"]["name"])
    assert job["TrainingJobStatus"] in {"Stopping", "Stopped"}
    execution = cloud.client("stepfunctions").describe_execution(executionArn=record["execution_arn"])
    assert execution["status"] == "ABORTED"
    cloud.eventually(lambda: not jobs_of(cloud, run_id), "the job's processes to end", seconds=120)
