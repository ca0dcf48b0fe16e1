"""Errors as answers: `application/problem+json` with a stable code and the HTTP status that fits."""

from http import HTTPStatus
from typing import Any

from pipeline import errors
from pipeline.contracts.problem import FieldProblem, Problem
from pipeline.contracts.validation import InvalidDocumentError

PROBLEM_CONTENT_TYPE = "application/problem+json"

_STATUS: dict[type[errors.PipelineError], HTTPStatus] = {
    errors.InputError: HTTPStatus.BAD_REQUEST,
    errors.BuildRejectedError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.BuildNotFoundError: HTTPStatus.NOT_FOUND,
    errors.RunNotFoundError: HTTPStatus.NOT_FOUND,
    errors.PolicyNotFoundError: HTTPStatus.NOT_FOUND,
    errors.ConflictError: HTTPStatus.CONFLICT,
    errors.PolicyAsleepError: HTTPStatus.CONFLICT,
    errors.TransientError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.ThrottledError: HTTPStatus.TOO_MANY_REQUESTS,
    errors.LeaseHeldError: HTTPStatus.CONFLICT,
    errors.StepFailedError: HTTPStatus.BAD_GATEWAY,
    errors.DeadlineExceededError: HTTPStatus.GATEWAY_TIMEOUT,
    errors.PipelineError: HTTPStatus.INTERNAL_SERVER_ERROR,
}
_RETRY_AFTER_SECONDS = {HTTPStatus.TOO_MANY_REQUESTS: 1, HTTPStatus.SERVICE_UNAVAILABLE: 5}


def of_error(error: errors.PipelineError) -> Problem:
    """An error of ours: its own code, cause and remedy; the status of the nearest class that has one."""
    status = next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
    return _problem(status, error.code(), error.cause, error.remedy)


def of_invalid_document(error: InvalidDocumentError) -> Problem:
    """A body that breaks its contract: each field that is wrong, by name."""
    return invalid_request(str(error), error.problems)


def invalid_request(detail: str, fields: tuple[FieldProblem, ...] = ()) -> Problem:
    """A request that cannot be read as what it should be."""
    kind = errors.InvalidRequestError
    return _problem(HTTPStatus.BAD_REQUEST, kind.code(), detail, kind.default_remedy, fields)


def too_large(size_bytes: int, limit_bytes: int) -> Problem:
    """A body above the published limit."""
    return _problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "RequestTooLarge",
        f"The body has {size_bytes} bytes; at most {limit_bytes} are taken.",
        "Send less in one request.",
    )


def no_such_route(method: str, path: str) -> Problem:
    """A path that the API does not have."""
    return _problem(
        HTTPStatus.NOT_FOUND,
        "RouteNotFound",
        f"This API has no {method} {path}.",
        "Compare path and method with the API's documentation.",
    )


def wrong_method(method: str, path: str, allowed: tuple[str, ...]) -> Problem:
    """A path that is there, but not for this method."""
    return _problem(
        HTTPStatus.METHOD_NOT_ALLOWED,
        "MethodNotAllowed",
        f"{path} does not take {method}.",
        f"It takes: {', '.join(allowed)}.",
    )


def internal(request_id: str) -> Problem:
    """Something that we did not foresee. What it was stands in the log, under the request id."""
    return _problem(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "Internal",
        f"The request {request_id} failed on our side.",
        "Try again; if it lasts, look for this request id in the log.",
    )


def headers(problem: Problem) -> dict[str, str]:
    """The answer's headers: content type, and Retry-After where another try may help."""
    retry_after = _RETRY_AFTER_SECONDS.get(HTTPStatus(problem.status))
    named = {"Content-Type": PROBLEM_CONTENT_TYPE, "Cache-Control": "no-store"}
    return named if retry_after is None else named | {"Retry-After": str(retry_after)}


def to_proxy_response(problem: Problem) -> dict[str, Any]:
    """The problem as what a Lambda answers to API Gateway."""
    return {"statusCode": problem.status, "headers": headers(problem), "body": problem.model_dump_json()}


def _problem(status: HTTPStatus, code: str, detail: str, remedy: str, fields: tuple[FieldProblem, ...] = ()) -> Problem:
    return Problem(title=status.phrase, status=status, code=code, detail=detail, remedy=remedy, errors=fields)
