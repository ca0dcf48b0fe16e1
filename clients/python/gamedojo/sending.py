"""From a call to the request that a transport sends: the URL and the key of its API."""

from typing import Any

from gamedojo.calls import Call
from gamedojo.connection import Connection
from gamedojo.errors import ConnectionSettingsError


def request_of(call: Call[Any], connection: Connection) -> tuple[str, str, dict[str, Any]]:
    """Method, URL and what else the transports' `call` takes.

    Raises:
        ConnectionSettingsError: the URL of the call's API is not known.
    """
    base, key = (
        (connection.control_url, connection.control_key)
        if call.api == "control"
        else (connection.predict_url, connection.predict_key)
    )
    if not base:
        variable = f"GAMEDOJO_{call.api.upper()}"
        raise ConnectionSettingsError(
            f"The {call.api} API's URL is not known.", f"Set {variable}_URL and {variable}_KEY."
        )
    headers = {"accept": "application/json", **call.headers} | ({"x-api-key": key} if key else {})
    content: dict[str, Any] = {"headers": headers, "params": call.params or None, "repeat": call.repeat}
    content |= {"json": call.body} if call.content is None else {"content": call.content}
    return call.method, base.rstrip("/") + call.path, content
