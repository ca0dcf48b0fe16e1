"""The command about what jobs print: logs."""

import json
from dataclasses import asdict
from enum import StrEnum
from functools import partial
from typing import Annotated

import typer

from gamedojo.cli.arguments import AsJson, PollSeconds, RunId, open_client
from gamedojo.cli.output import err, interruption, print_json, say
from gamedojo.errors import GamedojoError
from gamedojo.models import LogLine, LogPage

_MOST_LINES = 500


class Job(StrEnum):
    """A job of a run."""

    TRAINING = "training"
    EVALUATION = "evaluation"


def logs(
    run_id: RunId,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the run has ended; Ctrl-C stops.")
    ] = False,
    job: Annotated[Job | None, typer.Option(help="This job alone; left out: the one that began last.")] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=_MOST_LINES, help="The newest so many.")] = 200,
    poll_seconds: PollSeconds = 2.0,
    as_json: AsJson = False,
) -> None:
    """Show what a run's jobs print: the newest lines, and with --follow those that come.

    Times are UTC. What looks like a secret is unreadable. With --json and --follow: a line of JSON for each line.
    """
    with open_client() as client:
        read = partial(client.logs, run_id, job=job or "", limit=lines)
        if follow:
            _follow(read, run_id, lines, poll_seconds, as_json=as_json)
            return
        page = read()
    if as_json:
        print_json(page)
        return
    if not page.lines:
        err().print("No job of this run has printed anything yet.")
    for line in page.lines:
        say(_text(line))


def _follow(read: "partial[LogPage]", run_id: str, page_lines: int, poll_seconds: float, *, as_json: bool) -> None:
    from gamedojo.following import Patience, follow_log

    note = f"Stopped reading; the run goes on. Read again with: gamedojo logs --follow {run_id}"
    patience = Patience(poll_seconds)
    with interruption(note):
        pages = follow_log(lambda token: read(next_token=token), run_id, page_lines, patience, on_trouble=_tell_trouble)
        for page in pages:
            for line in page.lines:
                typer.echo(json.dumps(asdict(line), default=str, ensure_ascii=False) if as_json else _text(line))


def _tell_trouble(error: GamedojoError | None) -> None:
    say("The API answers again." if error is None else f"No answer, trying on: {error.message}", err())


def _text(line: LogLine) -> str:
    return f"{line.at:%H:%M:%S} {line.text}"
