"""botocore's errors as errors of ours, by error code and never by message text.

SageMaker models ResourceInUse, ResourceLimitExceeded and ResourceNotFound; throttling and "could not find" are plain
client errors (facts of botocore's service models).
"""

from botocore.exceptions import BotoCoreError, ClientError

from pipeline.errors import CapacityError, PipelineError, ServiceUnavailableError, ThrottledError

_THROTTLED = {
    "ThrottlingException",
    "Throttling",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "ProvisionedThroughputExceededException",
    "SlowDown",
}

_BUSY = {
    "TransactionConflictException",
    "ReplicatedWriteConflictException",
    "OperationAborted",
    "ConditionalRequestConflict",
    "ResourceConflict",
}
"""Somebody else is changing the same thing just now."""

_GONE = {"ResourceNotFoundException", "ResourceNotFound", "NoSuchBucket", "NotFound"}
"""A table, bucket, topic or job's input: what the stack made, or this run did, before the call."""

_REMEDY_OF_GONE = "Look whether somebody has deleted a part of the stack: deploy it again, then redrive the run."


def error_code(error: ClientError | BotoCoreError) -> str:
    """AWS's code, "" when AWS was not reached."""
    return error.response["Error"].get("Code", "") if isinstance(error, ClientError) else ""


def translate(service: str, error: ClientError | BotoCoreError) -> PipelineError:
    """Transient errors as such; anything else is a fault of ours or of the account, and final."""
    code = error_code(error)
    if code in _THROTTLED:
        return ThrottledError(f"{service} asks for a pause: {error}")
    if code == "ResourceLimitExceeded":
        return CapacityError(f"{service} has no capacity left in this account: {error}")
    if code in _BUSY:
        return ServiceUnavailableError(f"{service} is busy with another change of the same thing: {error}")
    if code in _GONE:
        return PipelineError(f"{service} does not find what it is to work with: {error}", _REMEDY_OF_GONE)
    status = (
        int(error.response["ResponseMetadata"].get("HTTPStatusCode", 500)) if isinstance(error, ClientError) else 500
    )
    if status >= 500:
        return ServiceUnavailableError(f"{service} failed: {error}")
    return PipelineError(f"{service} refused: {error}")
