"""Arguments and options that several commands have, and the client that they share."""

from typing import TYPE_CHECKING, Annotated

import typer

from gamedojo.cli.completion import complete_builds, complete_policies, complete_runs

if TYPE_CHECKING:
    from gamedojo.client import GamedojoClient

RunId = Annotated[str, typer.Argument(help="The run, as `gamedojo runs` lists it.", autocompletion=complete_runs)]
PolicyName = Annotated[
    str, typer.Argument(help="The policy, as `gamedojo policies` lists it.", autocompletion=complete_policies)
]
BuildId = Annotated[
    str, typer.Argument(help="The build, as `gamedojo builds` lists it.", autocompletion=complete_builds)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Follow = Annotated[bool, typer.Option("--watch/--no-watch", help="Follow the run until it ends.")]
PollSeconds = Annotated[float, typer.Option(min=0.1, help="Seconds between two looks at the run.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")]


def open_client() -> "GamedojoClient":
    """A client of the stack that the environment or a connection file names; a context manager.

    Raises:
        ConnectionSettingsError: nothing says where the stack is.
    """
    from gamedojo.client import GamedojoClient

    return GamedojoClient()
