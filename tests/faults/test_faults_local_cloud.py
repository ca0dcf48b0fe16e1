"""Faults of machines and processes, on the real local cloud: one for all tests, in an order that spares training time.

Runs that are to come through are small; those that are to fail learn without end until they do.
"""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from local.processes import kill, survivors
from tests.fakes.cloud_faults import (
    age,
    containers,
    every_delivery_doubled,
    executions,
    first_process,
    jobs_of,
    learner,
    learning,
    player,
    process_of_service,
    rules_changed,
    start_run,
    steps_told,
    sweeping_each_minute,
    words,
)
from tests.fakes.running_cloud import FINAL, Cloud, with_options

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

SMALL = 4_000
ENDLESS = 1_000_000_000
START = [[1.0 if cell == 10 else 0.0 for cell in range(20)]]

Tell = Callable[[str, str, str], None]


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Tell:
    """A row of the page about faults."""

    def told(fault: str, survived: str, seen: str) -> None:
        record_property("fault on the cloud", (fault, survived, seen))

    return told


@pytest.fixture(scope="module")
def served(cloud: Cloud, basic: bytes) -> dict[str, Any]:
    """The run of a build whose event came twice; its policy is in service from then on."""
    options = {"stop": {"env_steps": SMALL}, "evaluation": {"episodes": 2}}
    with every_delivery_doubled(cloud):
        cloud.drop("builds/served.zip", with_options(basic, options))
        cloud.eventually(lambda: len(executions(cloud)) == 2, "both executions", seconds=60)
    return cloud.finished(cloud.first_run("served"))


def test_an_event_that_comes_twice_is_one_run(cloud: Cloud, served: dict[str, Any], tell: Tell) -> None:
    assert served["status"] == "SUCCEEDED", served
    assert [run["run_id"] for run in cloud.runs("served")] == [served["run_id"]]
    cloud.eventually(lambda: "RUNNING" not in executions(cloud).values(), "both executions to end", seconds=60)
    assert len(executions(cloud)) == 2
    assert sorted(jobs_of(cloud, served["run_id"]).values()) == ["Completed", "Completed"]
    configs = cloud.sagemaker.list_endpoint_configs()["EndpointConfigs"]
    assert [config["EndpointConfigName"] for config in configs] == [served["endpoint"]["config_name"]]
    endpoint = cloud.sagemaker.describe_endpoint(EndpointName=served["endpoint"]["name"])
    assert endpoint["EndpointConfigName"] == served["endpoint"]["config_name"]
    tell("EventBridge delivers the event of an upload twice", "one run, one job of each kind, one endpoint", "one run")


def test_spot_machines_that_are_taken_away_continue_the_training(cloud: Cloud, basic: bytes, tell: Tell) -> None:
    run_id = start_run(cloud, basic, "spot", 2 * SMALL)
    job = learning(cloud, run_id)
    plan = {"faults": [{"kind": "spot_interruption", "resource": job}]}
    put = cloud.http.put(f"{cloud.connection['sagemaker_url']}/_admin/faults", json=plan)
    assert put.status_code == 200, put.text
    run = cloud.finished(run_id)
    assert run["status"] == "SUCCEEDED", run
    assert interruptions(cloud, job) == 1
    assert_continued(cloud, job, 2 * SMALL)
    tell("the spot machines of a training are taken away", "every decision that was learned from", words(run))


def interruptions(cloud: Cloud, job: str) -> int:
    transitions = cloud.sagemaker.describe_training_job(TrainingJobName=job)["SecondaryStatusTransitions"]
    return [transition["Status"] for transition in transitions].count("Interrupted")


def assert_continued(cloud: Cloud, job: str, limit: int) -> None:
    """Decisions only ever rise, to what was asked for."""
    told = steps_told(cloud, job)
    assert told[-1] == limit
    assert told == sorted(told)


def test_processes_of_a_training_that_are_killed_are_named(cloud: Cloud, basic: bytes, tell: Tell) -> None:
    runs = [start_run(cloud, basic, policy, ENDLESS) for policy in ("killed-trainer", "killed-learner")]
    trainer_job, learner_job = (learning(cloud, run_id) for run_id in runs)

    player(cloud, trainer_job).kill()
    learned = cloud.run(runs[0])["progress"]["env_steps"]
    cloud.eventually(lambda: cloud.run(runs[0])["progress"]["env_steps"] > 2 * learned + SMALL, "learning on", 120)
    tell("the build's process gets SIGKILL", "the training: the build is started again", cloud.run(runs[0])["status"])

    first_process(cloud, trainer_job).kill()
    learner(cloud, learner_job).kill()
    for run_id, job, code in zip(runs, (trainer_job, learner_job), ("OutOfMemory", "LearnerLost"), strict=True):
        run = cloud.finished(run_id)
        assert (run["status"], run["failure"]["code"]) == ("FAILED", code), run["failure"]
        assert "memory" in run["failure"]["cause"] + run["failure"]["remedy"]
        assert "instance" in run["failure"]["remedy"]
        assert jobs_of(cloud, run_id) == {job: "Failed"}
        assert containers(cloud, job) == []
        whose = {"OutOfMemory": "training", "LearnerLost": "learner's"}[code]
        tell(f"the {whose} process gets SIGKILL, as from Linux out of memory", "the run's record and log", words(run))


def test_a_sagemaker_service_that_is_killed_comes_back(cloud: Cloud, served: dict[str, Any], basic: bytes, tell: Tell):
    on_spot = start_run(cloud, basic, "service-spot", 2 * SMALL)
    on_demand = start_run(cloud, basic, "service-on-demand", ENDLESS, instances={"spot": False})
    spot_job, demand_job = learning(cloud, on_spot), learning(cloud, on_demand)
    process_of_service(cloud).kill()

    failed = cloud.finished(on_demand)
    assert (failed["status"], failed["failure"]["code"]) == ("FAILED", "Platform"), failed
    assert "service ended while the job was running" in failed["failure"]["cause"]
    assert containers(cloud, demand_job) == []
    went_on = cloud.finished(on_spot)
    assert went_on["status"] == "SUCCEEDED", went_on
    assert interruptions(cloud, spot_job) == 1
    assert_served_again(cloud)
    assert "is up" in cloud.command("local", "status")
    tell("the SageMaker service is killed, on spot machines", "the run: its job begins again", words(went_on))
    tell("the SageMaker service is killed, on others", "records, and endpoints, which are started again", words(failed))


def assert_served_again(cloud: Cloud) -> None:
    def answer() -> bool:
        return cloud.predict("served", json={"observations": START}).status_code == 200

    cloud.eventually(answer, "the endpoint to serve again", seconds=60)


def test_a_lost_event_is_made_up_for_by_the_schedule(cloud: Cloud, basic: bytes, tell: Tell) -> None:
    run_id = start_run(cloud, basic, "lost-event", ENDLESS)
    job = learning(cloud, run_id)
    with rules_changed(cloud, "aws.states") as rules, sweeping_each_minute(cloud):
        for rule in rules:
            cloud.client("events").disable_rule(Name=rule["Name"])
        cloud.client("stepfunctions").stop_execution(executionArn=cloud.run(run_id)["execution_arn"])
        assert cloud.run(run_id)["status"] == "RUNNING"
        age(cloud, run_id, timedelta(minutes=11))
        run = cloud.finished(run_id)
    assert (run["status"], run["failure"]["code"]) == ("FAILED", "ExecutionEnded"), run["failure"]
    cloud.eventually(lambda: jobs_of(cloud, run_id) == {job: "Stopped"}, "the job to be stopped", seconds=180)
    assert containers(cloud, job) == []
    tell("an execution is stopped by hand and its event is lost", "nothing goes on: the sweeper stops it", words(run))


def test_a_cloud_that_is_killed_whole_is_brought_up_again(
    cloud: Cloud, served: dict[str, Any], basic: bytes, tell: Tell
) -> None:
    run_id = start_run(cloud, basic, "cloud-killed", ENDLESS)
    job = learning(cloud, run_id)
    before = {
        run["run_id"]: run for run in cloud.control("GET", "/training-runs", params={"limit": 100}).json()["runs"]
    }
    answer = cloud.predict("served", json={"observations": START}).json()
    assert kill(survivors(cloud.state_dir)) == []
    assert "broken" in cloud.command("local", "status", exits=3)

    said = cloud.command("local", "up", "--detach")
    assert "1 run was cut short" in said
    assert json.loads((cloud.state_dir / "connection.json").read_text()) == cloud.connection
    run = cloud.finished(run_id, seconds=120)
    assert (run["status"], run["failure"]["code"]) == ("FAILED", "ExecutionEnded"), run["failure"]
    assert len(run["failure"]["remedy"]) > 20
    cloud.eventually(lambda: jobs_of(cloud, run_id) == {job: "Stopped"}, "its job to be stopped", seconds=180)
    assert containers(cloud, job) == []
    after = all_runs(cloud)
    assert set(after) == set(before)
    assert {key: run for key, run in before.items() if run["status"] in FINAL} == {
        key: run for key, run in after.items() if key != run_id
    }
    assert_served_again(cloud)
    assert cloud.predict("served", json={"observations": START}).json() == answer
    tell(
        "every process of the local cloud is killed, then `gamedojo local up`",
        "all records, what is served",
        words(run),
    )


def all_runs(cloud: Cloud) -> dict[str, dict[str, Any]]:
    found = cloud.control("GET", "/training-runs", params={"limit": 100}).json()["runs"]
    return {run["run_id"]: run for run in found}
