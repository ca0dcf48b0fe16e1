"""The errors that are injected as AWS's are errors that AWS has."""

import string
from itertools import chain

import botocore.session
import pytest
from botocore.model import ServiceModel

from tests.fakes import aws_refusals
from tests.fakes.aws_refusals import Answer, Refusal, conflict, not_found, only_reads

CALLS = sorted(aws_refusals.calls())
UNMODELLED = {
    # "Errors that are common to the API actions of all AWS services" has it, and SageMaker names little else.
    "sagemaker": {"ValidationException"},
    # S3 API reference, "List of error codes"; a HEAD's answer has no body and so no code.
    "s3": {"OperationAborted", "NoSuchBucket", "NoSuchKey", "404"},
}
WRITES = [
    {},
    {"ConditionExpression": "revision = :known"},
    {"ConditionExpression": "lease_run_id = :run"},
    {"ConditionExpression": "attribute_not_exists(run_id)"},
]


def model(service: str) -> ServiceModel:
    name = {"sagemaker_runtime": "sagemaker-runtime", "application_autoscaling": "application-autoscaling"}
    return botocore.session.get_session().get_service_model(name.get(service, service))


def answers(service: str, operation: str) -> list[Answer]:
    asked = [(service, operation, request, None) for request in WRITES]
    return [*chain.from_iterable((conflict(*one), not_found(*one)) for one in asked)]


@pytest.mark.parametrize(("service", "operation"), CALLS)
def test_each_code_is_one_of_the_operations_own(service: str, operation: str) -> None:
    shapes = model(service).operation_model(string.capwords(operation, "_").replace("_", "")).error_shapes
    known = {shape.metadata.get("error", {}).get("code") or shape.name for shape in shapes}
    known |= UNMODELLED.get(service, set())
    for answer in answers(service, operation):
        if isinstance(answer, Refusal):
            assert answer.code in known
            assert 400 <= answer.status < 500
        else:
            assert answer.strip()


@pytest.mark.parametrize(("service", "operation"), CALLS)
def test_what_only_reads_conflicts_with_nothing(service: str, operation: str) -> None:
    if only_reads(operation):
        assert isinstance(conflict(service, operation, {}, None), str)


def test_a_write_without_a_condition_fails_no_condition() -> None:
    plain, guarded = (conflict("dynamodb", "put_item", request, None) for request in WRITES[:2])
    assert isinstance(plain, Refusal)
    assert isinstance(guarded, Refusal)
    assert (plain.code, guarded.code) == ("TransactionConflictException", "ConditionalCheckFailedException")


@pytest.mark.parametrize(("status", "hides"), [("Creating", True), ("InService", False), ("Updating", False)])
def test_only_an_endpoint_that_was_just_created_may_not_be_told_of_yet(status: str, hides: bool) -> None:
    answer = not_found("sagemaker", "describe_endpoint", {}, {"EndpointStatus": status})
    assert isinstance(answer, Refusal) == hides
