"""InvokeEndpoint over a real socket: botocore parses what the service sends, and each error becomes one of ours."""

import boto3
import pytest
from botocore.config import Config
from botocore.session import Session

from pipeline.aws.invocations import MAX_ENDPOINT_BODY_BYTES, invoke
from pipeline.contracts.predict import InvocationRequest
from pipeline.errors import (
    InvalidObservationError,
    ModelError,
    ModelNotReadyError,
    NotYetConsistentError,
    ServiceUnavailableError,
    ThrottledError,
)
from tests.fakes.runtime_endpoint import Answer, runtime_endpoint

REQUEST = InvocationRequest(behavior="Basic", observations=[[[0.0, 1.0]]])
ACTIONS = {"version": "r1", "behavior": "Basic", "continuous": [[]], "discrete": [[2]]}


@pytest.fixture
def endpoint():
    with runtime_endpoint() as server:
        yield server


@pytest.fixture
def client(endpoint):
    return boto3.client(
        "sagemaker-runtime",
        endpoint_url=endpoint.url,
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=5),
    )


def test_a_batch_goes_out_as_the_contract_says_and_actions_come_back(endpoint, client):
    endpoint.respond = lambda name, body: Answer(ACTIONS)
    answer = invoke(client, "gamedojo-test-basic", REQUEST)
    assert answer.discrete == [[2]]
    ((name, body),) = endpoint.requests
    assert name == "gamedojo-test-basic"
    assert InvocationRequest.model_validate(body) == REQUEST


def test_a_batch_that_no_endpoint_takes_is_told_before_one_is_asked(endpoint, client):
    numbers = [0.1234567] * (MAX_ENDPOINT_BODY_BYTES // 10)
    with pytest.raises(InvalidObservationError, match=f"an endpoint takes {MAX_ENDPOINT_BODY_BYTES}"):
        invoke(client, "gamedojo-test-basic", InvocationRequest(behavior="Basic", observations=[[numbers]]))
    assert endpoint.requests == []


def test_one_connection_serves_many_requests(endpoint, client):
    endpoint.respond = lambda name, body: Answer(ACTIONS)
    for _ in range(5):
        invoke(client, "gamedojo-test-basic", REQUEST)
    assert len(endpoint.connections) == 1


@pytest.mark.parametrize(
    ("error", "status", "body", "expected"),
    [
        ("ModelNotReadyException", 429, {"Message": "loading"}, ModelNotReadyError),
        ("ServiceUnavailable", 503, {"Message": "down"}, ServiceUnavailableError),
        ("InternalDependencyException", 530, {"Message": "down"}, ServiceUnavailableError),
        ("InternalFailure", 500, {"Message": "oops"}, ServiceUnavailableError),
        ("ThrottlingException", 400, {"message": "Rate exceeded"}, ThrottledError),
        ("ValidationError", 400, {"Message": "Endpoint x of account 1 not found."}, NotYetConsistentError),
        ("ModelError", 424, {"OriginalStatusCode": 500, "OriginalMessage": "out of memory"}, ModelError),
        ("ModelError", 424, {"OriginalStatusCode": 400, "OriginalMessage": "bad shape"}, InvalidObservationError),
        ("ModelError", 424, {"Message": "the container closed the connection"}, ModelError),
    ],
)
def test_each_of_the_services_errors_becomes_one_of_ours(endpoint, client, error, status, body, expected):
    endpoint.respond = lambda name, _: Answer(body, status=status, error=error)
    with pytest.raises(expected) as caught:
        invoke(client, "gamedojo-test-basic", REQUEST)
    assert type(caught.value) is expected
    assert body.get("OriginalMessage", "") in str(caught.value)


def test_the_errors_tried_here_are_all_that_the_service_models():
    modelled = {
        shape.name
        for shape in Session().get_service_model("sagemaker-runtime").operation_model("InvokeEndpoint").error_shapes
    }
    assert modelled == {
        "InternalDependencyException",
        "InternalFailure",
        "ModelError",
        "ModelNotReadyException",
        "ServiceUnavailable",
        "ValidationError",
    }


@pytest.mark.parametrize("body", [b"<html>", b"{}", {**ACTIONS, "discrete": "none"}])
def test_an_answer_that_is_none_is_the_models_fault(endpoint, client, body):
    endpoint.respond = lambda name, _: Answer(body)
    with pytest.raises(ModelError, match="different versions"):
        invoke(client, "gamedojo-test-basic", REQUEST)


def test_a_service_that_is_not_there_is_unavailable(client, endpoint):
    with runtime_endpoint() as gone:
        url = gone.url
    client = boto3.client(
        "sagemaker-runtime",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=2),
    )
    with pytest.raises(ServiceUnavailableError, match="failed"):
        invoke(client, "gamedojo-test-basic", REQUEST)
