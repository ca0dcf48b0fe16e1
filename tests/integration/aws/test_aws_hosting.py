"""Alarms, scaling and lists of endpoints as AWS is asked for them: repeatable, errors by code, nothing of others."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from pipeline.aws import alarms, endpoints, scaling
from pipeline.aws.clients import HostingClients
from pipeline.contracts.request import EndpointRequest
from pipeline.errors import NotYetConsistentError, PipelineError, ServiceUnavailableError, ThrottledError
from pipeline.rules import names
from pipeline.rules.rollouts import Rollout
from tests.fakes.control_stack import OPERATORS, REGION
from tests.fakes.sagemaker_double import SageMakerDouble, refused
from tests.integration.aws.test_aws_sagemaker import in_service, served

ENDPOINT = "gamedojo-test-basic-rt"
TAGS = {"project": "gamedojo", "stage": "test"}
SCALED = EndpointRequest(mode="realtime", instance_count=2, max_instance_count=5, invocations_per_minute=600)
MOMENT = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.fixture
def hosting(monkeypatch: pytest.MonkeyPatch) -> Iterator[HostingClients]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    with mock_aws():
        cloudwatch, autoscaling = (
            boto3.client(name, region_name=REGION) for name in ("cloudwatch", "application-autoscaling")
        )
        sagemaker: Any = SageMakerDouble()
        yield HostingClients(sagemaker, cloudwatch, autoscaling)


def ring(hosting: HostingClients, name: str) -> None:
    hosting.cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="test")


def test_alarms_are_put_twice_as_well_as_once_and_those_that_ring_are_told(hosting: HostingClients) -> None:
    for latency_ms in (100.0, 250.0):
        assert alarms.put(hosting.cloudwatch, ENDPOINT, latency_ms, OPERATORS, TAGS) == names.alarms(ENDPOINT)
    found = {one["AlarmName"]: one for one in hosting.cloudwatch.describe_alarms()["MetricAlarms"]}
    assert set(found) == set(names.alarms(ENDPOINT))
    assert found[names.latency_alarm(ENDPOINT)]["Threshold"] == 250_000
    assert all(one["AlarmActions"] == one["OKActions"] == [OPERATORS] for one in found.values())
    assert {one["TreatMissingData"] for one in found.values()} == {"notBreaching"}
    assert alarms.ringing(hosting.cloudwatch, names.alarms(ENDPOINT)) == frozenset()
    ring(hosting, names.error_alarm(ENDPOINT))
    assert alarms.ringing(hosting.cloudwatch, names.alarms(ENDPOINT)) == {names.error_alarm(ENDPOINT)}


def test_alarms_of_endpoints_of_ours_are_found_and_deleted(hosting: HostingClients) -> None:
    for endpoint in (ENDPOINT, "gamedojo-test-other-rt", "gamedojo-testing-basic-rt"):
        alarms.put(hosting.cloudwatch, endpoint, 100, OPERATORS, TAGS)
    ours = {ENDPOINT, "gamedojo-test-other-rt"}
    assert alarms.endpoints_with_alarms(hosting.cloudwatch, "gamedojo-test") == ours
    for _ in range(2):
        alarms.delete(hosting.cloudwatch, ENDPOINT)
        assert alarms.endpoints_with_alarms(hosting.cloudwatch, "gamedojo-test") == ours - {ENDPOINT}


def test_invocations_are_those_of_one_endpoint_in_one_time(hosting: HostingClients) -> None:
    for endpoint, hours, value in ((ENDPOINT, -30, 1), (ENDPOINT, -20, 2), (ENDPOINT, -0.5, 4), ("other", -1, 8)):
        datum: Any = {
            "MetricName": "Invocations",
            "Dimensions": [
                {"Name": "EndpointName", "Value": endpoint},
                {"Name": "VariantName", "Value": "AllTraffic"},
            ],
            "Timestamp": MOMENT + timedelta(hours=hours),
            "Value": value,
        }
        hosting.cloudwatch.put_metric_data(Namespace="AWS/SageMaker", MetricData=[datum])
    asked = alarms.invocations(hosting.cloudwatch, ENDPOINT, MOMENT - timedelta(hours=24), MOMENT)
    assert asked == 6
    assert alarms.invocations(hosting.cloudwatch, "never", MOMENT - timedelta(hours=24), MOMENT) == 0


def test_scaling_is_registered_changed_and_ended(hosting: HostingClients) -> None:
    scaling.register(hosting.autoscaling, ENDPOINT, SCALED)
    scaling.register(hosting.autoscaling, ENDPOINT, SCALED.model_copy(update={"max_instance_count": 7}))
    (target,) = hosting.autoscaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (2, 7)
    policies = hosting.autoscaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
    assert [one["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] for one in policies] == [600]
    assert scaling.scaled_endpoints(hosting.autoscaling, "gamedojo-test") == {ENDPOINT}
    assert scaling.scaled_endpoints(hosting.autoscaling, "gamedojo-prod") == frozenset()
    for _ in range(2):
        scaling.deregister(hosting.autoscaling, ENDPOINT)
    assert scaling.scaled_endpoints(hosting.autoscaling, "gamedojo-test") == frozenset()


class Refusing:
    """A client whose every operation is refused so."""

    def __init__(self, error: ClientError) -> None:
        self._error = error

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def refuse(*arguments: Any, **request: Any) -> Any:
            raise self._error

        return refuse


CALLS: dict[str, Callable[[Any], Any]] = {
    "register": lambda client: scaling.register(client, ENDPOINT, SCALED),
    "deregister": lambda client: scaling.deregister(client, ENDPOINT),
    "put": lambda client: alarms.put(client, ENDPOINT, 100, OPERATORS, TAGS),
    "ringing": lambda client: alarms.ringing(client, ("a",)),
    "delete": lambda client: alarms.delete(client, ENDPOINT),
    "invocations": lambda client: alarms.invocations(client, ENDPOINT, MOMENT - timedelta(hours=1), MOMENT),
    "instance_type": lambda client: endpoints.instance_type(client, "c"),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("ThrottlingException", 400, ThrottledError),
        ("InternalServiceFault", 500, ServiceUnavailableError),
        ("AccessDeniedException", 403, PipelineError),
    ],
)
def test_faults_are_told_apart_by_their_codes(call: str, code: str, status: int, error: type[PipelineError]) -> None:
    with pytest.raises(PipelineError) as caught:
        CALLS[call](Refusing(refused("Any", code, "words that change", status)))
    assert type(caught.value) is error


@pytest.mark.parametrize("code", ["ValidationException", "ConcurrentUpdateException"])
def test_an_endpoint_that_cannot_be_scaled_yet_is_tried_again(code: str) -> None:
    with pytest.raises(NotYetConsistentError, match=ENDPOINT):
        scaling.register(Refusing(refused("RegisterScalableTarget", code)), ENDPOINT, SCALED)


@pytest.mark.parametrize(
    ("rollout", "kind"),
    [
        (Rollout(canary_instances=0, bake_seconds=300, termination_seconds=60, alarms=("a", "b")), "ALL_AT_ONCE"),
        (Rollout(canary_instances=1, bake_seconds=0, termination_seconds=0, alarms=()), "CANARY"),
    ],
)
def test_an_update_says_how_it_goes_in(hosting: HostingClients, rollout: Rollout, kind: str) -> None:
    sagemaker: Any = hosting.sagemaker  # the double checks by botocore's model
    in_service(sagemaker)
    endpoints.create_config(sagemaker, served("v2"))
    endpoints.update(sagemaker, "e", "gamedojo-test-v2", rollout, keep_count=False)
    (asked,) = sagemaker.updates
    routing = asked["DeploymentConfig"]["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]
    assert (routing["Type"], routing["WaitIntervalInSeconds"]) == (kind, rollout.bake_seconds)
    assert ("AutoRollbackConfiguration" in asked["DeploymentConfig"]) == bool(rollout.alarms)
    assert asked["RetainAllVariantProperties"] is True
    assert asked["ExcludeRetainedVariantProperties"] == [{"VariantPropertyType": "DesiredInstanceCount"}]


def test_an_endpoint_is_taken_down_with_what_hangs_on_it_in_any_state(hosting: HostingClients) -> None:
    sagemaker: Any = hosting.sagemaker
    in_service(sagemaker)
    alarms.put(hosting.cloudwatch, "e", 100, OPERATORS, TAGS)
    scaling.register(hosting.autoscaling, "e", SCALED)
    for _ in range(2):
        endpoints.take_down(hosting, "e")
        assert sagemaker.endpoints == {}
        assert hosting.cloudwatch.describe_alarms()["MetricAlarms"] == []
        assert hosting.autoscaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"] == []


def test_lists_name_what_is_ours_and_tags_say_whose_it_is(hosting: HostingClients) -> None:
    sagemaker: Any = hosting.sagemaker
    in_service(sagemaker)
    endpoints.create_config(sagemaker, served("v2").model_copy(update={"tags": {"project": "another"}}))
    found = endpoints.versions_of(sagemaker, "gamedojo-test")
    assert sorted(one.name for one in found) == ["gamedojo-test-v1"] * 2 + ["gamedojo-test-v2"] * 2
    assert endpoints.versions_of(sagemaker, "gamedojo-tes") == ()
    policies = {one.name: endpoints.policy_of(sagemaker, one) for one in found}
    assert policies == {"gamedojo-test-v1": "basic", "gamedojo-test-v2": None}
    endpoints.delete_config(sagemaker, "gamedojo-test-v2")
    assert endpoints.policy_of(sagemaker, found[-1]) is None, "it is gone meanwhile"
