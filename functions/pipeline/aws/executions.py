"""Executions of the state machine that runs a training run.

An execution that the API starts is named by its run, so that the same request sent twice cannot start two. Step
Functions keeps a name for 90 days.
"""

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import Field

from pipeline.aws.translation import error_code, translate
from pipeline.contracts.base import Contract
from pipeline.errors import PipelineError, ThrottledError

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

_PARTS = 7
"""Of a state machine's ARN. An alias or a version is an eighth, which executions do not have."""


class Execution(Contract):
    """What Step Functions says about an execution. `status` is its own word, such as RUNNING or SUCCEEDED."""

    arn: str
    status: str
    started_at: datetime
    stopped_at: datetime | None = None
    error: str | None = None
    cause: str | None = None
    input: dict[str, Any] = Field(default_factory=dict)


def start(client: "SFNClient", state_machine_arn: str, name: str, event: Contract) -> str:
    """Start the execution of this name, or find that it was started before; return its ARN.

    Raises:
        ThrottledError: Step Functions asks for a pause.
        ServiceUnavailableError: it could not be reached or failed on its side.
    """
    try:
        answer = client.start_execution(stateMachineArn=state_machine_arn, name=name, input=event.model_dump_json())
    except client.exceptions.ExecutionAlreadyExists:
        return execution_arn(state_machine_arn, name)
    except (ClientError, BotoCoreError) as error:
        raise _translate(error) from error
    return answer["executionArn"]


def stop(client: "SFNClient", arn: str) -> None:
    """Stop the execution; one that has ended, or never was, is left alone.

    Raises:
        ThrottledError: Step Functions asks for a pause.
        ServiceUnavailableError: it could not be reached or failed on its side.
    """
    try:
        client.stop_execution(executionArn=arn, error="Cancelled", cause="The run was cancelled.")
    except client.exceptions.ExecutionDoesNotExist:
        return
    except (ClientError, BotoCoreError) as error:
        raise _translate(error) from error


def describe(client: "SFNClient", state_machine_arn: str, run_id: str) -> Execution | None:
    """The execution that the API started for this run; None if there is none.

    Raises:
        ThrottledError: Step Functions asks for a pause.
        ServiceUnavailableError: it could not be reached or failed on its side.
    """
    return find(client, execution_arn(state_machine_arn, run_id))


def find(client: "SFNClient", arn: str) -> Execution | None:
    """The execution of this ARN; None if there is none, or none any more: Step Functions forgets it after 90 days.

    Raises:
        ThrottledError: Step Functions asks for a pause.
        ServiceUnavailableError: it could not be reached or failed on its side.
    """
    try:
        answer = client.describe_execution(executionArn=arn)
    except client.exceptions.ExecutionDoesNotExist:
        return None
    except (ClientError, BotoCoreError) as error:
        raise _translate(error) from error
    return Execution(
        arn=arn,
        status=answer["status"],
        started_at=answer["startDate"],
        stopped_at=answer.get("stopDate"),
        error=answer.get("error"),
        cause=answer.get("cause"),
        input=_input(answer.get("input")),
    )


def _input(text: str | None) -> dict[str, Any]:
    """An execution that somebody started by hand may have any JSON as its input."""
    document = json.loads(text) if text else None
    return document if isinstance(document, dict) else {}


def execution_arn(state_machine_arn: str, name: str) -> str:
    """`arn:…:stateMachine:<machine>` and a name make `arn:…:execution:<machine>:<name>`; so does an alias's."""
    machine = ":".join(state_machine_arn.split(":")[:_PARTS])
    return f"{machine.replace(':stateMachine:', ':execution:')}:{name}"


def _translate(error: ClientError | BotoCoreError) -> PipelineError:
    if error_code(error) == "ExecutionLimitExceeded":  # a million open executions: a pause, not a fault
        return ThrottledError(f"Step Functions has too many open executions: {error}")
    return translate("Step Functions", error)
