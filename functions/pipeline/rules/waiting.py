"""How long to wait before the next look: quick at first, then a share of the time already waited."""

_SHARE = 0.05
_MAX_SECONDS = 3600
"""An execution may have 25,000 history events and a look costs nine of them (Step Functions quotas): with this cap, two
jobs of 28 days and their hours in the queue stay below 16,000; with a cap of five minutes one job alone would end the
execution."""


def wait_seconds(waited_seconds: float, minimum_seconds: int) -> int:
    """Seconds until the next look: at most 5 % later than the news, a job of an hour is looked at some 60 times."""
    return int(max(minimum_seconds, min(_MAX_SECONDS, _SHARE * waited_seconds)))
