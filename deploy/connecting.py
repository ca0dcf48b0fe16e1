"""URLs and keys of a stage's stack, from its outputs; of the local cloud, from the file that it writes."""

from botocore.exceptions import ClientError

from deploy.account import Account
from deploy.errors import DeploymentError
from deploy.stages import Stage
from gamedojo import Connection, GamedojoError, find_connection


def connect_to_stage(account: Account, stage: Stage) -> Connection:
    """Read the stack's outputs, and both keys from API Gateway.

    Raises:
        DeploymentError: the stack is not there, or the keys may not be read.
    """
    outputs = account.outputs(stage.stack)
    if outputs is None:
        raise DeploymentError(
            f"There is no stack {stage.stack} in {account.region} of account {account.number}. "
            f"make deploy STAGE={stage.name} makes it."
        )
    return Connection(
        control_url=_output(outputs, "ControlApiUrl"),
        control_key=_key(account, _output(outputs, "ControlApiKeyId")),
        predict_url=_output(outputs, "PredictApiUrl"),
        predict_key=_key(account, _output(outputs, "PredictApiKeyId")),
        region=account.region,
        bucket=_output(outputs, "BucketName"),
        stack_name=stage.stack,
        source=f"the stack {stage.stack}",
    )


def connect_to_local_cloud() -> Connection:
    """The local cloud that runs.

    Raises:
        DeploymentError: there is none.
    """
    try:
        return find_connection()
    except GamedojoError as error:
        raise DeploymentError(f"{error} {error.remedy}") from error


def _output(outputs: dict[str, str], name: str) -> str:
    if name not in outputs:
        raise DeploymentError(f"The stack has no output {name}; it has {', '.join(sorted(outputs)) or 'none'}.")
    return outputs[name]


def _key(account: Account, key_id: str) -> str:
    try:
        value: str = account.client("apigateway").get_api_key(apiKey=key_id, includeValue=True)["value"]
    except ClientError as error:
        raise DeploymentError(f"The key {key_id} of the APIs cannot be read: {error}") from error
    return value
