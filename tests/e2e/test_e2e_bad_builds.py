"""Bad builds: the run fails, its record says why and what to do, nothing is left running."""

import re

import psutil
import pytest

from local.processes import survivors
from tests.fakes.running_processes import environment_of, words_of


@pytest.mark.parametrize(
    ("policy", "code", "cause", "state"),
    [
        ("no-zip", "BuildRejected", "zip", "InspectBuild"),
        ("no-executable", "BuildRejected", "executable|program", "InspectBuild"),
        ("bad-options", "InvalidRequest", "learning_rate", "InspectBuild"),
        ("dies", "BuildCrashed", "crash|ended|exit", "CheckTraining"),
        ("never-connects", "BuildNeverConnected", "connect", "CheckTraining"),
    ],
)
def test_the_record_says_what_is_wrong_and_what_to_do(cloud, dropped, policy: str, code: str, cause: str, state: str):
    run = cloud.finished(cloud.first_run(policy))
    assert run["status"] == "FAILED"
    failure = run["failure"]
    assert failure["code"] == code, failure
    assert failure["state"] == state
    assert re.search(cause, failure["cause"], re.IGNORECASE), failure
    assert len(failure["remedy"]) > 20
    assert "Traceback" not in failure["cause"]
    assert "endpoint" not in run
    assert run["history"][-1]["state"] == "FinishRun"


@pytest.mark.parametrize("policy", ["no-zip", "no-executable", "bad-options"])
def test_nothing_is_paid_for_a_build_that_cannot_be_trained_on(cloud, dropped, policy: str):
    run = cloud.finished(cloud.first_run(policy))
    assert "training_job" not in run


@pytest.mark.parametrize("policy", ["dies", "never-connects"])
def test_the_log_says_it_too_and_nothing_is_left_running(cloud, dropped, policy: str):
    run = cloud.finished(cloud.first_run(policy))
    job = cloud.sagemaker.describe_training_job(TrainingJobName=run["training_job"]["name"])
    assert job["TrainingJobStatus"] == "Failed"
    assert run["failure"]["cause"] in job["FailureReason"]
    assert run["failure"]["cause"] in cloud.log_text("/aws/sagemaker/TrainingJobs", run["training_job"]["name"])
    assert not [process for process in survivors(cloud.state_dir) if run["training_job"]["name"] in _words(process)]


def test_a_failed_run_does_not_make_a_policy(cloud, dropped):
    cloud.finished(cloud.first_run("no-zip"))
    answer = cloud.control("GET", "/policies/no-zip")
    assert answer.status_code == 404
    assert answer.json()["code"] == "PolicyNotFound"


def _words(process: psutil.Process) -> str:
    return " ".join([*words_of(process), *environment_of(process).values()])
