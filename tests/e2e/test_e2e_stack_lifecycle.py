"""A second stack beside the running one: made, updated in place without losing data, deleted but for what is kept."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from local.aws import ACCESS_KEY
from local.deployment import PARAMETERS
from local.settings import REGION
from tests.fakes.running_cloud import REPOSITORY

STACK, STAGE = "gamedojo-other", "other"
WATCHED = ("Bucket", "RunsTable", "PoliciesTable", "TurnsTable", "Topic", "TrainAndDeploy")


class Stack:
    """Deployed by sam into the running emulator, as the local cloud's own is."""

    def __init__(self, cloud: Any) -> None:
        (folder,) = (cloud.state_dir / "build").iterdir()
        self._folder: Path = folder / "local"
        self._cloud = cloud

    def deploy(self, **parameters: str) -> None:
        chosen: Mapping[str, str] = {**PARAMETERS, "Stage": STAGE, **parameters}
        self._sam(
            "deploy",
            "--template-file", str(self._folder / "template.yaml"),
            "--resolve-s3",
            "--capabilities", "CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND",
            "--no-confirm-changeset",
            "--no-progressbar",
            "--parameter-overrides", *(f"{name}={value}" for name, value in chosen.items()),
        )  # fmt: skip

    def delete(self) -> None:
        client = self._cloud.client("cloudformation")
        client.delete_stack(StackName=STACK)
        self._cloud.eventually(lambda: not self.resources(), f"{STACK} to be gone", seconds=60)

    def resources(self) -> dict[str, str]:
        """Physical ids by logical ids; none of a stack that is gone."""
        client = self._cloud.client("cloudformation")
        try:
            listed = client.list_stack_resources(StackName=STACK)["StackResourceSummaries"]
        except client.exceptions.ClientError:
            return {}
        return {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in listed}

    def _sam(self, command: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(REPOSITORY / ".venv-sam/bin/sam"), command, "--stack-name", STACK, *arguments],
            cwd=self._folder,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self._folder.parent),
                "AWS_ENDPOINT_URL": self._cloud.connection["endpoint_url"],
                "AWS_DEFAULT_REGION": REGION,
                "SAM_CLI_TELEMETRY": "0",
                "SAM_CLI_POLL_DELAY": "0.5",
                **ACCESS_KEY,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.fixture(scope="module")
def stack(cloud: Any) -> Iterator[Stack]:
    stack = Stack(cloud)
    stack.deploy()
    yield stack
    if stack.resources():
        stack.delete()


def test_a_stack_is_made_updated_and_deleted_without_losing_data(cloud, stack):
    s3, tables, logs = cloud.client("s3"), cloud.client("dynamodb"), cloud.client("logs")
    made = stack.resources()
    assert made.keys() >= set(WATCHED)
    kept = {"run_id": {"S": "r-1"}, "policy": {"S": "p"}}
    s3.put_object(Bucket=made["Bucket"], Key="policies/p/model.tar.gz", Body=b"weights")
    tables.put_item(TableName=made["RunsTable"], Item=kept)

    stack.deploy(LogRetentionDays="7", MaxConcurrentRuns="3")

    updated = stack.resources()
    assert {name: updated[name] for name in WATCHED} == {name: made[name] for name in WATCHED}, "in place"
    (group,) = logs.describe_log_groups(logGroupNamePrefix=f"/gamedojo/{STAGE}/pipeline")["logGroups"]
    assert group["retentionInDays"] == 7
    function = cloud.client("lambda").get_function_configuration(FunctionName=updated["TakeTurnFunction"])
    assert function["Environment"]["Variables"]["MAX_CONCURRENT_RUNS"] == "3"
    assert s3.get_object(Bucket=made["Bucket"], Key="policies/p/model.tar.gz")["Body"].read() == b"weights"
    assert tables.get_item(TableName=made["RunsTable"], Key={"run_id": {"S": "r-1"}})["Item"] == kept

    before = {name for name, there in _there(cloud, made).items() if there}
    assert before >= {"Bucket", "RunsTable", "TurnsTable", "TakeTurnFunction", "PredictApi", "PipelineLog", "JobRole"}

    stack.delete()

    assert s3.get_object(Bucket=made["Bucket"], Key="policies/p/model.tar.gz")["Body"].read() == b"weights"
    assert tables.get_item(TableName=made["RunsTable"], Key={"run_id": {"S": "r-1"}})["Item"] == kept
    left = {name for name, there in _there(cloud, made).items() if there}
    assert left == {"Bucket", "RunsTable", "PoliciesTable"}
    assert cloud.control("GET", "/health").status_code == 200, "the other stack stands"


def _there(cloud: Any, made: Mapping[str, str]) -> dict[str, bool]:
    """Which of the stack's resources still are, of each kind that the emulator can list."""
    tables = set(cloud.client("dynamodb").list_tables()["TableNames"])
    pages = cloud.client("lambda").get_paginator("list_functions").paginate()
    functions = {one["FunctionName"] for page in pages for one in page["Functions"]}
    buckets = {one["Name"] for one in cloud.client("s3").list_buckets()["Buckets"]}
    machines = {one["stateMachineArn"] for one in cloud.client("stepfunctions").list_state_machines()["stateMachines"]}
    topics = {one["TopicArn"] for one in cloud.client("sns").list_topics()["Topics"]}
    queues = set(cloud.client("sqs").list_queues().get("QueueUrls", []))
    apis = {one["id"] for one in cloud.client("apigateway").get_rest_apis(limit=500)["items"]}
    groups = {one["logGroupName"] for one in cloud.client("logs").describe_log_groups()["logGroups"]}
    roles = {one["RoleName"] for one in cloud.client("iam").list_roles()["Roles"]}
    rules = {one["Name"] for one in cloud.client("events").list_rules()["Rules"]}
    alarms = cloud.client("cloudwatch").describe_alarms(AlarmNamePrefix=f"gamedojo/{STAGE}/")["MetricAlarms"]
    known = tables | functions | buckets | machines | topics | queues | apis | groups | roles | rules
    found = {name: physical in known for name, physical in made.items()}
    return found | {one["AlarmName"]: True for one in alarms}
