"""One suite for SageMaker and for its double: what the pipeline relies on, told by boto3 alone.

It runs over the local service, and over AWS where GAMEDOJO_TEST_AWS_SAGEMAKER=1; that costs some minutes of ml.m5.large
and needs:

    GAMEDOJO_TEST_AWS_ROLE    ARN of a role that SageMaker may take, with access to the bucket and the image
    GAMEDOJO_TEST_AWS_BUCKET  a bucket in the region of the profile
    GAMEDOJO_TEST_AWS_IMAGE   URI of an image of tests/fakes/sagemaker_image/Dockerfile in ECR

Names are new for each run, and everything but the jobs' records is deleted at the end.
"""

import contextlib
import io
import json
import os
import tarfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.fakes.sagemaker_cloud import (
    BUCKET,
    IMAGE,
    ROLE,
    client,
    emulator,
    model_archive,
    put_silent_alarm,
    service,
    set_alarm,
)

ON_AWS = os.environ.get("GAMEDOJO_TEST_AWS_SAGEMAKER") == "1"
JOB_ENDED = ("Completed", "Failed", "Stopped")
SERVICES = ("sagemaker", "sagemaker-runtime", "s3", "cloudwatch", "application-autoscaling")
ORDER = ["Starting", "Pending", "Downloading", "Training", "Stopping", "Uploading"]


@dataclass
class Account:
    """An account in either cloud."""

    sagemaker: Any
    runtime: Any
    s3: Any
    cloudwatch: Any
    autoscaling: Any
    role: str
    bucket: str
    image: str
    most_seconds: float
    pause_seconds: float
    prefix: str = field(default_factory=lambda: f"contract-{uuid.uuid4().hex[:8]}")
    made: list[Callable[[], object]] = field(default_factory=list)

    def name(self, what: str) -> str:
        return f"{self.prefix}-{what}"

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        deadline = time.monotonic() + self.most_seconds
        while not (value := condition()):
            assert time.monotonic() < deadline, f"{what}: not after {self.most_seconds} s"
            time.sleep(self.pause_seconds)
        return value

    def train(self, what: str, words: dict[str, str] | None = None, **changes: Any) -> str:
        name = self.name(what)
        request = {
            "TrainingJobName": name,
            "RoleArn": self.role,
            "AlgorithmSpecification": {"TrainingImage": self.image, "TrainingInputMode": "File"},
            "OutputDataConfig": {"S3OutputPath": f"s3://{self.bucket}/{self.prefix}/output"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 600},
            "HyperParameters": words or {},
        }
        self.sagemaker.create_training_job(**{**request, **changes})
        return name

    def job(self, name: str) -> dict[str, Any]:
        described: dict[str, Any] = self.sagemaker.describe_training_job(TrainingJobName=name)
        return described

    def ended(self, name: str) -> dict[str, Any]:
        self.until(lambda: self.job(name)["TrainingJobStatus"] in JOB_ENDED, f"{name} ends")
        return self.job(name)

    def config(self, what: str, **behavior: Any) -> str:
        """An endpoint config with a model of the same name."""
        name, key = self.name(what), f"{self.prefix}/{what}.tar.gz"
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=model_archive(name, behavior))
        container = {"Image": self.image, "ModelDataUrl": f"s3://{self.bucket}/{key}"}
        self.sagemaker.create_model(ModelName=name, ExecutionRoleArn=self.role, PrimaryContainer=container)
        self.made.append(lambda: self.sagemaker.delete_model(ModelName=name))
        machine = {"InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
        variant = {"VariantName": "AllTraffic", "ModelName": name, **machine}
        self.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
        self.made.append(lambda: self.sagemaker.delete_endpoint_config(EndpointConfigName=name))
        return name

    def settled(self, name: str) -> dict[str, Any]:
        def is_settled() -> bool:
            return self.sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] in ("InService", "Failed")

        self.until(is_settled, f"{name} settles")
        described: dict[str, Any] = self.sagemaker.describe_endpoint(EndpointName=name)
        return described

    def ask(self, name: str, order: dict[str, Any] | None = None) -> dict[str, Any]:
        body = json.dumps(order or {})
        answer = self.runtime.invoke_endpoint(EndpointName=name, ContentType="application/json", Body=body)
        document: dict[str, Any] = json.loads(answer["Body"].read())
        return document

    def alarm(self, what: str) -> str:
        """One that is OK, has no data, and stays as `ring` sets it."""
        name = self.name(what)
        put_silent_alarm(self.cloudwatch, name, "gamedojo/contract")
        self.made.append(lambda: self.cloudwatch.delete_alarms(AlarmNames=[name]))
        return name

    def ring(self, alarm: str, state: str = "ALARM") -> None:
        set_alarm(self.cloudwatch, alarm, state)

    def bakes(self, name: str) -> bool:
        """Whether a deployment to the endpoint has the traffic and waits for alarms."""
        pending = self.sagemaker.describe_endpoint(EndpointName=name).get("PendingDeploymentSummary", {})
        statuses = [one["Status"] for each in pending.get("ProductionVariants", []) for one in each["VariantStatus"]]
        return "Baking" in statuses

    def clear_up(self) -> None:
        for delete in reversed(self.made):
            with contextlib.suppress(ClientError):
                delete()
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=f"{self.prefix}/")
        for key in [entry["Key"] for page in pages for entry in page.get("Contents", [])]:
            self.s3.delete_object(Bucket=self.bucket, Key=key)


@contextlib.contextmanager
def aws() -> Iterator[Account]:
    role, bucket, image = (os.environ[f"GAMEDOJO_TEST_AWS_{name}"] for name in ("ROLE", "BUCKET", "IMAGE"))
    clients = [boto3.client(name) for name in SERVICES]
    yield Account(*clients, role, bucket, image, most_seconds=1800, pause_seconds=10)


@contextlib.contextmanager
def double(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    folder = tmp_path_factory.mktemp("both")
    often = {"alarm_poll_seconds": 0.1}
    with emulator(folder / "emulator") as url, service(folder, url, timing=often) as running:
        clients = [client(url if name in ("s3", "cloudwatch") else running.url, name) for name in SERVICES]
        yield Account(*clients, ROLE, BUCKET, IMAGE, most_seconds=60, pause_seconds=0.05)


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with aws() if ON_AWS else double(tmp_path_factory) as found:
        try:
            yield found
        finally:
            found.clear_up()


@pytest.fixture(scope="module")
def endpoint(account: Account) -> str:
    name = account.name("endpoint")
    account.sagemaker.create_endpoint(
        EndpointName=name, EndpointConfigName=account.config("first"), Tags=[{"Key": "project", "Value": "gamedojo"}]
    )
    account.made.append(lambda: account.sagemaker.delete_endpoint(EndpointName=name))
    assert account.settled(name)["EndpointStatus"] == "InService"
    return name


def test_a_job_goes_through_its_phases_and_leaves_its_model(account: Account):
    described = account.ended(account.train("whole", {"write_model": "a=1"}))
    assert (described["TrainingJobStatus"], described["SecondaryStatus"]) == ("Completed", "Completed")
    phases = [each["Status"] for each in described["SecondaryStatusTransitions"]]
    assert phases[-1] == "Completed"
    assert phases[:-1] == sorted(phases[:-1], key=ORDER.index)
    assert {"Starting", "Downloading", "Training", "Uploading"} <= set(phases)
    assert described["CreationTime"] <= described["TrainingStartTime"] <= described["TrainingEndTime"]
    assert described["BillableTimeInSeconds"] >= 1
    key = described["ModelArtifacts"]["S3ModelArtifacts"].removeprefix(f"s3://{account.bucket}/")
    body = account.s3.get_object(Bucket=account.bucket, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        assert "a" in archive.getnames()


def test_a_job_that_fails_says_why(account: Account):
    described = account.ended(account.train("fails", {"failure": "[Broken] no luck", "exit": "3"}))
    assert described["TrainingJobStatus"] == "Failed"
    assert described["FailureReason"].startswith("AlgorithmError: [Broken] no luck")
    assert "exit code: 3" in described["FailureReason"]


def test_a_job_is_stopped_once_and_a_job_that_has_ended_not_at_all(account: Account):
    name = account.train("stopped", {"on_term": "save", "until": "/never"})
    account.until(lambda: account.job(name)["SecondaryStatus"] == "Training", "it trains")
    account.sagemaker.stop_training_job(TrainingJobName=name)
    described = account.ended(name)
    assert (described["TrainingJobStatus"], described["SecondaryStatus"]) == ("Stopped", "Stopped")
    with pytest.raises(ClientError) as caught:
        account.sagemaker.stop_training_job(TrainingJobName=name)
    assert caught.value.response["Error"]["Code"] == "ValidationException"


def test_a_job_beyond_its_time_is_stopped(account: Account):
    condition = {"MaxRuntimeInSeconds": 1}
    described = account.ended(account.train("too-long", {"until": "/never"}, StoppingCondition=condition))
    assert (described["TrainingJobStatus"], described["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")


def test_a_spot_job_is_billed_for_less(account: Account):
    condition = {"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 1200}
    described = account.ended(account.train("spot", EnableManagedSpotTraining=True, StoppingCondition=condition))
    assert described["TrainingJobStatus"] == "Completed"
    assert described["BillableTimeInSeconds"] <= described["TrainingTimeInSeconds"]


def test_names_are_used_once_and_must_be_names(account: Account):
    name = account.train("twice")
    with pytest.raises(account.sagemaker.exceptions.ResourceInUse):
        account.train("twice")
    account.ended(name)
    with pytest.raises(ClientError) as caught:
        account.train("no_name")
    assert caught.value.response["Error"]["Code"] == "ValidationException"


def test_what_is_not_there(account: Account):
    calls = account.sagemaker
    for call, member in (
        (calls.describe_endpoint, "EndpointName"),
        (calls.describe_endpoint_config, "EndpointConfigName"),
        (calls.describe_model, "ModelName"),
        (calls.delete_endpoint, "EndpointName"),
    ):
        with pytest.raises(ClientError, match="Could not find") as caught:
            call(**{member: account.name("nothing")})
        assert caught.value.response["Error"]["Code"] == "ValidationException"
    with pytest.raises(ClientError) as caught:
        account.job(account.name("nothing"))
    assert caught.value.response["Error"]["Code"] in ("ValidationException", "ResourceNotFound")


def test_an_endpoint_answers_and_a_models_error_is_told_apart(account: Account, endpoint: str):
    assert account.ask(endpoint)["model"] == account.name("first")
    with pytest.raises(account.runtime.exceptions.ModelError) as caught:
        account.ask(endpoint, {"status": 422, "text": "no such observation"})
    assert caught.value.response["OriginalStatusCode"] == 422
    assert caught.value.response["OriginalMessage"] == "no such observation"
    arn = account.sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointArn"]
    tags = account.sagemaker.list_tags(ResourceArn=arn)["Tags"]
    assert {"Key": "project", "Value": "gamedojo"} in tags
    with pytest.raises(ClientError, match="Cannot create already existing endpoint"):
        account.sagemaker.create_endpoint(EndpointName=endpoint, EndpointConfigName=account.name("first"))


def test_an_update_that_fails_leaves_the_old_one_and_one_that_works_replaces_it(account: Account, endpoint: str):
    account.sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=account.config("broken", crash=True))
    with pytest.raises(ClientError, match="in-progress"):
        account.sagemaker.delete_endpoint(EndpointName=endpoint)
    described = account.settled(endpoint)
    assert described["EndpointConfigName"] == account.name("first")
    assert "ping" in described["FailureReason"]
    assert account.ask(endpoint)["model"] == account.name("first")
    account.sagemaker.update_endpoint(
        EndpointName=endpoint, EndpointConfigName=account.config("second"), RetainAllVariantProperties=True
    )
    assert account.settled(endpoint)["EndpointConfigName"] == account.name("second")
    assert account.ask(endpoint)["model"] == account.name("second")


def test_an_alarm_that_rings_while_an_update_bakes_takes_it_back(account: Account, endpoint: str):
    before = account.settled(endpoint)["EndpointConfigName"]
    alarm, config = account.alarm("alarm"), account.config("alarming")
    routing = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 1800}
    account.sagemaker.update_endpoint(
        EndpointName=endpoint,
        EndpointConfigName=config,
        RetainAllVariantProperties=True,
        DeploymentConfig={
            "BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing},
            "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": alarm}]},
        },
    )
    account.until(lambda: account.bakes(endpoint), "the update bakes")
    account.until(lambda: account.ask(endpoint)["model"] == config, "the new one answers")
    account.ring(alarm)
    described = account.settled(endpoint)
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", before)
    assert described["FailureReason"]
    assert account.ask(endpoint)["model"] == before


def test_a_scaled_endpoint_has_its_limits_and_its_policy_until_it_is_scaled_no_more(account: Account, endpoint: str):
    account.settled(endpoint)
    dimension = {"ServiceNamespace": "sagemaker", "ScalableDimension": "sagemaker:variant:DesiredInstanceCount"}
    target = {**dimension, "ResourceId": f"endpoint/{endpoint}/variant/AllTraffic"}
    metric = {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}
    nobody = f"endpoint/{account.name('nothing')}/variant/AllTraffic"
    with pytest.raises(ClientError) as caught:
        account.autoscaling.register_scalable_target(**{**target, "ResourceId": nobody}, MinCapacity=1, MaxCapacity=2)
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    for most in (2, 3):
        account.autoscaling.register_scalable_target(**target, MinCapacity=1, MaxCapacity=most)
        account.autoscaling.put_scaling_policy(
            **target,
            PolicyName="contract",
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration={"TargetValue": 70.0, "PredefinedMetricSpecification": metric},
        )
    resource = target["ResourceId"]
    found = account.autoscaling.describe_scalable_targets(ServiceNamespace="sagemaker", ResourceIds=[resource])
    assert [(each["MinCapacity"], each["MaxCapacity"]) for each in found["ScalableTargets"]] == [(1, 3)]
    policies = account.autoscaling.describe_scaling_policies(ServiceNamespace="sagemaker", ResourceId=resource)
    assert [each["PolicyName"] for each in policies["ScalingPolicies"]] == ["contract"]
    account.autoscaling.deregister_scalable_target(**target)
    with pytest.raises(account.autoscaling.exceptions.ObjectNotFoundException):
        account.autoscaling.deregister_scalable_target(**target)
