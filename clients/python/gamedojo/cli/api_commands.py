"""Commands about the APIs themselves: health, openapi."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gamedojo.cli.arguments import AsJson, open_client
from gamedojo.cli.output import exit_code, print_error, print_json, say
from gamedojo.errors import GamedojoError

if TYPE_CHECKING:
    from gamedojo.client import GamedojoClient


class ApiName(StrEnum):
    """The two APIs of a stack."""

    CONTROL = "control"
    PREDICT = "predict"


def health(as_json: AsJson = False) -> None:
    """Say whether the APIs answer, with version and stage. The exit code tells if one does not."""
    with open_client() as client:
        known = {ApiName.CONTROL: client.connection.control_url, ApiName.PREDICT: client.connection.predict_url}
        found = {str(api): _look(client, api, as_json=as_json) for api, url in known.items() if url}
    if as_json:
        print_json({api: document for api, (document, _) in found.items()})
    if worst := max(code for _, code in found.values()):
        raise typer.Exit(worst)


def openapi(
    api: Annotated[ApiName, typer.Option(help="Whose document.")] = ApiName.CONTROL,
) -> None:
    """Print an API's OpenAPI document, which is JSON."""
    with open_client() as client:
        print_json(client.description(api.value))


def _look(client: "GamedojoClient", api: ApiName, *, as_json: bool) -> tuple[dict[str, Any], int]:
    """What an API says of itself, or its trouble; and the exit code of it."""
    try:
        found = client.health(api.value)
    except GamedojoError as error:
        if not as_json:
            print_error(error)
        return {"status": "unreachable", "message": error.message}, exit_code(error)
    if not as_json:
        say(f"{found.api}: {found.status}, version {found.version}, stage {found.stage}")
    return {"status": found.status, "version": found.version, "stage": found.stage}, 0
