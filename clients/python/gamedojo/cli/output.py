"""What commands print, and how their errors end the program."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from gamedojo.errors import (
    RETRYABLE_STATUSES,
    ApiError,
    GamedojoError,
    InputError,
    UnreachableError,
    UploadInterruptedError,
    WaitTimeoutError,
)

if TYPE_CHECKING:
    from rich.console import Console

EXIT_FAILED = 1
EXIT_INPUT = 2
EXIT_NOT_FOUND = 3
EXIT_KEY_REFUSED = 4
EXIT_CONFLICT = 5
EXIT_TRY_LATER = 6
EXIT_INTERRUPTED = 130

EXIT_CODES = {
    0: "done; a policy that was kept back is a decision, not a failure",
    EXIT_FAILED: "the run failed or was cancelled, or something failed on the other side",
    EXIT_INPUT: "what was asked for cannot be right: a wrong option, file or request (400, 413, 415, 422)",
    EXIT_NOT_FOUND: "there is no such run, build, policy or report (404)",
    EXIT_KEY_REFUSED: "the key is missing, or is not this API's (401, 403)",
    EXIT_CONFLICT: "it does not go together with how things stand (409)",
    EXIT_TRY_LATER: "no answer, or asked to come again later, after every retry (429, 502, 503, 504)",
    EXIT_INTERRUPTED: "interrupted by Ctrl-C",
}
"""What a program's end means; docs/cli.md has this table."""


class ErrorReportingGroup(TyperGroup):
    """A group whose commands may raise the client's errors; they become a message on stderr and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except GamedojoError as error:
            print_error(error)
            raise typer.Exit(exit_code(error)) from error
        except KeyboardInterrupt:
            say("Interrupted.", err())
            raise typer.Exit(EXIT_INTERRUPTED) from None


def exit_code(error: GamedojoError) -> int:
    """The exit code of an error, as EXIT_CODES has them."""
    if isinstance(error, InputError):
        return EXIT_INPUT
    if isinstance(error, UnreachableError | UploadInterruptedError | WaitTimeoutError):
        return EXIT_TRY_LATER
    if not isinstance(error, ApiError):
        return EXIT_FAILED
    if error.is_input_error:
        return EXIT_INPUT
    if error.status in RETRYABLE_STATUSES:
        return EXIT_TRY_LATER
    by_status = {401: EXIT_KEY_REFUSED, 403: EXIT_KEY_REFUSED, 404: EXIT_NOT_FOUND, 409: EXIT_CONFLICT}
    return by_status.get(error.status, EXIT_FAILED)


def out() -> "Console":
    """Where results go. Made anew each time, because stdout may have been redirected since."""
    from rich.console import Console

    return Console(file=sys.stdout)


def err() -> "Console":
    """Where errors and notes go."""
    from rich.console import Console

    return Console(file=sys.stderr)


def say(text: str, console: "Console | None" = None) -> None:
    """A line as it is, on stdout or on another console: nothing in it is markup, and it is not wrapped."""
    (console or out()).print(text, markup=False, highlight=False, soft_wrap=True)


def print_json(document: Any) -> None:
    """One JSON document on stdout; a typed answer becomes its fields."""
    typer.echo(json.dumps(_document(document), indent=2, ensure_ascii=False, default=str))


def print_error(error: GamedojoError) -> None:
    """What is wrong, each field that is wrong, and what would be right."""
    from rich.text import Text

    console = err()
    code = f" ({error.code})" if isinstance(error, ApiError) else ""
    console.print(Text.assemble(("Error", "bold red"), f"{code}: {error.message}"), soft_wrap=True)
    for problem in error.errors if isinstance(error, ApiError) else ():
        if problem.message not in error.message:  # a single problem is the message already
            console.print(Text(f"  {problem.field or 'document'}: {problem.message}"), soft_wrap=True)
    if error.remedy:
        console.print(Text.assemble(("Remedy", "bold"), f": {error.remedy}"), soft_wrap=True)


@contextmanager
def interruption(note: str) -> Iterator[None]:
    """Ctrl-C within it ends the program, with a note of what goes on all the same."""
    try:
        yield
    except KeyboardInterrupt:
        say(f"\n{note}", err())
        raise typer.Exit(EXIT_INTERRUPTED) from None


def _document(answer: Any) -> Any:
    if is_dataclass(answer) and not isinstance(answer, type):
        return getattr(answer, "document", None) or asdict(answer)
    return [_document(one) for one in answer] if isinstance(answer, list | tuple) else answer
