"""`gamedojo local up|down|status`: what this room adds to the command line (entry point group `gamedojo.commands`)."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from local.errors import LocalCloudError
from local.progress import Progress
from local.settings import LocalSettings

if TYPE_CHECKING:
    from local.cloud import CloudStatus, LocalCloud
    from local.connection import Connection

app = typer.Typer(
    name="local",
    help="The local cloud: every AWS service the stack needs, as processes of this machine.",
    no_args_is_help=True,
    add_completion=False,
)


@app.callback()
def _group() -> None:
    """The local cloud: every AWS service the stack needs, as processes of this machine."""


@app.command()
def up(
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Leave it running in the background.")] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Forget buckets, runs and policies of earlier clouds.")
    ] = False,
    containers: Annotated[
        bool,
        typer.Option(
            "--containers", help="Run jobs and endpoints in containers, by Docker or Podman, from the images."
        ),
    ] = False,
) -> None:
    """Start the local cloud and deploy template.yaml into it; Ctrl-C ends it."""
    settings = _settings()
    cloud = _cloud(settings)
    began = time.monotonic()
    with _signals_interrupt(), _shown_errors():
        try:
            connection, started = cloud.up(fresh=fresh, containers=containers)
        except KeyboardInterrupt:
            _say("Ended before it was up; nothing is left running.")
            raise typer.Exit(130) from None
        took = f"The local cloud is up after {time.monotonic() - began:.1f} s."
        _say(took if started else "The local cloud is up already.")
        _say(_describe(connection, settings))
        if started and not detach:
            _stay(cloud)


@app.command()
def down() -> None:
    """End the local cloud: jobs, endpoints, functions, emulator. Its state stays for the next `up`."""
    cloud = _cloud(_settings())
    with _shown_errors():
        ran = cloud.down()
    _say("The local cloud has ended; no process of it is left." if ran else "No local cloud runs.")


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what runs and where; exit status 3 if the cloud is not up."""
    settings = _settings()
    found = _cloud(settings).status()
    if as_json:
        _say(json.dumps(_status_document(found, settings), indent=2))
    else:
        _say(_status_text(found, settings))
    if not found.is_up:
        raise typer.Exit(3)


def _settings() -> LocalSettings:
    with _shown_errors():
        return LocalSettings.from_environment(os.environ)


def _cloud(settings: LocalSettings) -> LocalCloud:
    # Imported here: every `gamedojo` command loads this file, and boto3 takes a while to import.
    from local.cloud import LocalCloud

    return LocalCloud(settings, Progress(_say))


def _stay(cloud: LocalCloud) -> None:
    """Wait for Ctrl-C, or for `gamedojo local down` in another terminal."""
    _say("\nCtrl-C ends it.")
    try:
        cloud.watch()
    except KeyboardInterrupt:
        _say("\nEnding the local cloud …")
    finally:
        cloud.down()
    _say("The local cloud has ended; no process of it is left.")


def _describe(connection: Connection, settings: LocalSettings) -> str:
    return f"""
  control API   {connection.control_url}
    x-api-key   {connection.control_key}
  dashboard     {connection.control_url}/dashboard
  predict API   {connection.predict_url}
    x-api-key   {connection.predict_key}
  bucket        s3://{connection.bucket}/builds/  (drop a build here)
  AWS tools     AWS_ENDPOINT_URL={connection.endpoint_url} AWS_ENDPOINT_URL_SAGEMAKER={connection.sagemaker_url}
                AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_DEFAULT_REGION={connection.region}
  connection    {settings.connection_file}
  logs          {settings.logs_dir}"""


def _status_document(status: CloudStatus, settings: LocalSettings) -> dict[str, object]:
    processes = status.record.processes if status.record else ()
    return {
        "state": _state(status),
        "state_dir": str(settings.state_dir),
        "processes": [{**asdict(process), "running": process.is_running} for process in processes],
        "connection": asdict(status.connection) if status.connection else None,
    }


def _status_text(status: CloudStatus, settings: LocalSettings) -> str:
    lines = [f"The local cloud of {settings.state_dir} is {_state(status)}."]
    for process in status.record.processes if status.record else ():
        health = "running" if process.is_running else "ENDED"
        lines.append(f"  {process.name:<18} {health}  pid {process.pid}  http://127.0.0.1:{process.port}")
    if status.connection:
        lines.append(_describe(status.connection, settings))
    elif status.record and not status.busy:
        lines.append(
            "  It did not end well. `gamedojo local down` clears what is left, `gamedojo local up` starts anew."
        )
    return "\n".join(lines)


def _state(status: CloudStatus) -> str:
    if status.is_up:
        return "up"
    if status.busy:
        return "starting or ending"
    return "broken" if status.record else "down"


@contextmanager
def _signals_interrupt() -> Iterator[None]:
    """SIGTERM and SIGHUP do what Ctrl-C does; once one came, others are ignored, so that ending is not cut short."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        for number in handled:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    handled = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, interrupt) for number in handled}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _shown_errors() -> Iterator[None]:
    try:
        yield
    except LocalCloudError as error:
        print(error, file=sys.stderr, flush=True)
        raise typer.Exit(1) from None


def _say(text: str) -> None:
    print(text, flush=True)
