"""A training request from a file and from `--set` options."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gamedojo.errors import InputError

_FREE_NAMES = ("environment", "parameters")
"""Below this path names are the game's own and may hold dots."""


def read_json(text: str, what: str) -> Any:
    """Parse JSON text.

    Raises:
        InputError: it does not parse; the message has the place.
    """
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise InputError(f"{what} is not JSON: {error.msg} at {place}.") from error
    except ValueError as error:
        raise InputError(f"{what} holds {error}.", "Send finite numbers.") from error


def read_json_file(path: Path, what: str) -> Any:
    """Read and parse a JSON file; raises InputError as `read_json`, and if the file cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{what} {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{what} {path} is no UTF-8 text.") from error
    return read_json(text, f"{what} {path}")


def training_request(config: Path | None, settings: Iterable[str], policy: str) -> dict[str, Any]:
    """The fields of a training request but `build`: the file's, changed by `--set`, then by `--policy`.

    Raises:
        InputError: the file or a setting cannot be read, or they name a build.
    """
    request = {} if config is None else read_json_file(config, "The request file")
    if not isinstance(request, dict):
        raise InputError(f"The request file {config} holds no JSON object.", 'Begin with {"hyperparameters": {…}}.')
    for setting in settings:
        apply_setting(request, setting)
    if "build" in request:
        raise InputError("The request names a build, and so does the command.", "Leave `build` out of the request.")
    if policy:
        request["policy"] = policy
    return request


def apply_setting(request: dict[str, Any], setting: str) -> None:
    """Set one dotted name: `hyperparameters.lr=0.0003`. The value is JSON; what is no JSON is taken as text.

    Raises:
        InputError: no `=`, an empty name, or a name below a value that is no object.
    """
    name, equals, text = setting.partition("=")
    steps = _steps(name.strip())
    if not equals or not all(steps):
        raise InputError(f"--set {setting!r} is no setting.", "Write NAME=VALUE, as in hyperparameters.lr=0.0003.")
    *parents, leaf = steps
    target: Any = request
    for parent in parents:
        target = target.setdefault(parent, {})
        if not isinstance(target, dict):
            raise InputError(f"--set {setting!r}: {parent!r} already has a value that is no object.")
    target[leaf] = _value(text)


def _steps(name: str) -> list[str]:
    steps = name.split(".")
    if tuple(steps[:2]) == _FREE_NAMES and len(steps) > 2:
        return [*_FREE_NAMES, ".".join(steps[2:])]
    return steps


def _value(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except ValueError:
        return text


def _refuse_constant(name: str) -> Any:
    """JSON has no NaN; Python's reader would take it."""
    raise ValueError(f"{name}, which is no JSON number")
