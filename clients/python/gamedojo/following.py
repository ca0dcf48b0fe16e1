"""Following a run until it ends, through short outages of the API."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gamedojo.errors import ApiError, GamedojoError, UnreachableError, WaitTimeoutError
from gamedojo.models import Run


@dataclass(frozen=True)
class Patience:
    """How long to wait for what."""

    poll_seconds: float = 2.0
    appear_seconds: float = 0.0
    """How long a run may be unknown at first: its record is written a moment after the request was accepted."""
    outage_seconds: float = 300.0
    """How long the API may be out of reach in one stretch."""


def follow_run(
    fetch: Callable[[str], Run],
    run_id: str,
    patience: Patience | None = None,
    *,
    on_trouble: Callable[[GamedojoError | None], None] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Run]:
    """Yield the run's record at every poll; the last one is final.

    Args:
        fetch: `GamedojoClient.run`.
        run_id: the run.
        patience: time limits.
        on_trouble: called with the error while the API is out of reach, with None when it is back.
        sleep: pauses the given seconds.
        clock: seconds that never go back.

    Raises:
        ApiError: the run is unknown, or the key is refused.
        WaitTimeoutError: the run did not appear within `patience.appear_seconds`.
        UnreachableError: the API was out of reach for `patience.outage_seconds`.
    """
    patience = patience or Patience()
    began = clock()
    seen = False
    outage_began: float | None = None
    while True:
        try:
            run = fetch(run_id)
        except (ApiError, UnreachableError) as error:
            if _is_unknown(error) and not seen:
                _check_appearance(error, run_id, clock() - began, patience)
            elif not _is_outage(error):
                raise
            else:
                outage_began = clock() if outage_began is None else outage_began
                if clock() - outage_began >= patience.outage_seconds:
                    raise
                on_trouble(error)
        else:
            if outage_began is not None:
                outage_began = None
                on_trouble(None)
            seen = True
            yield run
            if run.is_final:
                return
        sleep(patience.poll_seconds)


def _is_unknown(error: GamedojoError) -> bool:
    return isinstance(error, ApiError) and error.status == 404


def _is_outage(error: GamedojoError) -> bool:
    return isinstance(error, UnreachableError) or (
        isinstance(error, ApiError) and error.status in (429, *range(500, 600))
    )


def _check_appearance(error: GamedojoError, run_id: str, waited_seconds: float, patience: Patience) -> None:
    if patience.appear_seconds <= 0:
        raise error
    if waited_seconds >= patience.appear_seconds:
        raise WaitTimeoutError(
            f"The run {run_id} was accepted, but no record of it appeared in {patience.appear_seconds:.0f} s.",
            "Look at the state machine's executions: the run may have failed before its first step.",
        ) from error
