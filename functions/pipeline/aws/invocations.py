"""Asking an endpoint for a batch, by the contracts of its container."""

from typing import TYPE_CHECKING

from pydantic import ValidationError

from pipeline.aws.inference import ask, not_an_answer
from pipeline.contracts.constants import JSON
from pipeline.contracts.predict import InvocationRequest, InvocationResponse
from pipeline.errors import InvalidObservationError

if TYPE_CHECKING:
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient

MAX_ENDPOINT_BODY_BYTES = 4 * 1024 * 1024
"""What a serverless endpoint takes; a real-time one takes 6,291,456 bytes. The lower one is ours for both."""


def invoke(client: "SageMakerRuntimeClient", endpoint_name: str, request: InvocationRequest) -> InvocationResponse:
    """Send one batch to the endpoint and read its answer.

    Raises:
        InvalidObservationError: it is too large for an endpoint.
        ModelError: the container answered something else than an `InvocationResponse`.
        As `pipeline.aws.inference.ask`.
    """
    body = request.model_dump_json(exclude_none=True).encode()
    if len(body) > MAX_ENDPOINT_BODY_BYTES:
        raise InvalidObservationError(
            f"Written out, the request has {len(body)} bytes; an endpoint takes {MAX_ENDPOINT_BODY_BYTES}.",
            "Ask for fewer agents at once, or send the observations as tensors.",
        )
    answer = ask(client, endpoint_name, body, JSON, JSON)
    try:
        return InvocationResponse.model_validate_json(answer)
    except ValidationError as error:
        raise not_an_answer(endpoint_name, answer) from error
