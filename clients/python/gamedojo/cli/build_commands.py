"""Commands about builds: builds list, show, upload, delete."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gamedojo.cli.arguments import AsJson, BuildId, Yes, open_client
from gamedojo.cli.output import err, out, print_json, say
from gamedojo.cli.uploads import check_zip
from gamedojo.cli.uploads import upload as send
from gamedojo.texts import size_text

if TYPE_CHECKING:
    from gamedojo.models import Build

builds = typer.Typer(help="Builds that were uploaded: list, show, upload, delete.", no_args_is_help=True)
Limit = Annotated[int, typer.Option(min=1, max=100_000, help="How many, by key.")]


@builds.command("list")
def list_builds(limit: Limit = 100, as_json: AsJson = False) -> None:
    """List the builds that were uploaded."""
    with open_client() as client:
        found = list(client.iterate_builds(limit=limit))
    if as_json:
        print_json(found)
    elif not found:
        err().print("No builds.")
    else:
        _print_table(found)


@builds.command()
def show(build_id: BuildId, as_json: AsJson = False) -> None:
    """Tell of one build; of one in parts, how much of it has come."""
    with open_client() as client:
        build = client.build(build_id)
    if as_json:
        print_json(build)
        return
    parts = "" if build.is_ready else f" in {len(build.parts)} parts"
    say(f"{build.key}  {build.status}  {size_text(build.size_bytes)}{parts}")


@builds.command()
def upload(
    build: Annotated[Path, typer.Argument(metavar="ZIP", help="A zip of a Linux build with ML-Agents.")],
    as_json: AsJson = False,
) -> None:
    """Upload a build, and start nothing; a training request names it by the key that is printed.

    A large one is sent in parts, side by side. If that is interrupted, the same command goes on where it was.
    """
    check_zip(build)
    with open_client() as client:
        key = send(client, build, quiet=as_json)
    if as_json:
        print_json({"key": key})
    else:
        say(key)


@builds.command()
def delete(build_id: BuildId, yes: Yes = False, as_json: AsJson = False) -> None:
    """Remove a build, or give up one that is in parts. Runs keep copies of their own."""
    if not yes:
        typer.confirm(f"Remove the build {build_id}?", abort=True, err=True)
    with open_client() as client:
        deleted = client.delete_build(build_id)
    if as_json:
        print_json(deleted)
    else:
        say(f"{deleted.build_id} is removed.")


def _print_table(found: list["Build"]) -> None:
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("build", "file", "size", "uploaded"):
        table.add_column(name, no_wrap=name != "file", justify="right" if name == "size" else "left")
    for build in found:
        uploaded = "" if build.uploaded_at is None else f"{build.uploaded_at:%Y-%m-%d %H:%M}"
        name = build.key.rpartition("/")[2] if build.build_id else build.key
        table.add_row(build.build_id or "-", name, size_text(build.size_bytes), uploaded)
    out().print(table)
