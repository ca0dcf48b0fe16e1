"""Whose turn it is: at most so many runs at once, first come, first served; priority counts as having come earlier."""

from pipeline.contracts.turns import Turns, Waiting
from pipeline.rules.waiting import wait_seconds

FORGOTTEN_SECONDS = 3 * 3600
"""Who waits asks at least each hour (`pause_seconds`). Who has not asked for so long has died, and holds nobody up."""

SEEN_SECONDS = 1800
"""Who waits writes that it was seen so often only: an ask that changes nothing else writes nothing, and so does not get
into the way of others, for all write the same item."""

HEAD_START_SECONDS = 6 * 3600
"""What each point of priority is worth: a run goes before those that came so much earlier. Important ones overtake, and
nobody is overtaken for ever: from the highest priority to the lowest it is five days, and a run may wait for seven."""

MOST_WAITING = 3000
"""As many find room in the item beside 1,000 holders (DynamoDB: 400 KB). More stay outside, and ask for a place."""

_LEAST_TURN_SECONDS = 300
"""No turn that trains is much shorter: two jobs start, an endpoint comes up. What a place in the queue is worth."""
_EAGER_ASKS = 400
"""After so many a run asks as it looks at jobs, a share of the time waited apart: a week in front of a queue that does
not move keeps within an execution's history (`rules.waiting`)."""
_MAX_SECONDS = 3600


def asked(turns: Turns, run_id: str, priority: int, limit: int, now: int) -> Turns:
    """The turns after this run has asked for one, at `now` (seconds since 1970): it holds one, waits, or has no place.

    A turn is free when fewer than `limit` runs hold one. Those that wait before this run take theirs when they ask; so
    it gets one if there are more free ones than runs before it.
    """
    if run_id in turns.holders:
        return turns
    known = next((one for one in turns.waiting if one.run_id == run_id), None)
    mine = _seen(known, now) if known else Waiting(run_id=run_id, priority=priority, since=now, seen=now)
    others = [one for one in turns.waiting if one is not known and now - one.seen < FORGOTTEN_SECONDS]
    if known is None and len(others) >= MOST_WAITING:
        return Turns(holders=turns.holders, waiting=tuple(others))
    waiting = tuple(sorted([*others, mine], key=_order))
    if _place(waiting, run_id) < limit - len(turns.holders):
        return Turns(holders=(*turns.holders, run_id), waiting=tuple(one for one in waiting if one is not mine))
    return Turns(holders=turns.holders, waiting=waiting)


def pause_seconds(turns: Turns, run_id: str, limit: int, waited: int, asks: int, minimum: int) -> int:
    """Seconds until a run that waits asks again: the nearer its turn, the sooner.

    A turn stands free until the first in the queue asks for it, so that one asks often; and thousands behind it do not.

    Args:
        turns: after the run has asked.
        run_id: the run's.
        limit: how many turns there are; at least 1.
        waited: seconds since the run asked first.
        asks: how often it has asked.
        minimum: of the pause.
    """
    by_place = _LEAST_TURN_SECONDS * (_place(turns.waiting, run_id) + 1) / limit
    least = minimum if asks < _EAGER_ASKS else wait_seconds(waited, minimum)
    return int(max(least, min(_MAX_SECONDS, by_place)))


def released(turns: Turns, run_id: str) -> Turns:
    """The turns without this run."""
    return Turns(
        holders=tuple(one for one in turns.holders if one != run_id),
        waiting=tuple(one for one in turns.waiting if one.run_id != run_id),
    )


def waiting_since(turns: Turns, run_id: str) -> int | None:
    """Since when the run waits, in seconds since 1970; None if it does not."""
    return next((one.since for one in turns.waiting if one.run_id == run_id), None)


def _place(waiting: tuple[Waiting, ...], run_id: str) -> int:
    """How many wait before the run; all of them, if it has no place."""
    return next((place for place, one in enumerate(waiting) if one.run_id == run_id), len(waiting))


def _order(one: Waiting) -> tuple[int, int, str]:
    return (one.since - one.priority * HEAD_START_SECONDS, one.since, one.run_id)


def _seen(known: Waiting, now: int) -> Waiting:
    return known if now - known.seen < SEEN_SECONDS else known.model_copy(update={"seen": now})
