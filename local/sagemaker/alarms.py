"""CloudWatch alarms, in the emulator: those that a deployment names ring for its rollback."""

import logging
import operator
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

_EVALUATED = "Threshold Crossed"
"""What the reason of a state begins with that was not set by hand (SetAlarmState)."""
_BREACHES = {
    "GreaterThanThreshold": operator.gt,
    "GreaterThanOrEqualToThreshold": operator.ge,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}

_log = logging.getLogger(__name__)


class Alarms:
    """Asks for the state of alarms."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def ringing(self, names: Sequence[str]) -> list[str]:
        """Those of the alarms that are in ALARM; none while CloudWatch cannot be asked."""
        if not names:
            return []
        try:
            found = self._client.describe_alarms(AlarmNames=list(names), StateValue="ALARM")
            metric_alarms = [alarm for alarm in found.get("MetricAlarms", []) if self._rings_for_its_own(alarm)]
        except (ClientError, BotoCoreError) as error:
            _log.warning("The alarms %s cannot be asked for: %s", ", ".join(names), error)
            return []
        return sorted(alarm["AlarmName"] for alarm in metric_alarms + found.get("CompositeAlarms", []))

    def _rings_for_its_own(self, alarm: Mapping[str, Any]) -> bool:
        """False if the alarm rings for another endpoint's values.

        The emulator (ministack 1.5.33) evaluates an alarm over its metric in all dimensions; its statistics go by them.
        """
        breaches = _BREACHES.get(alarm["ComparisonOperator"])
        statistic = alarm.get("Statistic")
        if not alarm["StateReason"].startswith(_EVALUATED) or breaches is None or statistic is None:
            return True
        looked_back = timedelta(seconds=alarm["Period"] * alarm["EvaluationPeriods"])
        answer = self._client.get_metric_statistics(
            Namespace=alarm["Namespace"],
            MetricName=alarm["MetricName"],
            Dimensions=alarm.get("Dimensions", []),
            StartTime=alarm["StateUpdatedTimestamp"] - looked_back,
            EndTime=datetime.now(UTC) + timedelta(seconds=1),
            Period=alarm["Period"],
            Statistics=[statistic],
        )
        return any(breaches(point[statistic], alarm["Threshold"]) for point in answer["Datapoints"])
