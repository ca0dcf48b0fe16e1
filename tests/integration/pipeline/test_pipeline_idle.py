"""An endpoint that nobody asks is taken down, once, and comes back by a wake."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from pipeline.contracts.api import PolicyDescription, PolicyHistory
from pipeline.contracts.policy import CurrentPolicy
from pipeline.contracts.problem import Problem
from pipeline.contracts.run import RunRecord, RunStatus
from pipeline.errors import PipelineError
from pipeline.rules.cost import usd_per_hour
from pipeline.steps import endpoint_sweeping, records
from predict.app import handler as predict
from tests.fakes.artifact_archives import invocation_answer
from tests.fakes.configured_builds import configured
from tests.fakes.control_calls import call, document, problem
from tests.fakes.control_stack import LambdaContext, sample_event
from tests.fakes.faulty_clients import Call
from tests.fakes.pipeline_stack import PipelineStack

ENDPOINT = "gamedojo-test-basic-rt"
Later = Callable[[float], None]


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Later:
    """So many hours from now are the present to the sweep."""

    def move(hours: float) -> None:
        monkeypatch.setattr(endpoint_sweeping, "now", lambda: records.now() + timedelta(hours=hours))

    return move


def deploy(stack: PipelineStack, basic: bytes, seed: int = 0, **endpoint: Any) -> RunRecord:
    build = configured(basic, seed=seed, endpoint={"mode": "realtime", **endpoint})
    _, record = stack.run(stack.put("builds/basic.zip", build))
    assert record.status is RunStatus.SUCCEEDED
    return record


def asked(stack: PipelineStack, hours_from_now: float, times: float = 1.0, endpoint: str = ENDPOINT) -> None:
    """What SageMaker measures of an endpoint that was asked."""
    stack.cloudwatch.put_metric_data(
        Namespace="AWS/SageMaker",
        MetricData=[
            {
                "MetricName": "Invocations",
                "Dimensions": [
                    {"Name": "EndpointName", "Value": endpoint},
                    {"Name": "VariantName", "Value": "AllTraffic"},
                ],
                "Timestamp": records.now() + timedelta(hours=hours_from_now),
                "Value": times,
            }
        ],
    )


def current(stack: PipelineStack) -> CurrentPolicy:
    return CurrentPolicy.model_validate_json(stack.read("policies/basic/current.json"))


def history(stack: PipelineStack) -> PolicyHistory:
    found: PolicyHistory = document(call("GET", "/policies/basic/history"), PolicyHistory)
    return found


def assert_asleep(stack: PipelineStack) -> None:
    assert current(stack).asleep
    assert stack.sagemaker.endpoints == {}
    assert history(stack).versions[0].asleep_since is not None
    assert stack.policies.version_awake("basic") is None


def wake(stack: PipelineStack) -> RunRecord:
    record = document(call("POST", "/policies/basic/wake"), RunRecord, 202)
    stack.wait_for_executions()
    return stack.runs.get(record.run_id)


def test_an_endpoint_that_nobody_asked_for_a_day_is_taken_down_and_told_of(
    stack: PipelineStack, basic: bytes, later: Later
) -> None:
    record = deploy(stack, basic, max_instance_count=2)
    stack.messages()
    later(25)
    swept = stack.sweep_endpoints()
    assert swept["asleep"] == ["basic"]
    assert_asleep(stack)
    assert stack.autoscaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"] == []
    assert stack.policies.version_in_service("basic") == record.run_id, "it is what the next version is compared with"
    (message,) = stack.messages()
    assert (message["policy"], message["version"], message["status"]) == ("basic", record.run_id, "ASLEEP")
    assert "24 hours" in message["cause"]
    assert "/policies/{policy}/wake" in message["remedy"]
    assert stack.sweep_endpoints()["asleep"] == []
    assert stack.messages() == []


def test_who_asks_is_told_how_to_wake_it_and_then_answered(stack: PipelineStack, basic: bytes, later: Later) -> None:
    deploy(stack, basic)
    later(25)
    stack.sweep_endpoints()
    event = sample_event("predict/post_predict") | {"body": '{"observations": [[1, 0, 0]]}'}
    event["pathParameters"] = {"policy": "basic"}
    event["path"] = "/policies/basic/predict"
    answer = predict(event, LambdaContext())
    refusal = Problem.model_validate_json(answer["body"])
    assert (answer["statusCode"], refusal.code) == (409, "PolicyAsleep")
    assert "wake" in refusal.remedy
    assert document(call("GET", "/policies/basic"), PolicyDescription).asleep
    woken = wake(stack)
    assert (woken.status, woken.failure) == (RunStatus.SUCCEEDED, None)
    assert not current(stack).asleep
    assert ENDPOINT in stack.sagemaker.endpoints
    assert [one.asleep_since is None for one in history(stack).versions] == [True, False]
    assert problem(call("POST", "/policies/basic/wake"), 409).detail == "The policy basic is awake."
    later(20)
    assert stack.sweep_endpoints()["asleep"] == [], "its day begins anew"


@pytest.mark.parametrize(
    ("endpoint", "asked_at", "now", "sleeps"),
    [
        ({}, None, 23, False),
        ({}, 2, 25, False),
        ({}, 2, 28, True),
        ({"idle_ttl_hours": 3}, None, 4, True),
        ({"idle_ttl_hours": 3}, 2.5, 4, False),
        ({"idle_ttl_hours": "never"}, None, 9000, False),
        ({"mode": "serverless"}, None, 9000, False),
        ({"mode": "serverless", "idle_ttl_hours": 3}, None, 4, True),
    ],
)
def test_how_long_that_takes_is_the_requests_to_say(
    stack: PipelineStack, basic: bytes, later: Later, endpoint: Any, asked_at: float | None, now: float, sleeps: bool
) -> None:
    deploy(stack, basic, **endpoint)
    if asked_at is not None:
        asked(stack, asked_at)
    later(now)
    assert stack.sweep_endpoints()["asleep"] == (["basic"] if sleeps else [])
    assert current(stack).asleep is sleeps


def test_a_policy_that_is_being_deployed_is_left_alone(stack: PipelineStack, basic: bytes, later: Later) -> None:
    deploy(stack, basic)
    stack.policies.acquire_lease("basic", "another-run", int(records.now().timestamp()) + 25 * 3600)
    later(25)
    swept = stack.sweep_endpoints()
    assert (swept["asleep"], swept["deleted_endpoints"], swept["deleted_versions"]) == ([], [], [])
    assert ENDPOINT in stack.sagemaker.endpoints


def test_an_endpoint_that_is_changing_is_left_alone(stack: PipelineStack, basic: bytes, later: Later) -> None:
    deploy(stack, basic)
    stack.sagemaker.endpoints[ENDPOINT]["statuses"] = ["Updating"] * 50
    later(25)
    assert stack.sweep_endpoints()["asleep"] == []
    assert not current(stack).asleep


@pytest.mark.parametrize(
    "broken",
    [
        Call("", "application_autoscaling", "deregister_scalable_target", 0),
        Call("", "sagemaker", "delete_endpoint", 0),
        Call("", "cloudwatch", "delete_alarms", 1),
        Call("", "sns", "publish", 0),
        Call("", "dynamodb", "update_item", 2),  # after taking the lease, and before giving it back
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["throttled", "answer lost"])
def test_a_sweep_that_was_broken_off_is_gone_on_with(
    stack: PipelineStack, basic: bytes, later: Later, broken: Call, kind: str
) -> None:
    deploy(stack, basic, max_instance_count=2)
    stack.published()
    later(25)
    made = len([one for one in stack.faults.made if one[:3] == broken[:3]])
    number = made + (1 if broken.operation == "update_item" else broken.number)
    stack.faults.planned[broken._replace(number=number)] = kind
    with pytest.raises(PipelineError):
        stack.sweep_endpoints()
    assert len(stack.faults.hit) == 1
    stack.sweep_endpoints()
    assert_asleep(stack)
    told = {one["deduplication_id"] for one in stack.published()}
    assert len(told) == 1
    assert wake(stack).status is RunStatus.SUCCEEDED


def test_it_is_woken_while_its_endpoint_is_still_going(stack: PipelineStack, basic: bytes, later: Later) -> None:
    deploy(stack, basic)
    stack.sagemaker.deleting_looks = 5
    later(25)
    stack.sweep_endpoints()
    assert stack.sagemaker.endpoints[ENDPOINT]["statuses"][0] == "Deleting"
    woken = wake(stack)
    assert (woken.status, woken.failure) == (RunStatus.SUCCEEDED, None)
    assert stack.sagemaker.endpoints[ENDPOINT]["statuses"] == ["InService"]


def test_a_wake_that_fails_leaves_no_endpoint_and_may_be_tried_again(
    stack: PipelineStack, basic: bytes, later: Later
) -> None:
    deploy(stack, basic)
    later(25)
    stack.sweep_endpoints()
    right, stack.runtime.answer = stack.runtime.answer, lambda request, version: invocation_answer(request, "x")
    failed = wake(stack)
    assert failed.failure is not None
    assert failed.failure.code == "VerificationFailed"
    assert_asleep(stack)
    stack.runtime.answer = right
    assert wake(stack).status is RunStatus.SUCCEEDED


def test_a_wake_that_cannot_be_recorded_leaves_the_policy_asleep(
    stack: PipelineStack, basic: bytes, later: Later
) -> None:
    deploy(stack, basic)
    later(25)
    stack.sweep_endpoints()
    stack.faults.planned[Call("VerifyEndpoint", "dynamodb", "update_item", 1)] = "access denied"
    assert wake(stack).status is RunStatus.FAILED
    assert_asleep(stack)
    assert wake(stack).status is RunStatus.SUCCEEDED


def test_the_next_version_wakes_the_policy_too(stack: PipelineStack, basic: bytes, later: Later) -> None:
    stack.returns = [0.5]
    deploy(stack, basic)
    later(25)
    stack.sweep_endpoints()
    stack.returns = [0.9]
    record = deploy(stack, basic, 1)
    assert (current(stack).version, current(stack).asleep) == (record.run_id, False)
    assert record.promotion is not None
    assert record.promotion.compared_with is not None, "asleep as it was, it is what the new one is held against"


def test_an_endpoint_that_is_to_stay_is_told_of_while_nobody_asks_it(
    stack: PipelineStack, basic: bytes, later: Later
) -> None:
    deploy(stack, basic, idle_ttl_hours="never", instance_count=2)
    assert (stack.sweep_endpoints()["idle"], stack.sweep_endpoints()["idle_count"]) == ([], 0), "it is too young"
    later(25)
    swept = stack.sweep_endpoints()
    assert (swept["idle"], swept["idle_count"]) == (["basic"], 1)
    asked(stack, 20)
    assert stack.sweep_endpoints()["idle_count"] == 0


def test_what_real_time_endpoints_cost_an_hour_is_told(stack: PipelineStack, basic: bytes, later: Later) -> None:
    price = usd_per_hour("ml.c7i.large", spot=False)
    assert price is not None
    deploy(stack, basic, instance_count=3)
    assert stack.sweep_endpoints()["usd_per_hour"] == pytest.approx(3 * price)
    later(25)
    assert stack.sweep_endpoints()["usd_per_hour"] == 0.0, "it has fallen asleep"


def test_a_serverless_endpoint_costs_nothing_while_nobody_asks(
    stack: PipelineStack, basic: bytes, later: Later
) -> None:
    deploy(stack, basic, mode="serverless")
    later(25)
    swept = stack.sweep_endpoints()
    assert (swept["idle_count"], swept["usd_per_hour"]) == (0, 0.0)
