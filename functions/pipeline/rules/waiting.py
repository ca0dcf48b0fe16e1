"""How long to wait before the next look: quick at first, then a share of the time already waited."""

_SHARE = 0.05
_MAX_SECONDS = 300


def wait_seconds(waited_seconds: float, minimum_seconds: int) -> int:
    """Seconds until the next poll.

    5 % of the time waited keeps the number of polls logarithmic until the cap: a job of 28 days is looked at some 8,200
    times, a job of an hour some 60 times.
    """
    return int(min(_MAX_SECONDS, max(minimum_seconds, _SHARE * waited_seconds)))
