"""Commands that other packages contribute.

A package names a typer application in the entry point group `gamedojo.commands`; the entry point's name becomes the
command. This is how the local cloud adds `gamedojo local` without the client knowing of it.
"""

from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points

import typer

GROUP = "gamedojo.commands"


def add_contributed_commands(program: typer.Typer, found: Iterable[EntryPoint] | None = None) -> None:
    """Add every contributed command; one that cannot be loaded costs a warning, not the program."""
    for entry_point in sorted(entry_points(group=GROUP) if found is None else found, key=lambda point: point.name):
        try:
            contributed = entry_point.load()
            if not isinstance(contributed, typer.Typer):
                raise TypeError(f"{entry_point.value} is {type(contributed).__name__}, not a typer application")
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            typer.echo(f"warning: `gamedojo {entry_point.name}` is not available: {reason}", err=True)
        else:
            program.add_typer(contributed, name=entry_point.name)
