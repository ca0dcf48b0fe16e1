"""The main job: a build goes in, an evaluated policy comes out behind an endpoint."""

import json
from typing import Any

import httpx
import pytest

from local.processes import survivors
from tests.fakes.run_documents import CHAIN
from tests.fakes.running_processes import environment_of

CELLS, START, LARGE_GOAL = 20, 10, 17


def one_hot(cell: int) -> list[float]:
    return [1.0 if index == cell else 0.0 for index in range(CELLS)]


@pytest.fixture(scope="module")
def first(cloud, dropped) -> dict[str, Any]:
    """The run of the dropped Basic.zip."""
    return cloud.finished(cloud.first_run("basic"))


@pytest.fixture(scope="module")
def second(cloud, first, basic_zip) -> dict[str, Any]:
    """The same policy again, asked for by the API with other options."""
    key = cloud.upload("Basic.zip", basic_zip)
    request = {
        "policy": "basic",
        "build": {"key": key},
        "seed": 1,
        "hyperparameters": {"lr": 0.001},
        "evaluation": {"promote_if": "not_worse"},
    }
    answer = cloud.control("POST", "/training-runs", json=request)
    assert answer.status_code == 202, answer.text
    again = cloud.control("POST", "/training-runs", json=request)
    assert again.json()["run_id"] == answer.json()["run_id"], "the same request again is the same run"
    return cloud.finished(answer.json()["run_id"])


def test_a_dropped_build_becomes_a_served_policy(cloud, first):
    assert first["status"] == "SUCCEEDED", first
    assert first["source_key"] == "builds/Basic.zip"
    assert first["evaluation"]["mean_return"] >= 0.90
    assert first["promotion"]["promote"] is True
    assert first["progress"]["env_steps"] > 0
    endpoint = cloud.sagemaker.describe_endpoint(EndpointName=first["endpoint"]["name"])
    assert endpoint["EndpointStatus"] == "InService"


def test_every_state_of_the_machine_was_entered(first):
    entered = {entry["state"] for entry in first["history"]}
    assert entered >= set(CHAIN)


def test_what_the_run_leaves_can_be_fetched(cloud, first):
    artifacts = cloud.control("GET", f"/training-runs/{first['run_id']}/artifacts").json()["artifacts"]
    bodies = {name: httpx.get(url, trust_env=False) for name, url in artifacts.items()}
    assert {body.status_code for body in bodies.values()} == {200}
    by_suffix = {name.rpartition(".")[2]: bodies[name].content for name in bodies}
    assert by_suffix["png"].startswith(b"\x89PNG")
    assert by_suffix["gif"].startswith(b"GIF89a"), "a film of some episodes"
    assert by_suffix["npz"].startswith(b"PK"), "what was seen and done in them"
    reports = [json.loads(body.content) for name, body in bodies.items() if name == "evaluation_report.json"]
    assert [report["run_id"] for report in reports] == [first["run_id"]]
    assert [name for name in artifacts if name.endswith(".onnx")], "a file that Unity loads"


def test_the_predict_api_answers_for_every_cell(cloud, first):
    moves = {}
    for cell in range(CELLS):
        answer = cloud.predict("basic", json={"observations": [one_hot(cell)]})
        assert answer.status_code == 200, answer.text
        assert answer.json()["policy"] == "basic"
        (moves[cell],) = answer.json()["action"]["discrete"]
    assert set(moves.values()) <= {0, 1, 2}
    assert [moves[cell] for cell in range(START, LARGE_GOAL)] == [2] * (LARGE_GOAL - START), moves


def test_a_batch_is_answered_as_its_members_are(cloud, first):
    cells = range(START, LARGE_GOAL)
    batch = cloud.predict("basic", json={"observations": [[one_hot(cell) for cell in cells]]}).json()["actions"]
    single = [cloud.predict("basic", json={"observations": [one_hot(cell)]}).json()["action"] for cell in cells]
    assert batch == single


def test_logs_and_metrics_of_the_job_reach_cloudwatch(cloud, first):
    job = first["training_job"]["name"]
    log = cloud.log_text("/aws/sagemaker/TrainingJobs", job)
    assert '"mean_return"' in log
    described = cloud.sagemaker.describe_training_job(TrainingJobName=job)
    metrics = {metric["MetricName"]: metric["Value"] for metric in described["FinalMetricDataList"]}
    assert metrics["mean_return"] == pytest.approx(first["progress"]["mean_return"])
    listed = cloud.client("cloudwatch").list_metrics(MetricName="mean_return")["Metrics"]
    assert listed


def test_the_functions_log_to_cloudwatch_and_see_nothing_of_the_user(cloud, first):
    log = cloud.log_text("/gamedojo/local/pipeline")
    assert first["run_id"] in log
    environments = [environment_of(process) for process in survivors(cloud.state_dir)]
    assert any(environments)
    assert not [environment for environment in environments if "this-must-not" in str(environment)]


def test_a_second_run_updates_the_endpoint(cloud, first, second):
    assert second["status"] == "SUCCEEDED", second
    assert second["run_id"] != first["run_id"]
    assert second["options"]["hyperparameters"]["lr"] == 0.001
    assert second["promotion"]["compared_with"] == first["run_id"]
    # Both go the seven steps to the goal, in every episode.
    assert second["promotion"]["difference"]["mean"] == pytest.approx(0, abs=1e-6)
    assert second["endpoint"]["name"] == first["endpoint"]["name"]
    assert second["endpoint"]["config_name"] != first["endpoint"]["config_name"]
    endpoint = cloud.sagemaker.describe_endpoint(EndpointName=second["endpoint"]["name"])
    assert endpoint["EndpointStatus"] == "InService"
    assert endpoint["EndpointConfigName"] == second["endpoint"]["config_name"]
    assert endpoint["LastModifiedTime"] > endpoint["CreationTime"]
    answer = cloud.predict("basic", json={"observations": [one_hot(START)]}).json()
    policy = cloud.control("GET", "/policies/basic").json()
    assert answer["version"] != ""
    assert answer["version"] in json.dumps(policy)


def test_an_event_that_is_delivered_twice_is_one_run(cloud, first):
    machine = cloud.client("stepfunctions")
    event = machine.describe_execution(executionArn=first["execution_arn"])["input"]
    jobs = {job["TrainingJobName"] for job in cloud.sagemaker.list_training_jobs()["TrainingJobSummaries"]}
    before = {run["run_id"] for run in cloud.runs("basic")}
    arn = first["execution_arn"].replace(":execution:", ":stateMachine:").rpartition(":")[0]
    again = machine.start_execution(stateMachineArn=arn, input=event)["executionArn"]

    def ended() -> dict[str, Any] | None:
        execution = machine.describe_execution(executionArn=again)
        return None if execution["status"] == "RUNNING" else execution

    execution = cloud.eventually(ended, "the second delivery to end", seconds=60)
    assert execution["status"] == "SUCCEEDED", execution
    assert {run["run_id"] for run in cloud.runs("basic")} == before
    assert cloud.run(first["run_id"]) == first, "a late duplicate must not touch the outcome"
    assert {job["TrainingJobName"] for job in cloud.sagemaker.list_training_jobs()["TrainingJobSummaries"]} == jobs


def test_the_command_line_works_against_the_cloud(cloud, first):
    assert first["run_id"] in cloud.command("runs", "--json")
    predicted = json.loads(cloud.command("predict", "basic", "--observation", json.dumps(one_hot(START)), "--json"))
    assert predicted["action"]["discrete"] == [2]
