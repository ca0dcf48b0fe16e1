"""CloudWatch: the alarms of an endpoint, which also take an update of it back, and how much it was asked."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from pipeline.aws.translation import error_code, translate
from pipeline.rules import names

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient

NAMESPACE = "AWS/SageMaker"
"""Of the metrics of endpoints."""
_MAX_ERROR_SHARE = 0.01
"""SageMaker counts 1 for an invocation that fails and 0 for one that does not: the average is the share. Less than what
the first of many instances gets, so that one that fails on everything is noticed."""
_MICROSECONDS = 1000.0
_NOT_FOUND = {"ResourceNotFound", "ResourceNotFoundException"}
_HOUR = timedelta(hours=1)


def put(
    client: "CloudWatchClient", endpoint: str, max_latency_ms: float, topic_arn: str, tags: dict[str, str]
) -> tuple[str, ...]:
    """Create the endpoint's alarms, or bring them up to date; each looks at a minute, and one without data is fine.

    Args:
        client: CloudWatch.
        endpoint: its name; there may be none yet.
        max_latency_ms: of its model, on average.
        topic_arn: told when an alarm begins to ring, and when it ends.
        tags: of the alarms.

    Returns:
        Their names.

    Raises:
        ThrottledError, ServiceUnavailableError, PipelineError: see `translation.translate`.
    """
    _put(client, names.error_alarm(endpoint), endpoint, "Invocation5XXErrors", _MAX_ERROR_SHARE, topic_arn, tags)
    latency = max_latency_ms * _MICROSECONDS
    _put(client, names.latency_alarm(endpoint), endpoint, "ModelLatency", latency, topic_arn, tags)
    return names.alarms(endpoint)


def ringing(client: "CloudWatchClient", wanted: tuple[str, ...]) -> frozenset[str]:
    """Those of the alarms that ring now; raises as `put` does."""
    try:
        answer = client.describe_alarms(AlarmNames=list(wanted), AlarmTypes=["MetricAlarm"])
    except (ClientError, BotoCoreError) as error:
        raise translate("CloudWatch", error) from error
    return frozenset(alarm["AlarmName"] for alarm in answer["MetricAlarms"] if alarm["StateValue"] == "ALARM")


def delete(client: "CloudWatchClient", endpoint: str) -> None:
    """Delete the endpoint's alarms; what is not there is fine. Raises as `put` does."""
    for name in names.alarms(endpoint):  # one by one: of several, a missing one keeps the others
        try:
            client.delete_alarms(AlarmNames=[name])
        except (ClientError, BotoCoreError) as error:
            if error_code(error) not in _NOT_FOUND:
                raise translate("CloudWatch", error) from error


def endpoints_with_alarms(client: "CloudWatchClient", prefix: str) -> frozenset[str]:
    """Names of the endpoints that alarms of ours look at, whether they are there or not; raises as `put` does."""
    pages = client.get_paginator("describe_alarms").paginate(AlarmNamePrefix=f"{prefix}-", AlarmTypes=["MetricAlarm"])
    found = set()
    try:
        for page in pages:
            for alarm in page["MetricAlarms"]:
                found |= {one["Value"] for one in alarm.get("Dimensions", []) if one["Name"] == "EndpointName"}
    except (ClientError, BotoCoreError) as error:
        raise translate("CloudWatch", error) from error
    return frozenset(name for name in found if name.startswith(f"{prefix}-"))


def invocations(client: "CloudWatchClient", endpoint: str, since: datetime, until: datetime) -> float:
    """How often the endpoint was asked; CloudWatch tells by the whole hour. Raises as `put` does.

    Args:
        client: CloudWatch.
        endpoint: its name.
        since: at most 1,440 hours before `until` (CloudWatch answers so many numbers at once).
        until: now, as a rule.
    """
    try:
        answer = client.get_metric_statistics(
            Namespace=NAMESPACE,
            MetricName="Invocations",
            Dimensions=dimensions(endpoint),
            StartTime=since,
            EndTime=until,
            Period=int(_HOUR.total_seconds()),
            Statistics=["Sum"],
        )
    except (ClientError, BotoCoreError) as error:
        raise translate("CloudWatch", error) from error
    return sum(one["Sum"] for one in answer["Datapoints"])


def _put(
    client: "CloudWatchClient",
    name: str,
    endpoint: str,
    metric: str,
    threshold: float,
    topic_arn: str,
    tags: dict[str, str],
) -> None:
    try:
        client.put_metric_alarm(
            AlarmName=name,
            AlarmDescription=f"Takes an update of the endpoint {endpoint} back. What to do: docs/runbook.md.",
            AlarmActions=[topic_arn],
            OKActions=[topic_arn],
            Namespace=NAMESPACE,
            MetricName=metric,
            Dimensions=dimensions(endpoint),
            Statistic="Average",
            Period=60,
            EvaluationPeriods=1,
            Threshold=threshold,
            ComparisonOperator="GreaterThanThreshold",
            TreatMissingData="notBreaching",
            Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
        )
    except (ClientError, BotoCoreError) as error:
        raise translate("CloudWatch", error) from error


def dimensions(endpoint: str) -> Any:
    """Of the endpoint's metrics."""
    return [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": names.VARIANT}]
