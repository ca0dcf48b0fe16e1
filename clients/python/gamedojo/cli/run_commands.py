"""Commands about runs: runs, show, watch, cancel, redrive, artifacts."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gamedojo.cli.arguments import AsJson, Follow, PollSeconds, RunId, open_client
from gamedojo.cli.completion import complete_policies, complete_runs
from gamedojo.cli.output import err, out, print_json, say
from gamedojo.cli.watching import follow_or_tell, watch_several, watch_to_the_end
from gamedojo.texts import duration_text, return_text, size_text

if TYPE_CHECKING:
    from rich.table import Table

    from gamedojo.models import Run


def watch(
    run_ids: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN_ID]...",
            help="The runs, as `gamedojo runs` lists them; none: all that are running, and those that begin meanwhile.",
            autocompletion=complete_runs,
        ),
    ] = None,
    poll_seconds: PollSeconds = 2.0,
    as_json: AsJson = False,
) -> None:
    """Follow runs until they have ended. The exit code is 1 if one of them failed or was cancelled.

    On a terminal: its steps, how far training has come and the time that is left, return, episode length and losses
    of each behavior, what it costs; of several runs, a line each. In a pipe, or with TERM=dumb: a line for each change.
    With --json: a run's record, a line whenever it changes. Ctrl-C ends the watching, not the run.
    """
    with open_client() as client:
        if run_ids is not None and len(run_ids) == 1:
            watch_to_the_end(client, run_ids[0], poll_seconds, as_json=as_json)
        else:
            watch_several(client, run_ids or (), poll_seconds, as_json=as_json)


def show(run_id: RunId, as_json: AsJson = False) -> None:
    """Tell all about one run, as it stands now."""
    with open_client() as client:
        run = client.run(run_id)
    if as_json:
        print_json(run)
        return
    from gamedojo.views import picture_of

    console = out()
    console.print(picture_of(run, console))


def cancel(run_id: RunId, as_json: AsJson = False) -> None:
    """End a run, with all its jobs. One that is over stays as it was."""
    with open_client() as client:
        run = client.cancel(run_id)
    if as_json:
        print_json(run)
    else:
        say(f"{run.run_id} is cancelled." if run.was_cancelled else f"{run.run_id} was over: {run.status}.")


def redrive(run_id: RunId, follow: Follow = True, poll_seconds: PollSeconds = 2.0, as_json: AsJson = False) -> None:
    """Begin a run that failed or was cancelled again, after its last completed job."""
    with open_client() as client:
        run = client.redrive(run_id)
        follow_or_tell(client, run, poll_seconds, f"{run_id} goes on.", follow=follow, as_json=as_json)


def runs(
    policy: Annotated[str, typer.Option(help="Only this policy's runs.", autocompletion=complete_policies)] = "",
    status: Annotated[str, typer.Option(help="Only runs of this status, as RUNNING or FAILED.")] = "",
    build_sha256: Annotated[str, typer.Option(help="Only runs of the zip with this SHA-256.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List runs, newest first."""
    with open_client() as client:
        found = list(client.iterate_runs(policy=policy, status=status.upper(), build_sha256=build_sha256, limit=limit))
    if as_json:
        print_json(found)
    elif found:
        out().print(_run_table(found))
    else:
        err().print("No runs.")


def artifacts(
    run_id: RunId,
    output: Annotated[Path, typer.Option("--output", "-o", help="The directory to write to.")] = Path("artifacts"),
    links: Annotated[
        bool, typer.Option("--links", help="Download nothing; print the files' URLs, which live for an hour.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Fetch a run's files: the policy (ONNX), evaluation report, learning curve and more."""
    with open_client() as client:
        if links:
            _print_links(client.artifacts(run_id), as_json=as_json)
            return
        paths = client.download_artifacts(run_id, output, on_file=_tell_nothing if as_json else _tell_of_file)
    if as_json:
        print_json([str(path) for path in paths])
    elif not paths:
        err().print("The run has no files yet.")


def _tell_of_file(path: Path) -> None:
    say(f"{path}  {size_text(path.stat().st_size)}")


def _tell_nothing(_: Path) -> None:
    """The list comes as JSON, at the end."""


def _print_links(links: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        print_json(links)
        return
    for name, url in sorted(links.items()):
        say(f"{name}  {url}")


def _run_table(found: list["Run"]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    from gamedojo.views import STATUS_STYLES

    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("run", "policy", "status", "state"):
        table.add_column(name, no_wrap=name != "state")
    for name in ("env steps", "return", "elapsed"):
        table.add_column(name, justify="right", no_wrap=True)
    for run in found:
        evaluated = run.evaluation.mean_return if run.evaluation else run.progress.mean_return
        table.add_row(
            run.run_id,
            run.policy,
            Text(run.status, style=STATUS_STYLES.get(run.status, "cyan")),
            run.failure.code if run.failure else "" if run.is_final else run.state,
            "-" if run.progress.env_steps is None else f"{run.progress.env_steps:,}",
            return_text(evaluated),
            duration_text(run.elapsed_seconds()),
        )
    return table
