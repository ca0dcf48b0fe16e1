"""Following a run from a command, to its exit code."""

from typing import TYPE_CHECKING

import typer

from gamedojo.cli.output import EXIT_FAILED, interruption, out, print_json, say

if TYPE_CHECKING:
    from gamedojo.client import GamedojoClient
    from gamedojo.models import Run

CURVE_POINTS = 200


def watch_to_the_end(
    client: "GamedojoClient", run_id: str, poll_seconds: float, appear_seconds: float = 0.0, *, as_json: bool
) -> None:
    """Show a run until it ends; leaves with 1 if it failed or was cancelled, with 130 after Ctrl-C.

    Raises:
        GamedojoError: as `follow_run`.
    """
    from gamedojo.following import Patience
    from gamedojo.views import view_for, watch_run

    note = (
        f"Stopped watching; the run goes on. Look again with: gamedojo watch {run_id}\n"
        f"End it with: gamedojo cancel {run_id}"
    )
    with interruption(note):
        run = watch_run(
            client.run,
            run_id,
            view_for(out(), as_json=as_json),
            Patience(poll_seconds, appear_seconds),
            lambda of: client.metrics(of, metrics=("mean_return",), points=CURVE_POINTS),
        )
    if run.has_failed or run.was_cancelled:
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
