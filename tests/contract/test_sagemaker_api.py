"""The local SageMaker service against botocore's model: every answer as it travels, and what is not implemented.

Answers are read raw from the socket and checked member by member (unknown members, types, required members, lengths,
patterns, enumerations), because boto3's own parser drops what it does not know.
"""

import http.client
import json
from collections.abc import Iterator
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.validate import ParamValidator

from local.sagemaker.validation import service_model, violations
from tests.fakes.sagemaker_cloud import BUCKET, IMAGE, Cloud, channel, emulator, service, training_request
from tests.fakes.waiting import wait_for

MODEL = service_model("sagemaker")
TAG = [{"Key": "k", "Value": "v"}]


class Raw:
    """Speaks JSON 1.1 without boto3."""

    def __init__(self, url: str) -> None:
        self.address = urlsplit(url).netloc
        self.asked: set[str] = set()

    def post(self, path: str, headers: dict[str, str], body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection(self.address, timeout=60)
        try:
            connection.request("POST", path, body, headers)
            response = connection.getresponse()
            return response, response.read()
        finally:
            connection.close()

    def call(self, operation: str, document: object = None) -> tuple[int, dict]:
        headers = {"X-Amz-Target": f"SageMaker.{operation}", "Content-Type": "application/x-amz-json-1.1"}
        response, body = self.post("/", headers, json.dumps(document or {}).encode())
        assert response.headers["Content-Type"] == "application/x-amz-json-1.1"
        assert response.headers["x-amzn-RequestId"]
        return response.status, json.loads(body)

    def checked(self, operation: str, document: object = None) -> dict:
        """The answer, which fits the model."""
        status, answer = self.call(operation, document)
        assert status == 200, answer
        self.asked.add(operation)
        shape = MODEL.operation_model(operation).output_shape
        if shape is None:
            assert answer == {}
        else:
            assert list(violations(shape, answer)) == []
        return answer


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    folder = tmp_path_factory.mktemp("contract")
    with emulator(folder / "emulator") as url, service(folder, url) as running:
        yield running


@pytest.fixture(scope="module")
def raw(cloud: Cloud) -> Raw:
    return Raw(cloud.url)


@pytest.fixture(scope="module")
def everything(cloud: Cloud, raw: Raw) -> Raw:
    """Every operation called, in every status that comes by; each answer is checked."""
    _jobs(cloud, raw)
    _endpoint(cloud, raw)
    return raw


def _jobs(cloud: Cloud, raw: Raw) -> None:
    build = cloud.put("in/build.zip", "zip")
    metrics = [{"Name": "env_steps", "Regex": '"env_steps": ([0-9.]+)'}]
    request = training_request(
        "whole",
        {"print": '{"env_steps": 3}'},
        AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File", "MetricDefinitions": metrics},
        InputDataConfig=[channel("build", build, InputMode="File")],
        CheckpointConfig={"S3Uri": f"s3://{BUCKET}/checkpoints", "LocalPath": "/opt/ml/checkpoints"},
        Environment={"A": "1"},
        EnableNetworkIsolation=True,
        Tags=TAG,
    )
    raw.checked("CreateTrainingJob", request)
    raw.checked("CreateTrainingJob", training_request("bad", {"exit": "1", "failure": "x" * 2000}))
    raw.checked("CreateTrainingJob", training_request("halted", {"until": "/never", "on_term": "save"}))
    raw.checked("CreateTrainingJob", training_request("late", {"until": "/never"}, StoppingCondition=ONE_SECOND))
    cloud.in_phase("halted", "Training")
    raw.checked("StopTrainingJob", {"TrainingJobName": "halted"})
    for name in ("whole", "bad", "halted", "late"):
        wait_for(lambda name=name: _has_ended(raw, name), f"{name} ends")
    raw.checked("ListTrainingJobs", {"MaxResults": 2})
    raw.checked("DeleteTrainingJob", {"TrainingJobName": "bad"})


def _has_ended(raw: Raw, name: str) -> bool:
    described = raw.checked("DescribeTrainingJob", {"TrainingJobName": name})
    return described["TrainingJobStatus"] in ("Completed", "Failed", "Stopped")


ONE_SECOND = {"MaxRuntimeInSeconds": 1}


def _endpoint(cloud: Cloud, raw: Raw) -> None:
    for name, machine in (
        ("one", {"InstanceType": "ml.m5.large", "InitialInstanceCount": 1}),
        ("two", {"InstanceType": "ml.c5.large", "InitialInstanceCount": 1, "InitialVariantWeight": 0.5}),
        ("crash", {"InstanceType": "ml.c5.large", "InitialInstanceCount": 1}),
        ("serverless", {"ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 2}}),
    ):
        cloud.model(name, **({"crash": True} if name == "crash" else {}))
        variant = {"VariantName": "AllTraffic", "ModelName": name, **machine}
        raw.checked("CreateEndpointConfig", {"EndpointConfigName": name, "ProductionVariants": [variant], "Tags": TAG})
        raw.checked("DescribeEndpointConfig", {"EndpointConfigName": name})
        raw.checked("DescribeModel", {"ModelName": name})
    model = {"Image": IMAGE, "ModelDataUrl": "s3://a/b.tar.gz", "Environment": {"A": "1"}, "Mode": "SingleModel"}
    role = "arn:aws:iam::123456789012:role/r"
    raw.checked("CreateModel", {"ModelName": "m", "ExecutionRoleArn": role, "Containers": [model], "Tags": TAG})
    raw.checked("DescribeModel", {"ModelName": "m"})
    raw.checked("CreateEndpoint", {"EndpointName": "e", "EndpointConfigName": "one", "Tags": TAG})
    raw.checked("CreateEndpoint", {"EndpointName": "s", "EndpointConfigName": "serverless"})
    raw.checked("CreateEndpoint", {"EndpointName": "f", "EndpointConfigName": "crash"})
    for name in ("e", "s", "f"):
        _settled(raw, name)
    for config in ("two", "crash"):
        update = {"EndpointName": "e", "EndpointConfigName": config, "RetainAllVariantProperties": True}
        raw.checked("UpdateEndpoint", update)
        _settled(raw, "e")
    two = [{"VariantName": "AllTraffic", "DesiredInstanceCount": 2, "DesiredWeight": 0.25}]
    raw.checked("UpdateEndpointWeightsAndCapacities", {"EndpointName": "e", "DesiredWeightsAndCapacities": two})
    _settled(raw, "e")
    for operation in ("ListEndpoints", "ListEndpointConfigs", "ListModels"):
        raw.checked(operation, {"MaxResults": 1, "SortBy": "Name"})
    arn = raw.checked("DescribeEndpoint", {"EndpointName": "e"})["EndpointArn"]
    raw.checked("AddTags", {"ResourceArn": arn, "Tags": [{"Key": "a", "Value": "b"}]})
    raw.checked("ListTags", {"ResourceArn": arn})
    raw.checked("DeleteTags", {"ResourceArn": arn, "TagKeys": ["a"]})
    raw.checked("DeleteEndpointConfig", {"EndpointConfigName": "two"})
    raw.checked("DeleteModel", {"ModelName": "m"})
    raw.checked("DeleteEndpoint", {"EndpointName": "f"})


def _settled(raw: Raw, name: str) -> None:
    def is_settled() -> bool:
        return raw.checked("DescribeEndpoint", {"EndpointName": name})["EndpointStatus"] in ("InService", "Failed")

    wait_for(is_settled, f"{name} settles")


def implemented(cloud: Cloud) -> set[str]:
    names = set()
    raw = Raw(cloud.url)
    for name in MODEL.operation_names:
        status, _ = raw.call(name, {"NoSuchMember": 1})
        if status != 501:
            names.add(name)
    return names


def test_every_answer_of_every_operation_fits_the_model(everything: Raw, cloud: Cloud):
    assert everything.asked == implemented(cloud)
    assert len(everything.asked) == 22


def test_what_is_not_here_says_so_loudly(raw: Raw, cloud: Cloud):
    missing = sorted(set(MODEL.operation_names) - implemented(cloud))
    assert len(missing) > 300
    for name in missing[::20]:
        status, answer = raw.call(name)
        assert status == 501
        assert answer["__type"] == "NotImplementedLocally"
        assert answer["message"] == f"{name} is not implemented by the local service."


def test_boto3_shows_what_the_service_said(everything: Raw, cloud: Cloud):
    client = boto3.client(
        "sagemaker", endpoint_url=cloud.url, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="y"
    )
    described = client.describe_training_job(TrainingJobName="whole")
    described.pop("ResponseMetadata")
    shape = MODEL.operation_model("DescribeTrainingJob").output_shape
    assert not ParamValidator().validate(described, shape).has_errors()
    assert described["CreationTime"].tzinfo is not None
    assert described["FinalMetricDataList"][0]["Value"] == 3.0
    waiter = client.get_waiter("training_job_completed_or_stopped")
    waiter.wait(TrainingJobName="whole", WaiterConfig={"MaxAttempts": 1})
    client.get_waiter("endpoint_in_service").wait(EndpointName="e", WaiterConfig={"MaxAttempts": 1})
    names = [
        page["Endpoints"] for page in client.get_paginator("list_endpoints").paginate(PaginationConfig={"PageSize": 1})
    ]
    assert [each["EndpointName"] for page in names for each in page] == ["s", "e"]


@pytest.mark.parametrize(
    ("headers", "body", "status", "code"),
    [
        ({"X-Amz-Target": "SageMaker.ListModels"}, b"{", 400, "SerializationException"),
        ({"X-Amz-Target": "SageMaker.ListModels"}, b"[]", 400, "SerializationException"),
        ({"X-Amz-Target": "SageMaker.ListModels"}, b'{"MaxResults": "1"}', 400, "SerializationException"),
        ({"X-Amz-Target": "SageMaker.ListModels"}, b'{"Max": 1}', 400, "ValidationException"),
        ({"X-Amz-Target": "SageMaker.ListModels"}, b" " * 1_048_577, 400, "ValidationException"),
        ({"X-Amz-Target": "SageMaker.ListModel"}, b"{}", 400, "UnknownOperationException"),
        ({"X-Amz-Target": "Logs.ListModels"}, b"{}", 400, "UnknownOperationException"),
        ({}, b"{}", 400, "UnknownOperationException"),
    ],
)
def test_a_request_that_is_none_is_refused(raw: Raw, headers: dict, body: bytes, status: int, code: str):
    response, answer = raw.post("/", headers, body)
    assert response.status == status
    assert json.loads(answer)["__type"] == code
    assert response.headers["x-amzn-ErrorType"] == code


@pytest.mark.parametrize(
    ("name", "document"),
    [
        ("ResourceNotFound", {"operation": "DescribeTrainingJob", "TrainingJobName": "nobody"}),
        ("ResourceInUse", {"operation": "CreateTrainingJob", **training_request("whole")}),
    ],
)
def test_a_modelled_error_fits_its_shape(everything: Raw, name: str, document: dict):
    status, answer = everything.call(document.pop("operation"), document)
    assert (status, answer["__type"]) == (400, name)
    shape = MODEL.shape_for(name)
    assert list(violations(shape, {"Message": answer["Message"]})) == []


def test_a_model_error_fits_its_shape(everything: Raw):
    body = json.dumps({"status": 418, "text": "no"}).encode()
    response, answer = everything.post("/endpoints/e/invocations", {"Content-Type": "application/json"}, body)
    assert response.status == 424
    assert response.headers["x-amzn-ErrorType"] == "ModelError"
    shape = service_model("sagemaker-runtime").shape_for("ModelError")
    assert list(violations(shape, json.loads(answer))) == []


def test_health_tells_that_it_is_ready(cloud: Cloud):
    connection = http.client.HTTPConnection(urlsplit(cloud.url).netloc, timeout=30)
    connection.request("GET", "/_health")
    response = connection.getresponse()
    assert (response.status, json.loads(response.read())) == (200, {"status": "ready"})
    connection.request("GET", "/nothing")
    assert connection.getresponse().status == 400
    connection.close()
