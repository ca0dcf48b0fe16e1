"""Commands about a registry's environments: registry list, mirror, delete."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gamedojo.cli.arguments import AsJson, Yes, open_client
from gamedojo.cli.output import err, out, print_json, say
from gamedojo.errors import InputError
from gamedojo.texts import return_text, size_text

if TYPE_CHECKING:
    from gamedojo.models import RegistryEntry
    from gamedojo.registries import Listed, Registry

registry = typer.Typer(help="Environments of ML-Agents' registry: list, mirror, delete.", no_args_is_help=True)
Manifest = Annotated[
    str, typer.Option(metavar="URL", help="Another registry's YAML file; left out: that of ML-Agents 1.1.0.")
]
Folder = Annotated[
    Path | None,
    typer.Option("--from", metavar="FOLDER", help="A folder with a registry's zips, in place of a server."),
]


@registry.command("list")
def list_environments(
    available: Annotated[bool, typer.Option("--available", help="What could be mirrored, instead.")] = False,
    manifest: Manifest = "",
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """List the environments that were mirrored; a run names one as {"build": {"registry": ID}}."""
    if available:
        _print_available(_registry_of(manifest, folder), as_json=as_json)
        return
    with open_client() as client:
        found = client.registry()
    if as_json:
        print_json(found)
    elif found:
        _print_table(found)
    else:
        err().print("Nothing is mirrored. `gamedojo registry mirror ID` does it.")


@registry.command()
def mirror(
    environments: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="As 3DBall, or several.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that the registry has.")] = False,
    manifest: Manifest = "",
    folder: Folder = None,
    sha256: Annotated[
        str, typer.Option(metavar="HEX", help="What the zip must have; left out: what comes first is believed.")
    ] = "",
    replace: Annotated[bool, typer.Option("--replace", help="Fetch it anew, in place of what is mirrored.")] = False,
    max_gb: Annotated[float, typer.Option(min=0.001, help="A zip that is larger is not fetched.")] = 5.0,
    as_json: AsJson = False,
) -> None:
    """Copy environments of a registry into the stack's bucket, once; then no run needs internet for them.

    This machine fetches the zips and sends them. Their hashes are noted, and every run is held against them.
    """
    if bool(environments) == everything:
        raise InputError("Name environments, or say --all.", "`gamedojo registry list --available` lists them.")
    from gamedojo.cli.mirroring import MirrorOptions
    from gamedojo.cli.mirroring import mirror as mirror_each

    options = MirrorOptions(_checked(sha256), replace, int(max_gb * 10**9), quiet=as_json)
    source = _registry_of(manifest, folder)
    done = []
    with open_client() as client:
        for entry in mirror_each(client, source, environments or (), options):
            done.append(entry)
            if not as_json:
                say(f"{entry.environment}  {size_text(entry.size_bytes)}  sha256 {entry.sha256}")
    if as_json:
        print_json(done)


@registry.command()
def delete(
    environment: Annotated[str, typer.Argument(metavar="ID", help="As `registry list` has it.")],
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Forget a mirrored environment, with its zips. Runs keep copies of their own."""
    if not yes:
        typer.confirm(f"Remove the environment {environment}?", abort=True, err=True)
    with open_client() as client:
        deleted = client.delete_environment(environment)
    if as_json:
        print_json(deleted)
    else:
        say(f"{deleted.environment} is removed.")


def _registry_of(manifest: str, folder: Path | None) -> "Registry":
    from gamedojo.downloads import check_url
    from gamedojo.registries import DEFAULT_MANIFEST, RegistryFolder, RemoteRegistry

    if folder is None:
        check_url(manifest or DEFAULT_MANIFEST)
        return RemoteRegistry(manifest or DEFAULT_MANIFEST)
    if manifest:
        raise InputError("--manifest and --from name two registries.", "Name one of them.")
    return RegistryFolder(folder)


def _checked(sha256: str) -> str:
    text = sha256.strip().lower()
    if text and (len(text) != 64 or not set(text) <= set("0123456789abcdef")):
        raise InputError(
            f"--sha256 {sha256!r} is no SHA-256.", "Give 64 hexadecimal digits, as `sha256sum` prints them."
        )
    return text


def _print_available(source: "Registry", *, as_json: bool) -> None:
    found = list(source.listed().values())
    if as_json:
        print_json([_document(one) for one in found])
        return
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("environment", "solved at", "Linux", "about"):
        table.add_column(name, no_wrap=True, overflow="ellipsis", justify="right" if name == "solved at" else "left")
    for one in found:
        first_line = next((line for line in one.description.splitlines() if line.strip()), "")
        table.add_row(
            one.environment, _return(one.expected_return), "yes" if one.linux_url else "no", first_line.lstrip("# ")
        )
    out().print(table)


def _document(one: "Listed") -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(one)


def _print_table(found: "tuple[RegistryEntry, ...]") -> None:
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("environment", "size", "solved at", "sha256", "mirrored", "from"):
        table.add_column(
            name,
            no_wrap=name != "from",
            overflow="fold",
            justify="right" if name in ("size", "solved at") else "left",
        )
    for one in found:
        at = "" if one.mirrored_at is None else f"{one.mirrored_at:%Y-%m-%d}"
        row = (size_text(one.size_bytes), _return(one.expected_return), one.sha256[:12], at, one.source)
        table.add_row(one.environment, *row)
    out().print(table)


def _return(value: float | None) -> str:
    return "" if value is None else return_text(value)
