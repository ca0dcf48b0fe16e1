"""TakeTurn: let so many runs train at once as the stack may, the others wait for theirs."""

from functools import reduce

from pipeline.aws.runs_table import RunsTable
from pipeline.aws.turns_table import TurnsTable
from pipeline.contracts.states import RunReference
from pipeline.contracts.turns import Turn, Turns
from pipeline.errors import DeadlineExceededError, RunNotFoundError
from pipeline.rules.turns import asked, pause_seconds, released, waiting_since
from pipeline.settings import TakeTurnSettings
from pipeline.steps.records import check_wanted, entered, now

LONGEST_SECONDS = 7 * 24 * 3600
"""How long a run may wait for its turn."""


def take_turn(
    run: RunReference, state: str, asks: int, settings: TakeTurnSettings, turns: TurnsTable, runs: RunsTable
) -> Turn:
    """Take a turn, or a place in the queue. A run that waits says so in its record. It has asked `asks` times.

    Raises:
        RunEndedError: the run was cancelled.
        DeadlineExceededError: it has waited for a week.
    """
    record = runs.get(run.run_id)
    check_wanted(record)
    if settings.max_concurrent_runs == 0:
        return Turn(granted=True, wait_seconds=settings.poll_min_seconds)
    moment = int(now().timestamp())

    def ask(known: Turns) -> Turns:
        return asked(known, run.run_id, record.options.priority, settings.max_concurrent_runs, moment)

    found = turns.update(ask)
    if _waits(found, run):
        over = [run_id for run_id in found.holders if _is_over(run_id, runs)]
        found = turns.update(lambda known: ask(reduce(released, over, known))) if over else found
    if not _waits(found, run):
        return Turn(granted=True, wait_seconds=settings.poll_min_seconds)
    runs.update(run.run_id, lambda known: entered(known, state))
    waited = moment - (waiting_since(found, run.run_id) or moment)
    if waited > LONGEST_SECONDS:
        raise DeadlineExceededError(
            f"{settings.max_concurrent_runs} other runs have been going on for {waited // 86400} days.",
            "Cancel some of them, or raise the stack's parameter MaxConcurrentRuns.",
        )
    limit, minimum = settings.max_concurrent_runs, settings.poll_min_seconds
    pause = pause_seconds(found, run.run_id, limit, waited, asks, minimum)
    return Turn(granted=False, wait_seconds=pause, asks=asks + 1)


def _waits(turns: Turns, run: RunReference) -> bool:
    return run.run_id not in turns.holders


def _is_over(run_id: str, runs: RunsTable) -> bool:
    """FinishRun gives a run's turn back, unless it was granted while the run was being ended."""
    try:
        return runs.get(run_id).status.is_final
    except RunNotFoundError:
        return True
