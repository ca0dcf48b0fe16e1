"""Application Auto Scaling of endpoints: limits that have their effect, policies that are followed."""

from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.fakes.sagemaker_cloud import Cloud, client, service
from tests.fakes.waiting import wait_for

TARGET = {"ServiceNamespace": "sagemaker", "ScalableDimension": "sagemaker:variant:DesiredInstanceCount"}


@pytest.fixture(scope="module")
def scaling(cloud: Cloud):
    return client(cloud.url, "application-autoscaling")


def of(name: str) -> dict:
    return {**TARGET, "ResourceId": f"endpoint/{name}/variant/AllTraffic"}


def count(cloud: Cloud, name: str) -> int:
    return cloud.settled(name)["ProductionVariants"][0]["CurrentInstanceCount"]


def test_limits_have_their_effect_and_go_with_the_endpoint(cloud: Cloud, scaling):
    name = "scaled"
    cloud.endpoint(name)
    cloud.settled(name)
    scaling.register_scalable_target(**of(name), MinCapacity=2, MaxCapacity=3)
    wait_for(lambda: count(cloud, name) == 2, "the minimum is there")
    scaling.register_scalable_target(**of(name), MinCapacity=1, MaxCapacity=1)
    wait_for(lambda: count(cloud, name) == 1, "the maximum is kept")
    found = scaling.describe_scalable_targets(ServiceNamespace="sagemaker", ResourceIds=[of(name)["ResourceId"]])
    assert [(each["MinCapacity"], each["MaxCapacity"]) for each in found["ScalableTargets"]] == [(1, 1)]
    cloud.sagemaker.delete_endpoint(EndpointName=name)
    wait_for(lambda: targets(scaling, name) == [], "the target is gone with its endpoint")


def targets(scaling, name: str) -> list:
    answer = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")
    return [each for each in answer["ScalableTargets"] if f"/{name}/" in each["ResourceId"]]


def test_policies_are_kept_and_deleted_with_their_target(cloud: Cloud, scaling):
    name = "tracked"
    cloud.endpoint(name)
    cloud.settled(name)
    metric = {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}
    policy = {
        "PolicyName": "track",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {"TargetValue": 70.0, "PredefinedMetricSpecification": metric},
    }
    with pytest.raises(scaling.exceptions.ObjectNotFoundException, match="No scalable target registered"):
        scaling.put_scaling_policy(**of(name), **policy)
    scaling.register_scalable_target(**of(name), MinCapacity=1, MaxCapacity=2)
    for _ in range(2):
        assert scaling.put_scaling_policy(**of(name), **policy)["PolicyARN"]
    found = scaling.describe_scaling_policies(ServiceNamespace="sagemaker", ResourceId=of(name)["ResourceId"])
    assert [each["PolicyName"] for each in found["ScalingPolicies"]] == ["track"]
    scaling.delete_scaling_policy(**of(name), PolicyName="track")
    with pytest.raises(scaling.exceptions.ObjectNotFoundException):
        scaling.delete_scaling_policy(**of(name), PolicyName="track")
    scaling.deregister_scalable_target(**of(name))
    with pytest.raises(scaling.exceptions.ObjectNotFoundException):
        scaling.deregister_scalable_target(**of(name))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"ResourceId": "endpoint/nobody/variant/AllTraffic"}, "ValidationException"),
        ({"ResourceId": "table/mine"}, "ValidationException"),
        ({"ServiceNamespace": "dynamodb"}, "NotImplementedLocally"),
        ({"MinCapacity": 3}, "ValidationException"),
    ],
)
def test_what_cannot_be_is_refused(cloud: Cloud, scaling, changes: dict, code: str):
    name = "never-scaled"
    if name not in str(cloud.sagemaker.list_endpoints(NameContains=name)):
        cloud.endpoint(name)
    cloud.settled(name)
    with pytest.raises(ClientError) as caught:
        scaling.register_scalable_target(**{**of(name), "MinCapacity": 1, "MaxCapacity": 2, **changes})
    assert caught.value.response["Error"]["Code"] == code


def track(cloud: Cloud, scaling, name: str, target: float, **limits: int) -> None:
    metric = {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}
    scaling.register_scalable_target(**of(name), **limits)
    scaling.put_scaling_policy(
        **of(name),
        PolicyName="track",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": target,
            "PredefinedMetricSpecification": metric,
            "ScaleOutCooldown": 60,
            "ScaleInCooldown": 300,
        },
    )


def ask_for_minutes(cloud: Cloud, name: str, minutes: int, times: int) -> None:
    for _ in range(minutes):
        for _ in range(times):
            cloud.invoke(name)
        cloud.admin("POST", "clock", {"advance_seconds": 60})


def test_instances_come_with_what_is_asked_and_go_again(emulator_url: str, tmp_path: Path):
    name = "followed"
    with service(tmp_path, emulator_url) as own:
        scaling = client(own.url, "application-autoscaling")
        own.endpoint(name)
        own.settled(name)
        track(own, scaling, name, target=5.0, MinCapacity=1, MaxCapacity=3)
        ask_for_minutes(own, name, minutes=4, times=12)
        wait_for(lambda: count(own, name) == 3, "12 a minute want three instances of 5 a minute")
        ask_for_minutes(own, name, minutes=17, times=2)
        wait_for(lambda: count(own, name) == 1, "2 a minute want one")


def test_an_endpoint_that_nobody_asks_keeps_its_instances(emulator_url: str, tmp_path: Path):
    name = "forgotten"
    with service(tmp_path, emulator_url) as own:
        scaling = client(own.url, "application-autoscaling")
        own.endpoint(name)
        own.settled(name)
        track(own, scaling, name, target=5.0, MinCapacity=1, MaxCapacity=2)
        ask_for_minutes(own, name, minutes=4, times=12)
        wait_for(lambda: count(own, name) == 2, "the maximum")
        for _ in range(20):
            own.admin("POST", "clock", {"advance_seconds": 60})
        assert own.settled(name)["ProductionVariants"][0]["DesiredInstanceCount"] == 2
