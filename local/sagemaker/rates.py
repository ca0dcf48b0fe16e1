"""How often an operation may be called before it is throttled, as a token bucket."""

import threading
import time
from collections.abc import Mapping

from local.sagemaker.errors import RateExceededError


class Rates:
    """Buckets that hold one second's calls; operations without a rate are not limited. In real time, as clients are."""

    def __init__(self, per_second: Mapping[str, float]) -> None:
        self._per_second = per_second
        self._lock = threading.Lock()
        self._left = {operation: max(1.0, rate) for operation, rate in per_second.items()}
        self._seen = dict.fromkeys(per_second, time.monotonic())

    def take(self, operation: str) -> None:
        """Count a call.

        Raises:
            RateExceededError: there were too many.
        """
        rate = self._per_second.get(operation)
        if rate is None:
            return
        with self._lock:
            now = time.monotonic()
            left = self._left[operation] + rate * (now - self._seen[operation])
            self._seen[operation], self._left[operation] = now, min(left, max(1.0, rate))
            if self._left[operation] < 1:
                raise RateExceededError("Rate exceeded")
            self._left[operation] -= 1
