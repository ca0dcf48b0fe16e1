"""Asking an endpoint (SageMaker runtime, InvokeEndpoint).

Errors by botocore's model of `sagemaker-runtime`: ModelError 424 (with the container's own status and message),
ModelNotReadyException 429, ServiceUnavailable 503, InternalDependencyException 530, InternalFailure 500 and
ValidationError 400, which is also what an endpoint that does not exist answers.
"""

import json
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import ValidationError

from pipeline.aws.translation import error_code, translate
from pipeline.contracts.predict import JSON, InvocationRequest, InvocationResponse
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

MAX_ENDPOINT_BODY_BYTES = 4 * 1024 * 1024
"""What a serverless endpoint takes; a real-time one takes 6,291,456 bytes. The lower one is ours for both."""

_SHOWN_CHARACTERS = 500


def invoke(client: "SageMakerRuntimeClient", endpoint_name: str, request: InvocationRequest) -> InvocationResponse:
    """Send one batch to the endpoint and read its answer.

    Raises:
        InvalidObservationError: it is too large for an endpoint, or the container refused it (its own status was 4xx).
        StaleStateError: it refused a memory of another version or behavior.
        ModelError: the container failed, or answered something else than an `InvocationResponse`.
        ModelNotReadyError: the endpoint is starting up.
        NotYetConsistentError: no such endpoint (yet, or any more), or it cannot be invoked in its present state.
        ThrottledError: too many requests.
        ServiceUnavailableError: SageMaker could not be reached or failed on its side.
    """
    body = request.model_dump_json(exclude_none=True).encode()
    if len(body) > MAX_ENDPOINT_BODY_BYTES:  # 9e9 is three bytes of a caller's JSON, and twelve written out
        raise InvalidObservationError(
            f"Written out, the request has {len(body)} bytes; an endpoint takes {MAX_ENDPOINT_BODY_BYTES}.",
            "Ask for fewer agents at once, or send the observations as tensors.",
        )
    answer = ask(client, endpoint_name, body, JSON, JSON)
    try:
        return InvocationResponse.model_validate_json(answer)
    except ValidationError as error:
        raise not_an_answer(endpoint_name, answer) from error


def ask(client: "SageMakerRuntimeClient", endpoint_name: str, body: bytes, media: str, answer_media: str) -> bytes:
    """Send a body as it is, in a format that the container reads, and hand on what it answers.

    Raises:
        As `invoke`, but an answer is not looked into.
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
        refusal = StaleStateError if code == "StaleState" else InvalidObservationError
        return refusal(f"The endpoint {endpoint_name!r} refused the request: {said}")
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
