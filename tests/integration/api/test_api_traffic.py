"""How often a policy's endpoint was asked and how fast it was, as CloudWatch tells it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.stub import ANY, Stubber

from pipeline.api.policies import policy_traffic
from pipeline.aws.served_policies import ServedPolicies
from pipeline.contracts.api import PolicyTraffic, TrafficQuery
from pipeline.contracts.policy import CurrentPolicy
from pipeline.errors import PipelineError
from tests.fakes.control_calls import call, document, problem
from tests.fakes.control_stack import BUCKET, control_stack, moto_client

ENDPOINT = "gamedojo-test-basic"


@pytest.fixture
def stack():
    with control_stack() as made:
        current = CurrentPolicy(
            policy="basic", version="v", endpoint_name=ENDPOINT, spec_key="policies/basic/spec.json"
        )
        made.put_document("policies/basic/current.json", current)
        yield made


def told(column: tuple[float | None, ...]) -> list[float]:
    return [value for value in column if value is not None]


def measured(*values: tuple[str, float], ago: timedelta = timedelta(), endpoint: str = ENDPOINT) -> None:
    """As SageMaker tells CloudWatch of invocations."""
    dimensions = [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": "AllTraffic"}]
    data: Any = [
        {"MetricName": name, "Dimensions": dimensions, "Timestamp": datetime.now(UTC) - ago, "Value": value}
        for name, value in values
    ]
    moto_client("cloudwatch").put_metric_data(Namespace="AWS/SageMaker", MetricData=data)


def ask(**query: str) -> PolicyTraffic:
    return document(call("GET", "/policies/basic/traffic", query=query or None), PolicyTraffic)


def test_the_last_hour_is_told_by_minutes(stack):
    measured(("Invocations", 1), ("ModelLatency", 2500), ("Invocation5XXErrors", 1), ago=timedelta(minutes=10))
    measured(("Invocations", 1), ("ModelLatency", 3500), ("Invocation5XXErrors", 0), ago=timedelta(minutes=10))
    measured(("Invocations", 1), ago=timedelta(hours=2))
    measured(("Invocations", 1), endpoint="gamedojo-test-other")
    found = ask()
    assert (found.endpoint_name, found.window, found.period_seconds) == (ENDPOINT, "1h", 60)
    assert len(found.starts) == 60
    assert found.total.model_dump() == {"invocations": 2, "errors_4xx": 0, "errors_5xx": 1}
    (at,) = (n for n, count in enumerate(found.columns["invocations"]) if count)
    assert 48 <= at <= 49  # the hour ends with the minute that has begun
    assert found.columns["latency_ms_mean"][at] == 3.0
    assert told(found.columns["latency_ms_mean"]) == [3.0]
    assert (found.columns["latency_ms_p50"][at], found.columns["latency_ms_p99"][at]) == (2.5, 3.5)


@pytest.mark.parametrize(("window", "asked"), [("1h", 1), ("24h", 2), ("7d", 3)])
def test_a_longer_window_goes_further_back(stack, window, asked):
    for ago in (timedelta(minutes=5), timedelta(hours=5), timedelta(days=5), timedelta(days=8)):
        measured(("Invocations", 1), ago=ago)
    assert ask(window=window).total.invocations == asked


def test_of_an_endpoint_that_nobody_asked_every_period_is_empty(stack):
    found = ask()
    assert set(found.columns["invocations"]) == {0.0}
    assert set(found.columns["latency_ms_p99"]) == {None}


@pytest.mark.parametrize("window", ["2h", "1H"])
def test_a_window_that_is_none_is_named(stack, window):
    answer = call("GET", "/policies/basic/traffic", query={"window": window})
    assert [one.field for one in problem(answer, 400).errors] == ["window"]


def test_of_an_unknown_policy_nothing_is_told(stack):
    assert problem(call("GET", "/policies/nobody/traffic"), 404).code == "PolicyNotFound"


def test_what_is_asked_for_is_this_endpoints_alone_and_parts_of_an_answer_are_joined(stack):
    cloudwatch = moto_client("cloudwatch")
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    request = {"MetricDataQueries": ANY, "StartTime": ANY, "EndTime": ANY, "ScanBy": "TimestampAscending"}
    with Stubber(cloudwatch) as stub:
        for minutes, more in ((3, {"NextToken": "t"}), (2, {})):
            result = {
                "Id": "latency_ms_p99",
                "Timestamps": [now - timedelta(minutes=minutes)],
                "Values": [minutes * 1e3],
            }
            stub.add_response(
                "get_metric_data",
                {"MetricDataResults": [result], **more},
                request if more else {**request, "NextToken": "t"},
            )
        found = policy_traffic(ServedPolicies(stack.s3, BUCKET), cloudwatch, "basic", TrafficQuery())
        stub.assert_no_pending_responses()
    assert told(found.columns["latency_ms_p99"]) == [3.0, 2.0]


@pytest.mark.parametrize(
    ("code", "status", "error"), [("Throttling", 400, "Throttled"), ("InternalServiceFault", 500, "ServiceUnavailable")]
)
def test_what_cloudwatch_refuses_may_be_asked_again(stack, code, status, error):
    cloudwatch = moto_client("cloudwatch")
    with Stubber(cloudwatch) as stub:
        stub.add_client_error("get_metric_data", code, http_status_code=status)
        with pytest.raises(PipelineError) as raised:
            policy_traffic(ServedPolicies(stack.s3, BUCKET), cloudwatch, "basic", TrafficQuery())
    assert raised.value.code() == error
