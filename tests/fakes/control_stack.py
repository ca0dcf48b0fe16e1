"""What the API's handlers stand on, in moto: bucket, tables as template.yaml makes them, and a state machine."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import boto3
from botocore.loaders import Loader, create_loader
from moto import mock_aws

from pipeline.aws import clients
from tests.fakes.expanded_template import ROOT, resources
from tests.fakes.moto_percentiles import moto_percentiles

REGION = "us-east-1"
BUCKET = "gamedojo-test-bucket"
MACHINE_ROLE = "arn:aws:iam::123456789012:role/machine"
OPERATORS = "arn:aws:sns:us-east-1:123456789012:operators"
INSTANCE_TYPES = {"TRAINING_INSTANCE_TYPE": "ml.c7i.2xlarge", "EVALUATION_INSTANCE_TYPE": "ml.c7i.xlarge"}
SAID_OF_ITSELF = {"STAGE": "test", "ALLOWED_ORIGIN": "none"}
PASSING_TIME = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 60, "End": True}}}


@cache
def moto_client(service: Any) -> Any:
    """moto answers it in every stack of the process, and to make one takes longer than most of what a test asks."""
    return boto3.client(service, region_name=REGION)


@dataclass
class LambdaContext:
    """What Powertools reads of the real one."""

    function_name: str = "gamedojo-test"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:123456789012:function:gamedojo-test"
    aws_request_id: str = "11111111-2222-3333-4444-555555555555"


@dataclass
class Stack:
    environment: dict[str, str]
    s3: Any = field(default_factory=lambda: moto_client("s3"))
    sfn: Any = field(default_factory=lambda: moto_client("stepfunctions"))

    def put(self, key: str, body: bytes) -> str:
        answer = self.s3.put_object(Bucket=BUCKET, Key=key, Body=body)
        return str(answer["VersionId"])

    def put_document(self, key: str, document: Any) -> None:
        self.put(key, document.model_dump_json().encode())

    def executions(self) -> list[str]:
        arn = self.environment["STATE_MACHINE_ARN"]
        return [one["name"] for one in self.sfn.list_executions(stateMachineArn=arn)["executions"]]


def sample_event(name: str) -> dict[str, Any]:
    """One of the checked-in events, by its path below events/ without the suffix."""
    document: dict[str, Any] = json.loads((ROOT / "events" / f"{name}.json").read_text())
    return document


def sample_events(folder: str) -> list[str]:
    return sorted(f"{folder}/{path.stem}" for path in Path(ROOT / "events" / folder).glob("*.json"))


@contextmanager
def control_stack() -> Iterator[Stack]:
    credentials = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": REGION}
    with patch.dict("os.environ", credentials), mock_aws(), moto_percentiles():
        environment = (
            {"BUCKET_NAME": BUCKET, "STATE_MACHINE_ARN": _machine()} | _tables() | INSTANCE_TYPES | SAID_OF_ITSELF
        )
        _bucket()
        _forget_clients()
        with patch.dict("os.environ", environment):
            yield Stack(environment)
    _forget_clients()


def _bucket() -> None:
    s3 = moto_client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})


def _tables() -> dict[str, str]:
    dynamodb = moto_client("dynamodb")
    properties = {"AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode"}
    for name, table in resources("AWS::DynamoDB::Table").items():
        dynamodb.create_table(TableName=name, **{key: table[key] for key in properties & set(table)})
    return {"RUNS_TABLE": "RunsTable", "POLICIES_TABLE": "PoliciesTable"}


def _machine() -> str:
    sfn = moto_client("stepfunctions")
    answer = sfn.create_state_machine(name="train", definition=json.dumps(PASSING_TIME), roleArn=MACHINE_ROLE)
    return str(answer["stateMachineArn"])


def _forget_clients() -> None:
    for one in vars(clients).values():
        if hasattr(one, "cache_clear"):
            one.cache_clear()
    clients._session().register_component("data_loader", _described())
    forget_handlers()


@cache
def _described() -> Loader:
    """What botocore's files say of the services: megabytes of JSON, read once and not for each stack."""
    return create_loader()


def forget_handlers() -> None:
    """Handlers keep their clients for the life of a process; here, a process sees several clouds."""
    from control_read import app as control_read
    from control_write import app as control_write
    from predict import app as predict

    for one in (*vars(control_read).values(), *vars(control_write).values(), *vars(predict).values()):
        if hasattr(one, "cache_clear"):
            one.cache_clear()
