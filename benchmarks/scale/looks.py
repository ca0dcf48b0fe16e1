"""When the state machine looks at what takes time, by the product's own rule."""

from bisect import bisect_left
from functools import cache

from pipeline.rules.waiting import wait_seconds

_LONGEST_SECONDS = 60 * 86400


def found_after(seconds: float, minimum: int) -> tuple[float, int]:
    """What ends after `seconds` is found to have ended at which second, by which look (1 is the first)."""
    moments = _moments(minimum)
    index = bisect_left(moments, seconds)
    return float(moments[index]), index + 1


@cache
def _moments(minimum: int) -> list[int]:
    """Seconds of all looks: the first after the shortest pause, as `JobHandle.wait_seconds` says."""
    found = [minimum]
    while found[-1] < _LONGEST_SECONDS:
        found.append(found[-1] + wait_seconds(found[-1], minimum))
    return found
