"""Following runs from a command, to its exit code."""

import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, NoReturn

import typer

from gamedojo.cli.output import EXIT_FAILED, err, interruption, out, print_json, say

if TYPE_CHECKING:
    from gamedojo.client import GamedojoClient
    from gamedojo.models import MetricsSeries, Run
    from gamedojo.views import WatchView

CURVE_POINTS = 200
MOST_RUNS = 100
"""Runs that are followed at once where none is named."""


def watch_to_the_end(
    client: "GamedojoClient", run_id: str, poll_seconds: float, appear_seconds: float = 0.0, *, as_json: bool
) -> None:
    """Show a run until it ends; leaves with 1 if it failed or was cancelled, with 130 after Ctrl-C.

    Raises:
        GamedojoError: as `follow_run`.
    """
    from gamedojo.following import Patience
    from gamedojo.views import watch_run

    note = (
        f"Stopped watching; the run goes on. Look again with: gamedojo watch {run_id}\n"
        f"End it with: gamedojo cancel {run_id}"
    )
    with interruption(note), _left_in_order(), _watcher(client) as watcher:
        patience = Patience(poll_seconds, appear_seconds)
        run = watch_run(watcher.run, run_id, _view(as_json=as_json), patience, _history(watcher))
    _leave_by([run])


def watch_several(client: "GamedojoClient", run_ids: Sequence[str], poll_seconds: float, *, as_json: bool) -> None:
    """Show the runs that are named, or all that are running and begin meanwhile, until none is left.

    Leaves with 1 if one of them failed or was cancelled, with 130 after Ctrl-C.

    Raises:
        GamedojoError: as `follow_runs`.
    """
    from gamedojo.following import OpenRuns, Patience
    from gamedojo.views import watch_runs

    note = f"Stopped watching; the runs go on. Look again with: {' '.join(('gamedojo watch', *run_ids))}"
    with interruption(note), _left_in_order(), _watcher(client) as watcher:
        runs = OpenRuns(watcher.run, run_ids) if run_ids else OpenRuns(watcher.run, running=_running(watcher))
        view = _view(as_json=as_json, several=True)
        ended = watch_runs(runs, view, Patience(poll_seconds), _history(watcher))
    if not ended:
        say("No run is running. `gamedojo runs` lists those that have ended.", err())
    _leave_by(ended)


@contextmanager
def _left_in_order() -> Iterator[None]:
    """A SIGTERM or a closed terminal ends the program as an exception does: what was redrawn has hidden the cursor."""

    def leave(number: int, _: object) -> NoReturn:
        sys.exit(128 + number)

    numbers = (signal.SIGTERM, signal.SIGHUP) if hasattr(signal, "SIGHUP") else (signal.SIGTERM,)
    before = [signal.signal(number, leave) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _watcher(client: "GamedojoClient") -> "GamedojoClient":
    """A client that says soon when no answer comes: following is what tries again, and tells of it meanwhile."""
    from gamedojo.client import GamedojoClient
    from gamedojo.retrying import RetryPolicy

    return GamedojoClient(client.connection, timeout_seconds=15, retry=RetryPolicy(attempts=2))


def _view(*, as_json: bool, several: bool = False) -> "WatchView":
    from gamedojo.views import view_for

    return view_for(out(), as_json=as_json, redraws=sys.stdout.isatty(), several=several)


def _history(client: "GamedojoClient") -> "Callable[[str], MetricsSeries]":
    return partial(client.metrics, points=CURVE_POINTS)


def _running(client: "GamedojoClient") -> "Callable[[], Iterable[Run]]":
    return partial(client.iterate_runs, status="RUNNING", limit=MOST_RUNS)


def _leave_by(ended: "Iterable[Run]") -> None:
    if any(run.has_failed or run.was_cancelled for run in ended):
        raise typer.Exit(EXIT_FAILED)


def follow_or_tell(
    client: "GamedojoClient", run: "Run", poll_seconds: float, words: str, *, follow: bool, as_json: bool
) -> None:
    """What commands do that begin a run: follow it, or say in words or JSON that it goes on."""
    if follow:
        watch_to_the_end(client, run.run_id, poll_seconds, as_json=as_json)
    elif as_json:
        print_json(run)
    else:
        say(words)
