"""The connection: URLs and keys of a running cloud, as `connection.json` holds them for the command line."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from local.aws import client_arguments, isolated_session
from local.deployment import Stack
from local.errors import DeployError
from local.records import write_private
from local.settings import REGION, STACK_NAME


@dataclass(frozen=True)
class Connection:
    """What a client of the local cloud needs to know. `endpoint_url` is for AWS tools and boto3."""

    control_url: str
    control_key: str
    predict_url: str
    predict_key: str
    endpoint_url: str
    sagemaker_url: str
    region: str
    bucket: str
    stack_name: str


def connect(stack: Stack, *, emulator_url: str, sagemaker_url: str) -> Connection:
    """Read URLs and keys of a deployed stack."""
    return Connection(
        control_url=local_api_url(stack.output("ControlApiUrl"), emulator_url),
        control_key=_api_key(stack.output("ControlApiKeyId"), emulator_url),
        predict_url=local_api_url(stack.output("PredictApiUrl"), emulator_url),
        predict_key=_api_key(stack.output("PredictApiKeyId"), emulator_url),
        endpoint_url=emulator_url,
        sagemaker_url=sagemaker_url,
        region=REGION,
        bucket=stack.output("BucketName"),
        stack_name=STACK_NAME,
    )


def write_connection(path: Path, connection: Connection) -> None:
    """Write it for clients; only its owner may read the keys."""
    write_private(path, json.dumps(asdict(connection), indent=2))


def read_connection(path: Path) -> Connection | None:
    """What was written; None when nothing was."""
    try:
        return Connection(**json.loads(path.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def local_api_url(api_url: str, emulator_url: str) -> str:
    """Where the emulator serves a REST API.

    >>> local_api_url("https://abc.execute-api.us-east-1.amazonaws.com/dev", "http://127.0.0.1:4566")
    'http://127.0.0.1:4566/_aws/execute-api/abc/dev'
    """
    parts = urlsplit(api_url)
    api_id, separator, _ = (parts.hostname or "").partition(".execute-api.")
    if not separator:
        raise DeployError(f"Not the URL of a REST API: {api_url}")
    return f"{emulator_url}/_aws/execute-api/{api_id}{parts.path}"


def _api_key(key_id: str, emulator_url: str) -> str:
    client = isolated_session().client("apigateway", **client_arguments(emulator_url))
    return client.get_api_key(apiKey=key_id, includeValue=True)["value"]
