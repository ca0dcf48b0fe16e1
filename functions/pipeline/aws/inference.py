"""Asking an endpoint (SageMaker runtime, InvokeEndpoint).

Errors by botocore's model of `sagemaker-runtime`: ModelError 424 (with the container's own status and message),
ModelNotReadyException 429, ServiceUnavailable 503, InternalDependencyException 530, InternalFailure 500 and
ValidationError 400, which is also what an endpoint that does not exist answers.
"""

import json
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from pipeline.aws.translation import error_code, translate
from pipeline.errors import (
    InvalidObservationError,
    ModelError,
    ModelNotReadyError,
    NotYetConsistentError,
    PipelineError,
    StaleStateError,
)

if TYPE_CHECKING:
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient

_SHOWN_CHARACTERS = 500


def ask(client: "SageMakerRuntimeClient", endpoint_name: str, body: bytes, media: str, answer_media: str) -> bytes:
    """Send a body as it is, in a format that the container reads, and hand on what it answers.

    Raises:
        InvalidObservationError: the container refused it (its own status was 4xx).
        StaleStateError: it refused a memory of another version or behavior.
        ModelError: the container failed.
        ModelNotReadyError: the endpoint is starting up.
        NotYetConsistentError: no such endpoint (yet, or any more), or it cannot be invoked in its present state.
        ThrottledError: too many requests.
        ServiceUnavailableError: SageMaker could not be reached or failed on its side.
    """
    try:
        answer = client.invoke_endpoint(EndpointName=endpoint_name, ContentType=media, Accept=answer_media, Body=body)
        return answer["Body"].read()
    except (ClientError, BotoCoreError) as error:
        raise _translate(endpoint_name, error) from error


def not_an_answer(endpoint_name: str, body: bytes) -> ModelError:
    """What to raise for an answer that is none."""
    return ModelError(
        f"The endpoint {endpoint_name!r} answered with something else than actions: {body[:_SHOWN_CHARACTERS]!r}",
        "The endpoint's image and this stack are of different versions: deploy both from one release.",
    )


def _translate(endpoint_name: str, error: ClientError | BotoCoreError) -> PipelineError:
    code = error_code(error)
    if isinstance(error, ClientError) and code == "ModelError":
        return _container_failure(endpoint_name, dict(error.response))
    if code == "ModelNotReadyException":
        return ModelNotReadyError(f"The endpoint {endpoint_name!r} is starting up.", "Try again in some seconds.")
    if code in {"ValidationError", "ValidationException"}:
        return NotYetConsistentError(f"The endpoint {endpoint_name!r} cannot be invoked: {error}")
    return translate(f"The endpoint {endpoint_name!r}", error)


def _container_failure(endpoint_name: str, response: dict[str, Any]) -> PipelineError:
    status = int(response.get("OriginalStatusCode") or 500)
    code, said = _said(str(response.get("OriginalMessage") or ""))
    if 400 <= status < 500:
        cause = f"The endpoint {endpoint_name!r} refused the request: {said}"
        if code == "StaleState":
            return StaleStateError(cause)
        return InvalidObservationError(cause, "Mend what the endpoint names, and send the request again.")
    return ModelError(
        f"The model behind {endpoint_name!r} failed with status {status}: {said}",
        f"Its log tells why: /aws/sagemaker/Endpoints/{endpoint_name}.",
    )


def _said(message: str) -> tuple[str, str]:
    """Code and words of the container's problem document; no code and the text itself if it is none."""
    try:
        document = json.loads(message)
        return str(document["code"]), str(document["detail"])[:_SHOWN_CHARACTERS]
    except (ValueError, KeyError, TypeError):
        return "", message[:_SHOWN_CHARACTERS]
