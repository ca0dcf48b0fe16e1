"""Bucket and tables as template.yaml makes them, in moto."""

from collections.abc import Iterator

import pytest

from pipeline.aws.objects import ObjectStore
from pipeline.aws.policies_table import PoliciesTable
from pipeline.aws.runs_table import RunsTable
from tests.fakes.control_stack import BUCKET, Stack, control_stack, moto_client


@pytest.fixture
def stack() -> Iterator[Stack]:
    with control_stack() as made:
        yield made


@pytest.fixture
def runs(stack: Stack) -> RunsTable:
    return RunsTable(moto_client("dynamodb"), stack.environment["RUNS_TABLE"])


@pytest.fixture
def policies(stack: Stack) -> PoliciesTable:
    return PoliciesTable(moto_client("dynamodb"), stack.environment["POLICIES_TABLE"])


@pytest.fixture
def objects(stack: Stack) -> ObjectStore:
    return ObjectStore(stack.s3, BUCKET)
