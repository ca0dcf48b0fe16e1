"""How often each endpoint is asked, by minutes of the double's clock: what autoscaling goes by."""

import threading
from collections import Counter, defaultdict

from local.sagemaker.clock import Clock

MINUTE_SECONDS = 60
_REMEMBERED_MINUTES = 60


class Demand:
    """Counts of the last hour."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: defaultdict[str, Counter[int]] = defaultdict(Counter)

    def count(self, endpoint: str) -> None:
        """One invocation, now."""
        minute = self._minute()
        with self._lock:
            counts = self._counts[endpoint]
            counts[minute] += 1
            if len(counts) > _REMEMBERED_MINUTES:
                del counts[min(counts)]

    def of_last_minutes(self, endpoint: str, minutes: int) -> list[int]:
        """Invocations of each of the last whole minutes, oldest first."""
        present = self._minute()
        with self._lock:
            counts = self._counts[endpoint]
            return [counts[minute] for minute in range(present - minutes, present)]

    def _minute(self) -> int:
        return int(self._clock.now() // MINUTE_SECONDS)
