"""Why a prediction was not made, as the predict API's answer; imported with the first one that is refused."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from aws_lambda_powertools.logging import Logger

from pipeline.api import problems
from pipeline.api.bodies import BodyTooLargeError
from pipeline.api.prediction import UnreadableBodyError
from pipeline.contracts.constants import JSON
from pipeline.contracts.predict import PredictRequest
from pipeline.contracts.problem import FieldProblem, Problem
from pipeline.contracts.validation import InvalidDocumentError, read_document, read_object
from pipeline.errors import InputError, PipelineError
from pipeline.rules.msgpack import NotMessagePackError, unpack


def answer(error: Exception, event: Mapping[str, Any]) -> dict[str, Any]:
    """The error as what a Lambda answers to this event of API Gateway; the log tells of it, and of which policy."""
    request_id = str(event["requestContext"].get("requestId", ""))
    told = {"api_request_id": request_id, "policy": (event.get("pathParameters") or {}).get("policy")}
    return problems.to_proxy_response(_problem(error, request_id, told))


def _problem(error: Exception, request_id: str, told: dict[str, Any]) -> Problem:
    if isinstance(error, BodyTooLargeError):
        return problems.too_large(error.size_bytes, error.limit_bytes)
    if isinstance(error, UnreadableBodyError):
        return problems.of_invalid_document(_invalid(error.body, error.media))
    if isinstance(error, PipelineError):
        log = _logger().info if isinstance(error, InputError) else _logger().warning
        log("not answered", extra=told | {"code": error.code(), "cause": error.cause})
        return problems.of_error(error)
    _logger().error("unforeseen error", exc_info=error, extra=told)
    return problems.internal(request_id)


def _invalid(body: bytes, media: str) -> InvalidDocumentError:
    """What the contract says of a body that is no request."""
    try:
        if media == JSON:
            read_document(PredictRequest, body)
        else:
            read_object(PredictRequest, unpack(body))
    except NotMessagePackError as error:
        return _whole(f"not MessagePack: {error}")
    except InvalidDocumentError as error:
        return error
    return _whole("the body cannot be read")  # the contract may take in what a parser does not


def _whole(message: str) -> InvalidDocumentError:
    return InvalidDocumentError([FieldProblem(field="", message=message)])


@cache
def _logger() -> Logger:
    return Logger()
