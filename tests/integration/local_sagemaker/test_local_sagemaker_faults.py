"""The fault plan as clients meet it: calls that are refused or lost, no capacity, /ping that fails."""

import json
import urllib.error
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from tests.fakes.sagemaker_cloud import Cloud, client, service, training_request
from tests.fakes.waiting import wait_for


@pytest.fixture(autouse=True)
def no_plan_stays(cloud: Cloud):
    yield
    cloud.plan()


@pytest.mark.parametrize(
    ("kind", "code", "status"),
    [
        ("throttling", "ThrottlingException", 400),
        ("resource_limit", "ResourceLimitExceeded", 400),
        ("internal_failure", "InternalFailure", 500),
        ("service_unavailable", "ServiceUnavailable", 503),
        ("access_denied", "AccessDeniedException", 400),
    ],
)
def test_a_call_is_refused_as_often_as_planned_and_leaves_nothing(cloud: Cloud, kind: str, code: str, status: int):
    name = f"refused-{kind.replace('_', '-')}"
    cloud.plan({"kind": kind, "action": "CreateTrainingJob", "resource": name, "times": 2})
    for _ in range(2):
        with pytest.raises(ClientError) as caught:
            cloud.once.create_training_job(**training_request(name))
        assert caught.value.response["Error"]["Code"] == code
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
        with pytest.raises(cloud.sagemaker.exceptions.ResourceNotFound):
            cloud.described(name)
    cloud.train(name)
    assert cloud.ended(name)["TrainingJobStatus"] == "Completed"
    assert cloud.happened() == [2]


def test_boto3_gets_over_throttling_by_itself(cloud: Cloud):
    cloud.plan({"kind": "throttling", "action": "ListTrainingJobs", "times": 2})
    cloud.sagemaker.list_training_jobs()
    assert cloud.happened() == [2]


def test_a_lost_request_was_not_done(cloud: Cloud):
    cloud.plan({"kind": "lost_request", "action": "CreateModel"})
    with pytest.raises(ConnectionClosedError):
        cloud.once.create_model(ModelName="lost", ExecutionRoleArn="arn:aws:iam::123456789012:role/r", Containers=[])
    with pytest.raises(ClientError, match="Could not find model"):
        cloud.once.describe_model(ModelName="lost")


def test_a_lost_answer_was_done(cloud: Cloud):
    cloud.plan({"kind": "lost_answer", "action": "CreateTrainingJob"})
    with pytest.raises(ConnectionClosedError):
        cloud.once.create_training_job(**training_request("answer-lost"))
    assert cloud.ended("answer-lost")["TrainingJobStatus"] == "Completed"


def test_a_client_that_tries_again_after_a_lost_answer_meets_its_own_job(cloud: Cloud):
    cloud.plan({"kind": "lost_answer", "action": "CreateTrainingJob"})
    with pytest.raises(cloud.sagemaker.exceptions.ResourceInUse):
        cloud.train("answer-lost-twice")
    cloud.ended("answer-lost-twice")


@pytest.mark.parametrize(("kind", "code"), [("throttling", "ThrottlingException"), ("internal_failure", "500")])
def test_an_invocation_is_refused(cloud: Cloud, kind: str, code: str):
    name = f"invoked-{kind.split('_')[0]}"
    cloud.endpoint(name)
    cloud.settled(name)
    cloud.plan({"kind": kind, "action": "InvokeEndpoint", "resource": name, "times": None})
    once = client(cloud.url, "sagemaker-runtime", cloud.once.meta.config)
    with pytest.raises(ClientError) as caught:
        once.invoke_endpoint(EndpointName=name, Body=b"{}")
    assert caught.value.response["Error"]["Code"] in (code, "InternalFailure")
    cloud.plan()
    assert cloud.invoke(name)["document"]["model"] == f"{name}-1"


def test_without_capacity_a_job_fails_and_says_so(cloud: Cloud):
    cloud.plan({"kind": "capacity_error", "resource": "no-room"})
    cloud.train("no-room")
    described = cloud.ended("no-room")
    assert described["TrainingJobStatus"] == "Failed"
    assert described["FailureReason"].startswith("CapacityError: Unable to provision requested ML compute capacity")
    assert cloud.phases("no-room") == ["Starting", "Pending", "Failed"]
    cloud.train("no-room-again")
    assert cloud.ended("no-room-again")["TrainingJobStatus"] == "Completed"


def test_a_plan_in_a_file(emulator_url: str, tmp_path: Path):
    path = tmp_path / "plan.json"
    path.write_text(json.dumps({"faults": [{"kind": "throttling", "action": "ListModels"}]}))
    with service(tmp_path, emulator_url, fault_plan=str(path)) as own:
        with pytest.raises(ClientError, match="Rate exceeded"):
            own.once.list_models()
        own.once.list_models()


def test_a_plan_that_is_none_is_refused(cloud: Cloud):
    with pytest.raises(urllib.error.HTTPError) as caught:
        cloud.plan({"kind": "earthquake"})
    assert caught.value.code == 400
    assert "faults.0.kind" in json.loads(caught.value.read())["message"]


def test_a_rate_is_kept(emulator_url: str, tmp_path: Path):
    with service(tmp_path, emulator_url, rates={"ListTrainingJobs": 0.001}) as own:
        own.once.list_training_jobs()
        with pytest.raises(ClientError, match="Rate exceeded"):
            own.once.list_training_jobs()
        own.once.list_endpoints()


def test_a_quota_counts_instances_and_spot_has_its_own(emulator_url: str, tmp_path: Path):
    quotas = {"ml.m5.large for training job usage": 2, "ml.m5.large for spot training job usage": 1}
    with service(tmp_path, emulator_url, quotas=quotas) as own:
        three = {"InstanceType": "ml.m5.large", "InstanceCount": 3, "VolumeSizeInGB": 1}
        with pytest.raises(own.sagemaker.exceptions.ResourceLimitExceeded, match="a request delta of 3 Instances"):
            own.train("three", ResourceConfig=three)
        own.train("two", {"until": "/never"}, ResourceConfig={**three, "InstanceCount": 2})
        spot = {
            "EnableManagedSpotTraining": True,
            "StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 60},
        }
        own.train("spot", {"until": "/never"}, **spot)
        with pytest.raises(own.sagemaker.exceptions.ResourceLimitExceeded, match="for spot training job usage"):
            own.train("spot-2", **spot)
        wait_for(lambda: own.described("two")["SecondaryStatus"] == "Training", "the job runs")
