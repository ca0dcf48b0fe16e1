"""What commands print, and how their errors end the program."""

import json
import sys
from typing import Any

import typer
from rich.console import Console
from rich.text import Text
from typer.core import TyperGroup

from gamedojo.errors import ApiError, GamedojoError, InputError

EXIT_FAILED = 1
EXIT_INPUT = 2
EXIT_INTERRUPTED = 130


class ErrorReportingGroup(TyperGroup):
    """A group whose commands may raise the client's errors; they become a message on stderr and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except GamedojoError as error:
            print_error(error)
            wrong_input = isinstance(error, InputError) or (isinstance(error, ApiError) and error.is_input_error)
            raise typer.Exit(EXIT_INPUT if wrong_input else EXIT_FAILED) from error


def out() -> Console:
    """Where results go. Made anew each time, because stdout may have been redirected since."""
    return Console(file=sys.stdout)


def err() -> Console:
    """Where errors and notes go."""
    return Console(file=sys.stderr)


def print_json(document: Any) -> None:
    """One JSON document on stdout."""
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))


def print_error(error: GamedojoError) -> None:
    """What is wrong, each field that is wrong, and what would be right."""
    console = err()
    code = f" ({error.code})" if isinstance(error, ApiError) else ""
    console.print(Text.assemble(("Error", "bold red"), f"{code}: {error.message}"), soft_wrap=True)
    for problem in error.errors if isinstance(error, ApiError) else ():
        if problem.message not in error.message:  # a single problem is the message already
            console.print(Text(f"  {problem.field or 'document'}: {problem.message}"), soft_wrap=True)
    if error.remedy:
        console.print(Text.assemble(("Remedy", "bold"), f": {error.remedy}"), soft_wrap=True)
