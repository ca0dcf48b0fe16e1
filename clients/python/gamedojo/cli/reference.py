"""docs/cli.md, made of the commands' own declarations: `python -m gamedojo.cli.reference > docs/cli.md`."""

import inspect
import sys
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_type_hints

import typer
from typer.models import ArgumentInfo, OptionInfo

from gamedojo.cli.app import app
from gamedojo.cli.output import EXIT_CODES

_HEAD = """# The command line

<!-- Written by `make cli-docs` from clients/python/gamedojo/cli. -->

`gamedojo --help` and `gamedojo <command> --help` tell the same. The commands of the local cloud are told by
`gamedojo local --help`.

**Where the stack is** is told, in this order, by the variables `GAMEDOJO_CONTROL_URL`, `GAMEDOJO_CONTROL_KEY`,
`GAMEDOJO_PREDICT_URL` and `GAMEDOJO_PREDICT_KEY`; by the file that `GAMEDOJO_CONNECTION` names; by
`.gamedojo/connection.json` in the working directory or above it, which the local cloud writes. Keys are never printed.

**Completion**: `gamedojo --install-completion` has bash, zsh, fish or PowerShell complete commands, options, and the
ids of runs and builds and the names of policies, which are asked of the API.

**Retries**: what may be sent twice is tried up to five times when the connection fails or the API answers 429, 502, 503
or 504, after the pause that `Retry-After` asks for (30 seconds at most) or one that doubles from 0.25 to 8 seconds,
with jitter. A rollback to the version before may not: it is sent again only when it certainly did nothing.

**Results** go to stdout, errors and notes to stderr. With `--json`, stdout is JSON.
"""


def page() -> str:
    """The whole page."""
    codes = "\n".join(f"| {code} | {meaning} |" for code, meaning in EXIT_CODES.items())
    table = f"## Exit codes\n\n| code | means |\n|---|---|\n{codes}\n"
    return "\n".join([_HEAD, table, *(_section(name, callback) for name, callback in commands(app))])


def commands(program: typer.Typer, prefix: str = "gamedojo") -> Iterator[tuple[str, Callable[..., Any]]]:
    """Every command with its full name, in the order of the help."""
    for command in program.registered_commands:
        if command.callback is not None:
            yield f"{prefix} {command.name or command.callback.__name__}", command.callback
    for group in program.registered_groups:
        if group.typer_instance is not None:
            yield from commands(group.typer_instance, f"{prefix} {group.name}")


def _section(name: str, callback: Callable[..., Any]) -> str:
    parameters = [_Parameter(*one) for one in _declared(callback)]
    arguments = "".join(f" {one.name}" for one in parameters if one.is_argument)
    options = [one for one in parameters if not one.is_argument]
    usage = f"```console\n$ {name}{arguments}{' [options]' if options else ''}\n```\n"
    rows = "".join(f"| `{one.usage}` | {one.help} |\n" for one in [*(p for p in parameters if p.is_argument), *options])
    table = f"\n| argument or option | |\n|---|---|\n{rows}" if rows else ""
    return f"## {name}\n\n{inspect.getdoc(callback)}\n\n{usage}{table}"


def _declared(callback: Callable[..., Any]) -> Iterator[tuple[str, Any, ArgumentInfo | OptionInfo, Any]]:
    hints = get_type_hints(callback, include_extras=True)
    for name, parameter in inspect.signature(callback).parameters.items():
        kind, *extras = get_args(hints[name])
        info = next(extra for extra in extras if isinstance(extra, ArgumentInfo | OptionInfo))
        yield name, kind, info, parameter.default


class _Parameter:
    """How one parameter of a command is written, and what it says."""

    def __init__(self, name: str, kind: Any, info: ArgumentInfo | OptionInfo, default: Any) -> None:
        self.is_argument = isinstance(info, ArgumentInfo)
        self.name = info.metavar or name.upper()
        self._kind, self._info, self._default = kind, info, default
        spelled = name.replace("_", "-")
        # In an Annotated, the first name of an option stands where its default would.
        own = [one for one in (info.default, *(info.param_decls or ())) if isinstance(one, str) and one[:1] == "-"]
        self._flags = own or [f"--{spelled}/--no-{spelled}" if kind is bool else f"--{spelled}"]

    @property
    def usage(self) -> str:
        """`--limit INTEGER`, or the argument's name."""
        if self.is_argument:
            return self.name
        flags = ", ".join(self._flags)
        return flags if self._kind is bool else f"{flags} {self._info.metavar or _metavar(self._kind)}"

    @property
    def help(self) -> str:
        """The help, with the default where there is one that says something."""
        text = (self._info.help or "").replace("|", "\\|")
        value = self._default.value if isinstance(self._default, Enum) else self._default
        if self.is_argument or value in (inspect.Parameter.empty, "", None, False):
            return text
        return f"{text} Default: {self._flags[0].partition('/')[0] if value is True else value}."


def _metavar(kind: Any) -> str:
    named = next((one for one in get_args(kind) if one is not type(None)), kind)
    if isinstance(named, type) and issubclass(named, Enum):
        return "\\|".join(str(one.value) for one in named)
    return {int: "INTEGER", float: "NUMBER", Path: "PATH"}.get(named, "TEXT")


if __name__ == "__main__":
    sys.stdout.write(page())
