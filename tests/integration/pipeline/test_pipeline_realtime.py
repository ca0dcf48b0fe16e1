"""Real-time endpoints: updates that alarms take back, instances that come and go, and nothing left behind."""

from typing import Any

import pytest

from pipeline.contracts.api import DeletedPolicy
from pipeline.contracts.run import RunRecord, RunStatus
from pipeline.errors import ServiceUnavailableError
from tests.fakes.configured_builds import configured
from tests.fakes.control_calls import call, document
from tests.fakes.control_stack import OPERATORS
from tests.fakes.fault_invariants import assert_whole, sweep_up
from tests.fakes.faulty_clients import Call
from tests.fakes.pipeline_stack import PipelineStack, pipeline_stack

ENDPOINT = "gamedojo-test-basic-rt"
ALARMS = [f"{ENDPOINT}-errors", f"{ENDPOINT}-latency"]
SCALED = {"instance_count": 2, "max_instance_count": 4}


def deploy(stack: PipelineStack, basic: bytes, seed: int = 0, **endpoint: Any) -> RunRecord:
    """Another version of the policy, better than the one before."""
    stack.returns = [stack.returns[-1] + 0.1]
    build = configured(basic, seed=seed, endpoint={"mode": "realtime", **endpoint})
    return stack.run(stack.put("builds/basic.zip", build))[1]


def alarms(stack: PipelineStack) -> dict[str, Any]:
    return {one["AlarmName"]: one for one in stack.cloudwatch.describe_alarms()["MetricAlarms"]}


def ring(stack: PipelineStack, name: str) -> None:
    stack.cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="the test says so")


def limits(stack: PipelineStack) -> list[tuple[int, int]]:
    targets = stack.autoscaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    assert {one["ResourceId"] for one in targets} <= {f"endpoint/{ENDPOINT}/variant/AllTraffic"}
    return [(one["MinCapacity"], one["MaxCapacity"]) for one in targets]


def served(stack: PipelineStack) -> str:
    return str({tag["Key"]: tag["Value"] for tag in stack.sagemaker.served_model(ENDPOINT)["Tags"]}["run_id"])


def test_an_update_is_watched_by_alarms_that_take_it_back(stack: PipelineStack, basic: bytes) -> None:
    deploy(stack, basic)
    assert sorted(alarms(stack)) == ALARMS, "operators are told from the first version on"
    second = deploy(stack, basic, 1, max_latency_ms=250)
    assert second.status is RunStatus.SUCCEEDED
    (update,) = stack.sagemaker.updates
    assert update["RetainAllVariantProperties"] is True
    assert update["DeploymentConfig"] == {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 300},
            "TerminationWaitInSeconds": 60,
            "MaximumExecutionTimeoutInSeconds": 3600,
        },
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name} for name in ALARMS]},
    }
    made = alarms(stack)
    assert sorted(made) == ALARMS
    assert made[ALARMS[1]]["Threshold"] == 250_000  # microseconds
    for one in made.values():
        assert {each["Name"]: each["Value"] for each in one["Dimensions"]} == {
            "EndpointName": ENDPOINT,
            "VariantName": "AllTraffic",
        }
        assert one["AlarmActions"] == one["OKActions"] == [OPERATORS]


def test_a_serverless_endpoint_is_watched_too_and_no_alarm_outlives_it(stack: PipelineStack, basic: bytes) -> None:
    for seed in (0, 1):
        deploy(stack, basic, seed, mode="serverless")
        assert sorted(alarms(stack)) == ["gamedojo-test-basic-errors", "gamedojo-test-basic-latency"]
    document(call("DELETE", "/policies/basic"), DeletedPolicy)
    assert alarms(stack) == {}


def test_a_version_that_is_brought_back_is_watched_too(stack: PipelineStack, basic: bytes) -> None:
    deploy(stack, basic)
    stack.cloudwatch.delete_alarms(AlarmNames=ALARMS)
    deploy(stack, basic, 1)
    document(call("POST", "/policies/basic/rollback"), RunRecord, 202)
    stack.wait_for_executions()
    assert sorted(alarms(stack)) == ALARMS


def test_of_several_instances_one_gets_traffic_first(stack: PipelineStack, basic: bytes) -> None:
    deploy(stack, basic)
    deploy(stack, basic, 1, instance_count=2)
    routing = stack.sagemaker.updates[0]["DeploymentConfig"]["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]
    assert (routing["Type"], routing["CanarySize"]) == ("CANARY", {"Type": "INSTANCE_COUNT", "Value": 1})
    assert stack.sagemaker.endpoints[ENDPOINT]["count"] == 2, "the request's own count holds where nothing scales"


def test_everything_that_is_made_says_whose_it_is(stack: PipelineStack, basic: bytes) -> None:
    deploy(stack, basic)
    second = deploy(stack, basic, 1)
    whose = {"project": "gamedojo", "stage": "test", "policy": "basic"}
    named: list[tuple[str, dict[str, str]]] = []
    for things in (stack.sagemaker.models, stack.sagemaker.configs):
        named += [(name, {one["Key"]: one["Value"] for one in thing["Tags"]}) for name, thing in things.items()]
    named += [
        (name, {one["Key"]: one["Value"] for one in job.request["Tags"]}) for name, job in stack.sagemaker.jobs.items()
    ]
    tags = stack.sagemaker.endpoints[ENDPOINT]["tags"]
    named.append((ENDPOINT, {one["Key"]: one["Value"] for one in tags}))
    for name, alarm in alarms(stack).items():
        tags = stack.cloudwatch.list_tags_for_resource(ResourceARN=alarm["AlarmArn"])["Tags"]
        named.append((name, {one["Key"]: one["Value"] for one in tags}))
        assert named[-1][1]["run_id"] == second.run_id
    assert len(named) == 2 + 2 + 4 + 1 + 2
    for name, found in named:
        assert {key: found[key] for key in whose} == whose, name
        assert found["run_id"].startswith("basic-"), name


def test_an_alarm_that_rings_already_says_nothing_of_the_update(stack: PipelineStack, basic: bytes) -> None:
    deploy(stack, basic)
    deploy(stack, basic, 1)
    ring(stack, ALARMS[0])
    assert deploy(stack, basic, 2).status is RunStatus.SUCCEEDED
    watching = [update["DeploymentConfig"]["AutoRollbackConfiguration"] for update in stack.sagemaker.updates]
    assert watching[1] == {"Alarms": [{"AlarmName": ALARMS[1]}]}


def test_what_sagemaker_took_back_leaves_the_former_version_and_says_why(stack: PipelineStack, basic: bytes) -> None:
    first = deploy(stack, basic)
    stack.sagemaker.endpoint_script = lambda name: ["Updating", "RollingBack", "rolled back"]
    second = deploy(stack, basic, 1)
    assert second.failure is not None
    assert (second.status, second.failure.code) == (RunStatus.FAILED, "DeploymentFailed")
    assert "the former version stays in service" in second.failure.cause
    assert "endpoint.max_latency_ms" in second.failure.remedy
    assert "redrive" in second.failure.remedy
    assert served(stack) == stack.policies.version_in_service("basic") == first.run_id


def test_a_version_that_is_brought_back_waits_for_no_alarm(stack: PipelineStack, basic: bytes) -> None:
    """They may ring for the very version that it replaces."""
    first = deploy(stack, basic)
    deploy(stack, basic, 1)
    record = document(call("POST", "/policies/basic/rollback"), RunRecord, 202)
    stack.wait_for_executions()
    assert stack.runs.get(record.run_id).status is RunStatus.SUCCEEDED
    assert served(stack) == first.run_id
    assert "DeploymentConfig" not in stack.sagemaker.updates[-1]


def test_an_update_whose_answer_was_lost_is_not_asked_for_again(stack: PipelineStack, basic: bytes) -> None:
    """It bakes for minutes, and SageMaker takes no other meanwhile."""
    first = deploy(stack, basic)
    stack.sagemaker.endpoint_script = lambda name: ["Updating"] * 20 + ["InService"]
    stack.faults.planned[Call("DeployEndpoint", "sagemaker", "update_endpoint", 0)] = "answer lost"
    second = deploy(stack, basic, 1)
    assert (second.status, second.failure) == (RunStatus.SUCCEEDED, None)
    assert len(stack.sagemaker.updates) == 1
    assert second.endpoint is not None
    assert first.endpoint is not None
    assert second.endpoint.previous_config_name == first.endpoint.config_name


def test_instances_follow_what_is_asked_over_updates_too(stack: PipelineStack, basic: bytes) -> None:
    deploy(stack, basic, **SCALED, invocations_per_minute=1200)
    assert limits(stack) == [(2, 4)]
    (policy,) = stack.autoscaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
    tracking = policy["TargetTrackingScalingPolicyConfiguration"]
    assert policy["PolicyType"] == "TargetTrackingScaling"
    assert tracking["TargetValue"] == 1200
    metric = tracking["PredefinedMetricSpecification"]["PredefinedMetricType"]
    assert metric == "SageMakerVariantInvocationsPerInstance"
    stack.sagemaker.endpoints[ENDPOINT]["count"] = 3  # autoscaling was at work
    deploy(stack, basic, 1, **SCALED)
    assert stack.sagemaker.endpoints[ENDPOINT]["count"] == 3
    assert "ExcludeRetainedVariantProperties" not in stack.sagemaker.updates[0]
    made = [one.operation for one in stack.faults.made if one.service == "application_autoscaling"]
    assert "deregister_scalable_target" not in made[2:], "it goes on while the endpoint is updated"


@pytest.mark.parametrize("change", [{"instance_type": "ml.m7i.large"}, {"max_instance_count": None}])
def test_scaling_ends_before_what_it_does_not_allow(stack: PipelineStack, basic: bytes, change: dict[str, Any]) -> None:
    """SageMaker refuses another instance type for an endpoint that is scaled."""
    deploy(stack, basic, **SCALED)
    seen = []
    stack.turn = lambda execution, state: seen.append(limits(stack)) if state == "CheckEndpoint" else None
    assert deploy(stack, basic, 1, **{**SCALED, **change}).status is RunStatus.SUCCEEDED
    assert seen[0] == []
    assert limits(stack) == ([(2, 4)] if change.get("instance_type") else [])


@pytest.mark.parametrize("swept", [False, True], ids=["by FinishRun", "by the sweeper"])
@pytest.mark.parametrize(
    ("former", "failing", "expected"),
    [
        (SCALED, {**SCALED, "instance_type": "ml.m7i.large"}, [(2, 4)]),
        (SCALED, {}, [(2, 4)]),
        ({}, {"max_instance_count": 3}, []),
    ],
)
def test_after_an_update_that_failed_the_former_version_scales_as_it_did(
    stack: PipelineStack, basic: bytes, former: Any, failing: Any, expected: list[tuple[int, int]], swept: bool
) -> None:
    first = deploy(stack, basic, **former)
    stack.faults.planned[Call("VerifyEndpoint", "s3", "put_object", 0)] = "access denied"  # after scaling has begun
    stack.broken["FinishRun"] = [ServiceUnavailableError("DynamoDB is away.")] * (9 if swept else 0)  # to its last try
    deploy(stack, basic, 1, **failing)
    if swept:
        sweep_up(stack)
    assert stack.newest().status is RunStatus.FAILED
    assert served(stack) == first.run_id
    assert limits(stack) == expected


def test_a_deleted_policy_leaves_neither_alarm_nor_scaling(stack: PipelineStack, basic: bytes) -> None:
    deploy(stack, basic, **SCALED)
    deploy(stack, basic, 1, **SCALED)
    assert (len(alarms(stack)), len(limits(stack))) == (2, 1)
    document(call("DELETE", "/policies/basic"), DeletedPolicy)
    assert (stack.sagemaker.endpoints, alarms(stack), limits(stack)) == ({}, {}, [])


def _second_deployment(stack: PipelineStack, basic: bytes) -> None:
    stack.returns = [0.5]
    first = deploy(stack, basic, **SCALED)
    assert first.status is RunStatus.SUCCEEDED


@pytest.fixture(scope="module")
def calls(basic: bytes) -> list[Call]:
    """What a real-time update asks of CloudWatch and Application Auto Scaling."""
    with pipeline_stack() as stack:
        _second_deployment(stack, basic)
        begun = len(stack.faults.made)
        deploy(stack, basic, 1, **SCALED, instance_type="ml.m7i.large")
        made = stack.faults.made[begun:]
    return sorted({one for one in made if one.service in {"cloudwatch", "application_autoscaling"}})


@pytest.mark.parametrize("kind", ["answer lost", "process killed before", "access denied"])
@pytest.mark.parametrize("number", range(6))
def test_each_of_its_calls_may_go_wrong(
    stack: PipelineStack, basic: bytes, calls: list[Call], number: int, kind: str
) -> None:
    assert len(calls) == 6
    _second_deployment(stack, basic)
    stack.faults.planned[calls[number]] = kind
    record = deploy(stack, basic, 1, **SCALED, instance_type="ml.m7i.large")
    assert stack.faults.hit == [calls[number]]
    sweep_up(stack)
    assert_whole(stack)
    assert record.status is (RunStatus.FAILED if kind == "access denied" else RunStatus.SUCCEEDED)
    assert limits(stack) == [(2, 4)], "whichever version is in service is scaled"
