"""CloudWatch alarms, in the emulator: those that a deployment names ring for its rollback."""

import logging
from collections.abc import Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

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
        except (ClientError, BotoCoreError) as error:
            _log.warning("The alarms %s cannot be asked for: %s", ", ".join(names), error)
            return []
        return sorted(alarm["AlarmName"] for alarm in found.get("MetricAlarms", []) + found.get("CompositeAlarms", []))
