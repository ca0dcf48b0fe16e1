"""What tests of faults do to a running local cloud, and where they look afterwards."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil

from local.processes import JOB_FOLDER_VARIABLE, survivors
from tests.fakes.running_cloud import Cloud
from tests.fakes.running_processes import environment_of, words_of

EMULATOR, SERVICE = "emulator", "SageMaker service"
_RULE_OF_SCHEDULE = "ScheduleExpression"


def start_run(cloud: Cloud, build: bytes, policy: str, env_steps: int, **options: Any) -> str:
    """A run by the API, evaluated on two episodes; returns its id."""
    key = cloud.upload(f"{policy}.zip", build)
    request = {
        "policy": policy,
        "build": {"key": key},
        "stop": {"env_steps": env_steps},
        "evaluation": {"episodes": 2},
        **options,
    }
    answer = cloud.control("POST", "/training-runs", json=request)
    assert answer.status_code == 202, answer.text
    return answer.json()["run_id"]


def learning(cloud: Cloud, run_id: str) -> str:
    """The run's training job, once it has learned something."""
    cloud.eventually(lambda: cloud.run(run_id).get("progress", {}).get("env_steps"), f"{run_id} to learn", seconds=180)
    return cloud.run(run_id)["training_job"]["name"]


def process_of_service(cloud: Cloud) -> psutil.Process:
    """The SageMaker service itself, below its keeper."""
    document = json.loads(cloud.command("local", "status", "--json"))
    (keeper,) = (each["pid"] for each in document["processes"] if each["name"] == SERVICE)
    (service,) = psutil.Process(keeper).children()
    return service


def containers(cloud: Cloud, job: str) -> list[psutil.Process]:
    """Processes of a job, what stands above its container included."""
    return [process for process in survivors(cloud.state_dir) if _job_of(process) == job]


def first_process(cloud: Cloud, job: str) -> psutil.Process:
    """The container's own command: on Linux the out-of-memory killer takes the process that has most, usually this."""
    family = [process for process in containers(cloud, job) if not _watches(process)]
    commands = [process for process in family if _says(process, "container/train")]
    (first,) = (process for process in commands if process.ppid() not in {each.pid for each in commands})
    return first


def learner(cloud: Cloud, job: str) -> psutil.Process:
    """The process beside the trainer's own that learns."""
    children = first_process(cloud, job).children()
    (learns,) = (process for process in children if not _watches(process))
    return learns


def player(cloud: Cloud, job: str) -> psutil.Process:
    """The Unity build's process. Its environment says nothing of the job."""
    family = [process for process in first_process(cloud, job).children(recursive=True) if not _watches(process)]
    (plays,) = (process for process in family if _says(process, "--mlagents-port"))
    return plays


def _watches(process: psutil.Process) -> bool:
    return _says(process, "supervisor.py")


def _says(process: psutil.Process, words: str) -> bool:
    return words in " ".join(words_of(process))


def _job_of(process: psutil.Process) -> str | None:
    environment = environment_of(process)
    return environment.get("TRAINING_JOB_NAME") if JOB_FOLDER_VARIABLE in environment else None


def jobs_of(cloud: Cloud, run_id: str) -> dict[str, str]:
    """Status of every job of the run."""
    found = cloud.sagemaker.list_training_jobs(NameContains=run_id)["TrainingJobSummaries"]
    return {job["TrainingJobName"]: job["TrainingJobStatus"] for job in found}


def steps_told(cloud: Cloud, job: str) -> list[int]:
    """Decisions learned from, in the order in which the job's log tells of them."""
    lines = [line for line in cloud.log_text("/aws/sagemaker/TrainingJobs", job).splitlines() if line.startswith("{")]
    return [told["env_steps"] for told in map(json.loads, lines) if "env_steps" in told]


def words(run: dict[str, Any]) -> str:
    """What the run's user reads of its outcome."""
    failure = run.get("failure")
    return run["status"] if failure is None else f"{run['status']} `{failure['code']}` {failure['cause']}"


@contextmanager
def rules_changed(cloud: Cloud, source: str) -> Iterator[list[dict[str, Any]]]:
    """The rules for events of a source; whatever was done to them is undone."""
    events = cloud.client("events")
    rules = [
        rule
        for rule in events.list_rules()["Rules"]
        if source in json.loads(rule.get("EventPattern", "{}")).get("source", [])
    ]
    assert rules, f"no rule for {source}"
    try:
        yield rules
    finally:
        for rule in rules:
            events.enable_rule(Name=rule["Name"])


@contextmanager
def sweeping_each_minute(cloud: Cloud) -> Iterator[None]:
    """The sweeper's schedule is made quicker: a quarter of an hour becomes a minute."""
    events = cloud.client("events")
    (rule,) = (rule for rule in events.list_rules()["Rules"] if rule.get(_RULE_OF_SCHEDULE) == "rate(15 minutes)")
    try:
        events.put_rule(Name=rule["Name"], ScheduleExpression="rate(1 minute)", State="ENABLED")
        yield
    finally:
        events.put_rule(Name=rule["Name"], ScheduleExpression=rule[_RULE_OF_SCHEDULE], State="ENABLED")


@contextmanager
def every_delivery_doubled(cloud: Cloud) -> Iterator[None]:
    """A second rule with the pattern and the target of the one that starts runs: each event is delivered twice."""
    events = cloud.client("events")
    (rule,) = (
        rule
        for rule in events.list_rules()["Rules"]
        if "aws.s3" in json.loads(rule.get("EventPattern", "{}")).get("source", [])
    )
    targets = events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
    events.put_rule(Name="second", EventPattern=rule["EventPattern"], State="ENABLED")
    events.put_targets(Rule="second", Targets=targets)
    try:
        yield
    finally:
        events.remove_targets(Rule="second", Ids=[target["Id"] for target in targets])
        events.delete_rule(Name="second")


def executions(cloud: Cloud) -> dict[str, str]:
    """Status of every execution, by its ARN."""
    states = cloud.client("stepfunctions")
    (machine,) = states.list_state_machines()["stateMachines"]
    found = states.list_executions(stateMachineArn=machine["stateMachineArn"])["executions"]
    return {execution["executionArn"]: execution["status"] for execution in found}


def age(cloud: Cloud, run_id: str, by: timedelta) -> None:
    """Make a run's record look as if nobody had written it for so long; nobody may be writing it now."""
    tables = cloud.client("dynamodb")
    (table,) = (name for name in tables.list_tables()["TableNames"] if "RunsTable" in name)
    item = tables.get_item(TableName=table, Key={"run_id": {"S": run_id}})["Item"]
    document = json.loads(item["document"]["S"])
    document["updated_at"] = (datetime.now(UTC) - by).isoformat()
    tables.put_item(TableName=table, Item=item | {"document": {"S": json.dumps(document)}})
