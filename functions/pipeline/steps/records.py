"""Small changes of a run record that several states make."""

from datetime import UTC, datetime
from typing import Any

from pipeline.contracts.run import HistoryEntry, RunRecord
from pipeline.errors import RunEndedError


def now() -> datetime:
    """The present moment, UTC, to the millisecond."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def entered(record: RunRecord, state: str, **changes: Any) -> RunRecord:
    """The record in this state, with other changes; entering the same state again (a poll, a retry) adds no history.

    Raises:
        RunEndedError: the run is over, so that no state may go on with it.
    """
    check_wanted(record)
    moment = now()
    history = record.history if record.state == state else (*record.history, HistoryEntry(state=state, at=moment))
    return record.model_copy(update={"state": state, "history": history, "updated_at": moment} | changes)


def check_wanted(record: RunRecord) -> None:
    """Whether anybody still wants what the run makes.

    Raises:
        RunEndedError: nobody does.
    """
    if record.status.is_final:
        raise RunEndedError(f"The run {record.run_id} is over ({record.status.value}).")
