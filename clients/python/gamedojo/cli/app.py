"""The program: its commands, and those that other packages add. Exit codes: `output.EXIT_CODES`."""

from typing import Annotated

import typer

from gamedojo.cli.api_commands import health, openapi
from gamedojo.cli.build_commands import builds
from gamedojo.cli.log_command import logs
from gamedojo.cli.measure_commands import metrics, report
from gamedojo.cli.output import ErrorReportingGroup
from gamedojo.cli.plugins import add_contributed_commands
from gamedojo.cli.policy_commands import policies
from gamedojo.cli.predict_command import predict
from gamedojo.cli.registry_commands import registry
from gamedojo.cli.run_commands import artifacts, cancel, redrive, runs, show, watch
from gamedojo.cli.train_command import train


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
    for command in (
        train,
        runs,
        show,
        watch,
        cancel,
        redrive,
        metrics,
        logs,
        report,
        artifacts,
        predict,
        health,
        openapi,
    ):
        program.command()(command)
    program.add_typer(policies, name="policies")
    program.add_typer(builds, name="builds")
    program.add_typer(registry, name="registry")
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
