"""Commands about runs: train, watch, cancel, redrive, runs, artifacts."""

import zipfile
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table
from rich.text import Text

from gamedojo.cli.output import EXIT_FAILED, EXIT_INTERRUPTED, err, out, print_json
from gamedojo.cli.request_options import training_request
from gamedojo.client import GamedojoClient
from gamedojo.errors import InputError
from gamedojo.following import Patience
from gamedojo.models import CreatedRun, Run
from gamedojo.texts import duration_text, return_text, size_text
from gamedojo.views import STATUS_STYLES, view_for, watch_run

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
PollSeconds = Annotated[float, typer.Option(min=0.1, help="Seconds between two looks at the run.")]
RUN_APPEARS_WITHIN_SECONDS = 60.0


def train(
    build: Annotated[Path, typer.Argument(metavar="ZIP", help="A zip of a Linux build with ML-Agents.")],
    policy: Annotated[str, typer.Option(help="The policy's name; left out: made from the file's name.")] = "",
    config: Annotated[Path | None, typer.Option(help="A training request in a JSON file.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="One field of the request, as hyperparameters.lr=0.0003."),
    ] = None,
    follow: Annotated[bool, typer.Option("--watch/--no-watch", help="Follow the run until it ends.")] = True,
    poll_seconds: PollSeconds = 2.0,
    as_json: AsJson = False,
) -> None:
    """Upload a build, start a training run and follow it."""
    request = training_request(config, settings or (), policy)
    if not build.is_file():
        raise InputError(f"{build} is no file.", "Name the zip of a Linux build.")
    if not zipfile.is_zipfile(build):
        raise InputError(
            f"{build} is no zip file.", "Zip the folder that Unity's Linux build wrote, and name that zip."
        )
    with GamedojoClient() as client:
        key = _upload(client, build, quiet=as_json)
        created = client.create_run({**request, "build": {"key": key}})
        if not follow:
            _print_created(created, as_json=as_json)
            return
        _watch(client, created.run_id, Patience(poll_seconds, RUN_APPEARS_WITHIN_SECONDS), as_json=as_json)


def watch(
    run_id: Annotated[str, typer.Argument(help="The run, as `gamedojo runs` lists it.")],
    poll_seconds: PollSeconds = 2.0,
    as_json: AsJson = False,
) -> None:
    """Follow a run until it ends. The exit code is 1 if it failed or was cancelled."""
    with GamedojoClient() as client:
        _watch(client, run_id, Patience(poll_seconds), as_json=as_json)


def cancel(
    run_id: Annotated[str, typer.Argument(help="The run, as `gamedojo runs` lists it.")],
    as_json: AsJson = False,
) -> None:
    """End a run, with all its jobs. One that is over stays as it was."""
    with GamedojoClient() as client:
        run = client.cancel(run_id)
    if as_json:
        print_json(run.document)
    elif run.was_cancelled:
        out().print(f"{run.run_id} is cancelled.", markup=False, highlight=False, soft_wrap=True)
    else:
        out().print(f"{run.run_id} was over: {run.status}.", markup=False, highlight=False, soft_wrap=True)


def redrive(
    run_id: Annotated[str, typer.Argument(help="The run, as `gamedojo runs` lists it.")],
    follow: Annotated[bool, typer.Option("--watch/--no-watch", help="Follow the run until it ends.")] = True,
    poll_seconds: PollSeconds = 2.0,
    as_json: AsJson = False,
) -> None:
    """Begin a run that failed or was cancelled again, after its last completed job."""
    with GamedojoClient() as client:
        run = client.redrive(run_id)
        if follow:
            _watch(client, run_id, Patience(poll_seconds), as_json=as_json)
        elif as_json:
            print_json(run.document)
        else:
            out().print(f"{run_id} goes on.", markup=False, highlight=False, soft_wrap=True)


def runs(
    policy: Annotated[str, typer.Option(help="Only this policy's runs.")] = "",
    status: Annotated[str, typer.Option(help="Only runs of this status, as RUNNING or FAILED.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List runs, newest first."""
    with GamedojoClient() as client:
        found = list(client.iterate_runs(policy=policy, status=status.upper(), limit=limit))
    if as_json:
        print_json([run.document for run in found])
    elif found:
        out().print(_run_table(found))
    else:
        err().print("No runs.")


def artifacts(
    run_id: Annotated[str, typer.Argument(help="The run, as `gamedojo runs` lists it.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The directory to write to.")] = Path("artifacts"),
    as_json: AsJson = False,
) -> None:
    """Fetch a run's files: the policy (ONNX), evaluation report, learning curve and more."""
    with GamedojoClient() as client:
        paths = client.download_artifacts(run_id, output)
    if as_json:
        print_json([str(path) for path in paths])
    elif not paths:
        err().print("The run has no files yet.")
    for path in [] if as_json else paths:
        out().print(f"{path}  {size_text(path.stat().st_size)}", markup=False, highlight=False, soft_wrap=True)


def _watch(client: GamedojoClient, run_id: str, patience: Patience, *, as_json: bool) -> None:
    try:
        run = watch_run(client.run, run_id, view_for(out(), as_json=as_json), patience)
    except KeyboardInterrupt:
        err().print(
            f"\nStopped watching; the run goes on. Look again with: gamedojo watch {run_id}\n"
            f"End it with: gamedojo cancel {run_id}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
        raise typer.Exit(EXIT_INTERRUPTED) from None
    if run.has_failed or run.was_cancelled:
        raise typer.Exit(EXIT_FAILED)


def _upload(client: GamedojoClient, build: Path, *, quiet: bool) -> str:
    """A bar on a terminal, one line elsewhere; both on stderr, so that stdout stays the result's."""
    console = err()
    if quiet or not console.is_terminal:
        key = client.upload_build(build)
        if not quiet:
            console.print(f"uploaded {build.name}, {size_text(build.stat().st_size)}", highlight=False, soft_wrap=True)
        return key
    columns = (TextColumn("uploading {task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(build.name, total=build.stat().st_size)
        return client.upload_build(
            build, on_progress=lambda sent, total: progress.update(task, completed=sent, total=total)
        )


def _print_created(created: CreatedRun, *, as_json: bool) -> None:
    if as_json:
        print_json({"run_id": created.run_id, "policy": created.policy, "status": created.status})
    else:
        out().print(created.run_id, markup=False, highlight=False, soft_wrap=True)
        if created.estimate is not None and created.estimate.max_usd is not None:
            err().print(f"Its jobs cost at most {created.estimate.max_usd:.2f} USD.", highlight=False, soft_wrap=True)
        err().print(f"Follow it with: gamedojo watch {created.run_id}", markup=False, highlight=False, soft_wrap=True)


def _run_table(found: list[Run]) -> Table:
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
