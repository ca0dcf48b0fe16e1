"""Where the stack is: from environment variables, or from the file that `gamedojo local up` writes."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gamedojo.errors import ConnectionSettingsError

CONNECTION_FILE = Path(".gamedojo") / "connection.json"
VARIABLES = {
    "control_url": "GAMEDOJO_CONTROL_URL",
    "control_key": "GAMEDOJO_CONTROL_KEY",
    "predict_url": "GAMEDOJO_PREDICT_URL",
    "predict_key": "GAMEDOJO_PREDICT_KEY",
}
_KEYS = ("control_key", "predict_key")
_HEADER_TEXT = re.compile(r"[\x21-\x7e]*")
_REMEDY = (
    "Start a local cloud with `gamedojo local up`, or set GAMEDOJO_CONTROL_URL and GAMEDOJO_CONTROL_KEY "
    "(for predictions GAMEDOJO_PREDICT_URL and GAMEDOJO_PREDICT_KEY) to a deployed stack's URLs and keys."
)


@dataclass(frozen=True)
class Connection:
    """URLs and API keys of one stack.

    A part that is not known is "". The last four fields serve tools that look behind the APIs (a file dropped into the
    bucket); they are known for a local cloud and may be empty for a deployed stack.
    """

    control_url: str = ""
    control_key: str = field(default="", repr=False)
    predict_url: str = ""
    predict_key: str = field(default="", repr=False)
    endpoint_url: str = ""
    region: str = ""
    bucket: str = ""
    stack_name: str = ""
    source: str = ""
    """What told: a file's path, or "environment variables"."""

    def __post_init__(self) -> None:
        """Refuse a key that no header can hold, and before an HTTP library does: that one would print it.

        Raises:
            ConnectionSettingsError: names the key's field, and not the key.
        """
        for name in _KEYS:
            if not _HEADER_TEXT.fullmatch(getattr(self, name)):
                raise ConnectionSettingsError(
                    f"The {name} is no API key: it has a space, a line break or a letter outside ASCII in it.",
                    "Copy the key anew, and nothing beside it.",
                )


def find_connection(environ: Mapping[str, str] | None = None, start: Path | None = None) -> Connection:
    """Find the stack to talk to.

    In order: the variables GAMEDOJO_CONTROL_URL, _CONTROL_KEY, _PREDICT_URL, _PREDICT_KEY (one of the URLs is enough to
    choose this way); the file named by GAMEDOJO_CONNECTION; `.gamedojo/connection.json` in `start` (the working
    directory) or the nearest directory above it.

    Raises:
        ConnectionSettingsError: nothing was found, or what was found is incomplete or unreadable.
    """
    environ = os.environ if environ is None else environ
    values = {name: environ.get(variable, "").strip() for name, variable in VARIABLES.items()}
    if values["control_url"] or values["predict_url"]:
        return _from_variables(values)
    if stray := [VARIABLES[name] for name, value in values.items() if value]:
        raise ConnectionSettingsError(f"{stray[0]} is set, but no URL that the key belongs to.", _REMEDY)
    if named := environ.get("GAMEDOJO_CONNECTION", "").strip():
        return read_connection_file(Path(named))
    start = (Path.cwd() if start is None else start).absolute()
    for directory in (start, *start.parents):
        if (path := directory / CONNECTION_FILE).is_file():
            return read_connection_file(path)
    raise ConnectionSettingsError(f"No stack to talk to: no {CONNECTION_FILE} in {start} or above it.", _REMEDY)


def read_connection_file(path: Path) -> Connection:
    """Read a connection file; fields that this version does not know are passed over.

    Raises:
        ConnectionSettingsError: it cannot be read, is no JSON object, or names no URL.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConnectionSettingsError(
            f"The connection file {path} cannot be read: {error.strerror}.", _REMEDY
        ) from error
    except ValueError as error:
        raise ConnectionSettingsError(f"The connection file {path} is not JSON: {error}.", _REMEDY) from error
    if not isinstance(document, dict):
        raise ConnectionSettingsError(f"The connection file {path} holds no JSON object.", _REMEDY)
    known: dict[str, Any] = {name: document.get(name) for name in Connection.__dataclass_fields__ if name != "source"}
    wrong = [name for name, value in known.items() if value is not None and not isinstance(value, str)]
    if wrong:
        raise ConnectionSettingsError(f"{wrong[0]} in the connection file {path} is no text.", _REMEDY)
    connection = Connection(**{name: value or "" for name, value in known.items()}, source=str(path))
    if not connection.control_url and not connection.predict_url:
        raise ConnectionSettingsError(f"The connection file {path} has neither control_url nor predict_url.", _REMEDY)
    _check_urls(connection, path.name)
    return connection


def _from_variables(values: Mapping[str, str]) -> Connection:
    connection = Connection(**values, source="environment variables")
    _check_urls(connection, "the environment variables")
    return connection


def _check_urls(connection: Connection, where: str) -> None:
    for name in ("control_url", "predict_url"):
        url = getattr(connection, name)
        if url and not url.startswith(("http://", "https://")):
            raise ConnectionSettingsError(
                f"{name} in {where} is {url!r}, which is no URL.", "A URL begins with https:// or http://."
            )
