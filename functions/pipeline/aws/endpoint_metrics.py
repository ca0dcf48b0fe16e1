"""CloudWatch: what endpoints measure of their invocations."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from pipeline.aws.alarms import NAMESPACE, dimensions
from pipeline.aws.translation import translate
from pipeline.rules.traffic import Periods, Statistic

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient


def points(
    client: "CloudWatchClient", endpoint: str, statistics: Mapping[str, Statistic], periods: Periods
) -> dict[str, dict[datetime, float]]:
    """The statistics of one endpoint: by their names, then by the beginning of a period, where there is any data.

    Raises:
        ThrottledError, ServiceUnavailableError, PipelineError: see `translation.translate`.
    """
    queries: Any = [_query(name, one, endpoint, periods.seconds) for name, one in statistics.items()]
    pages = client.get_paginator("get_metric_data").paginate(
        MetricDataQueries=queries, StartTime=periods.starts[0], EndTime=periods.end, ScanBy="TimestampAscending"
    )
    found: dict[str, dict[datetime, float]] = {}
    try:
        for page in pages:
            for result in page["MetricDataResults"]:
                its_points = zip(result["Timestamps"], result["Values"], strict=True)
                found.setdefault(result["Id"], {}).update((at.astimezone(UTC), value) for at, value in its_points)
    except (ClientError, BotoCoreError) as error:
        raise translate("CloudWatch", error) from error
    return found


def _query(name: str, statistic: Statistic, endpoint: str, period_seconds: int) -> dict[str, Any]:
    metric = {"Namespace": NAMESPACE, "MetricName": statistic.metric, "Dimensions": dimensions(endpoint)}
    return {"Id": name, "MetricStat": {"Metric": metric, "Period": period_seconds, "Stat": statistic.statistic}}
