"""Following runs until they end, through short outages of the API."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass

from gamedojo.errors import ApiError, GamedojoError, UnreachableError, WaitTimeoutError
from gamedojo.models import FINAL_STATUSES, LogPage, Run


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
    looks = _Looks(run_id, patience or Patience(), on_trouble, clock)
    while True:
        try:
            run = fetch(run_id)
        except (ApiError, UnreachableError) as error:
            looks.failed(error)
        else:
            looks.succeeded()
            yield run
            if run.is_final:
                return
        sleep(looks.patience.poll_seconds)


def follow_log(
    fetch: Callable[[str], LogPage],
    run_id: str,
    page_lines: int,
    patience: Patience | None = None,
    *,
    on_trouble: Callable[[GamedojoError | None], None] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[LogPage]:
    """Yield the log's newest lines, then those that come later, until the run has ended and all have come.

    Args:
        fetch: `GamedojoClient.logs` of the run, with a page's token; "": the newest lines.
        run_id: the run.
        page_lines: a page with so many is followed by the next one at once.
        patience: time limits.
        on_trouble: as of `follow_run`.
        sleep: pauses the given seconds.
        clock: seconds that never go back.

    Raises:
        ApiError: the run is unknown, or the key is refused.
        UnreachableError: the API was out of reach for `patience.outage_seconds`.
    """
    looks = _Looks(run_id, patience or Patience(), on_trouble, clock)
    token = ""
    while True:
        try:
            page = fetch(token)
        except (ApiError, UnreachableError) as error:
            looks.failed(error)
        else:
            looks.succeeded()
            yield page
            token = page.next_token
            if page.is_last:
                return
            if page.status in FINAL_STATUSES or len(page.lines) >= page_lines:
                continue
        sleep(looks.patience.poll_seconds)


class OpenRuns:
    """Several runs that are looked at together: those that are named, or all that are running.

    Args:
        fetch: `GamedojoClient.run`.
        named: the runs.
        running: lists what is running, and so has runs that begin later looked at too; None: only those named are.
    """

    def __init__(
        self,
        fetch: Callable[[str], Run],
        named: Iterable[str] = (),
        running: Callable[[], Iterable[Run]] = lambda: (),
    ) -> None:
        self._fetch, self._running = fetch, running
        self._open = list(dict.fromkeys(named))

    @property
    def are_over(self) -> bool:
        """True once every run that was seen has ended."""
        return not self._open

    def look(self) -> list[Run]:
        """The records of all that had not ended at the last look; raises as the two calls do."""
        listed = {run.run_id: run for run in self._running()}
        records = [listed.pop(run_id) if run_id in listed else self._fetch(run_id) for run_id in self._open]
        records += reversed(listed.values())  # the API's lists begin with the newest
        self._open = [run.run_id for run in records if not run.is_final]
        return records


def follow_runs(
    runs: OpenRuns,
    patience: Patience | None = None,
    *,
    on_trouble: Callable[[GamedojoError | None], None] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Run]:
    """Yield the record of each open run at every poll, one after another; a run's last one is final.

    It ends when no run is open any more. Arguments and errors as of `follow_run`.
    """
    looks = _Looks("", patience or Patience(), on_trouble, clock)
    while True:
        try:
            records = runs.look()
        except (ApiError, UnreachableError) as error:
            looks.failed(error)
        else:
            looks.succeeded()
            yield from records
            if runs.are_over:
                return
        sleep(looks.patience.poll_seconds)


async def follow_run_async(
    fetch: Callable[[str], Awaitable[Run]],
    run_id: str,
    patience: Patience | None = None,
    *,
    on_trouble: Callable[[GamedojoError | None], None] = lambda _: None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncIterator[Run]:
    """As `follow_run`; `fetch` is `AsyncGamedojoClient.run`."""
    looks = _Looks(run_id, patience or Patience(), on_trouble, clock)
    while True:
        try:
            run = await fetch(run_id)
        except (ApiError, UnreachableError) as error:
            looks.failed(error)
        else:
            looks.succeeded()
            yield run
            if run.is_final:
                return
        await sleep(looks.patience.poll_seconds)


class _Looks:
    """What became of the looks at a run so far, and whether a failed one is to be borne."""

    def __init__(
        self,
        run_id: str,
        patience: Patience,
        on_trouble: Callable[[GamedojoError | None], None],
        clock: Callable[[], float],
    ) -> None:
        self.patience = patience
        self._run_id, self._on_trouble, self._clock = run_id, on_trouble, clock
        self._began = clock()
        self._seen = False
        self._outage_began: float | None = None

    def succeeded(self) -> None:
        self._seen = True
        if self._outage_began is not None:
            self._outage_began = None
            self._on_trouble(None)

    def failed(self, error: GamedojoError) -> None:
        """Raises the error, unless it may pass."""
        if _is_unknown(error) and not self._seen:
            _check_appearance(error, self._run_id, self._clock() - self._began, self.patience)
        elif not _is_outage(error):
            raise error
        else:
            self._outage_began = self._clock() if self._outage_began is None else self._outage_began
            if self._clock() - self._outage_began >= self.patience.outage_seconds:
                raise error
            self._on_trouble(error)


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
