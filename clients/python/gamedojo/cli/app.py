"""The program: its commands, and those that other packages add.

Exit codes: 0 done (a run that was kept back is a decision, not a failure); 1 it failed or was cancelled; 2 what was
asked for cannot be right; 130 interrupted.
"""

from typing import Annotated

import typer

from gamedojo.cli.output import ErrorReportingGroup
from gamedojo.cli.plugins import add_contributed_commands
from gamedojo.cli.policy_commands import policies, predict
from gamedojo.cli.run_commands import artifacts, cancel, redrive, runs, train, watch


def build_app() -> typer.Typer:
    """The application with its own commands; contributed ones come with `add_contributed_commands`."""
    program = typer.Typer(
        name="gamedojo",
        cls=ErrorReportingGroup,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        help="Drop a Unity build in, get back a trained agent behind an API.",
    )
    program.callback()(_options)
    for command in (train, watch, cancel, redrive, runs, artifacts, policies, predict):
        program.command()(command)
    return program


def main() -> None:
    """Run the command line and leave with its exit code."""
    add_contributed_commands(app)
    app()


def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.", is_eager=True)] = False,
) -> None:
    if version:
        from importlib.metadata import version as installed_version

        typer.echo(installed_version("gamedojo"))
        raise typer.Exit


app = build_app()
