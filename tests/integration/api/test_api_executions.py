"""Executions named by their run: the same request twice is one execution."""

import json

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from pipeline.aws import executions
from pipeline.contracts.states import ApiEvent
from pipeline.errors import PipelineError, ServiceUnavailableError, ThrottledError

ROLE = "arn:aws:iam::123456789012:role/machine"
EVENT = ApiEvent(run_id="basic-1234", request_key="runs/basic-1234/request.json")


@pytest.fixture
def machine(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    with mock_aws():
        client = boto3.client("stepfunctions", region_name="us-east-1")
        definition = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 60, "End": True}}}
        answer = client.create_state_machine(name="train", definition=json.dumps(definition), roleArn=ROLE)
        yield client, answer["stateMachineArn"]


def test_an_execution_is_named_by_its_run_and_gets_the_event(machine):
    client, arn = machine
    execution = executions.start(client, arn, EVENT.run_id, EVENT)
    assert execution == executions.execution_arn(arn, "basic-1234")
    described = client.describe_execution(executionArn=execution)
    assert ApiEvent.model_validate_json(described["input"]) == EVENT


def test_the_same_run_twice_is_one_execution(machine):
    client, arn = machine
    first = executions.start(client, arn, EVENT.run_id, EVENT)
    assert executions.start(client, arn, EVENT.run_id, EVENT) == first
    assert len(client.list_executions(stateMachineArn=arn)["executions"]) == 1


def test_a_finished_execution_of_this_name_is_found_not_repeated(machine):
    client, arn = machine
    first = executions.start(client, arn, EVENT.run_id, EVENT)
    client.stop_execution(executionArn=first, error="Stopped", cause="by hand")
    assert executions.start(client, arn, EVENT.run_id, EVENT) == first
    found = executions.describe(client, arn, EVENT.run_id)
    assert found is not None
    assert found.status == "ABORTED"
    assert found.stopped_at is not None


def test_a_run_that_nobody_started_has_none(machine):
    client, arn = machine
    assert executions.describe(client, arn, "basic-0000") is None


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("ThrottlingException", 400, ThrottledError),
        ("ExecutionLimitExceeded", 400, ThrottledError),
        ("InternalFailure", 500, ServiceUnavailableError),
        ("StateMachineDoesNotExist", 400, PipelineError),
    ],
)
def test_other_failures_are_ours(machine, monkeypatch, code, status, expected):
    client, arn = machine

    def fail(**_):
        metadata = {"HTTPStatusCode": status}
        raise ClientError({"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": metadata}, "StartExecution")

    monkeypatch.setattr(client, "start_execution", fail)
    with pytest.raises(expected) as caught:
        executions.start(client, arn, EVENT.run_id, EVENT)
    assert type(caught.value) is expected
