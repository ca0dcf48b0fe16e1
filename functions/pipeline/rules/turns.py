"""Whose turn it is: at most so many runs at once, the more important ones first, and of equals who came first."""

from pipeline.contracts.turns import Turns, Waiting

FORGOTTEN_SECONDS = 3 * 3600
"""Who waits asks at least each hour (`rules.waiting`). Who has not asked for so long has died, and holds nobody up."""


def asked(turns: Turns, run_id: str, priority: int, limit: int, now: int) -> Turns:
    """The turns after this run has asked for one, at `now` (seconds since 1970): it holds one, or it waits.

    A turn is free when fewer than `limit` runs hold one. Those that wait before this run take theirs when they ask; so
    it gets one if there are more free ones than runs before it.
    """
    if run_id in turns.holders:
        return turns
    since = next((one.since for one in turns.waiting if one.run_id == run_id), now)
    mine = Waiting(run_id=run_id, priority=priority, since=since, seen=now)
    others = [one for one in turns.waiting if one.run_id != run_id and now - one.seen < FORGOTTEN_SECONDS]
    waiting = tuple(sorted([*others, mine], key=lambda one: (-one.priority, one.since, one.run_id)))
    if waiting.index(mine) < limit - len(turns.holders):
        return Turns(holders=(*turns.holders, run_id), waiting=tuple(one for one in waiting if one is not mine))
    return Turns(holders=turns.holders, waiting=waiting)


def released(turns: Turns, run_id: str) -> Turns:
    """The turns without this run."""
    return Turns(
        holders=tuple(one for one in turns.holders if one != run_id),
        waiting=tuple(one for one in turns.waiting if one.run_id != run_id),
    )


def waiting_since(turns: Turns, run_id: str) -> int | None:
    """Since when the run waits, in seconds since 1970; None if it does not."""
    return next((one.since for one in turns.waiting if one.run_id == run_id), None)
