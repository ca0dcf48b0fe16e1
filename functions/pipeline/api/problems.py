"""Errors as answers: `application/problem+json` with a stable code and the HTTP status that fits."""

from http import HTTPStatus
from typing import Any

from pipeline import errors
from pipeline.api import codes
from pipeline.api.codes import ErrorCode
from pipeline.contracts.problem import FieldProblem, Problem
from pipeline.contracts.validation import InvalidDocumentError

PROBLEM_CONTENT_TYPE = "application/problem+json"


def of_error(error: errors.PipelineError) -> Problem:
    """An error of ours: its own code, cause and remedy; the status of the nearest class that has one."""
    return _problem(codes.of_class(type(error)), error.cause, codes.to_caller(error.remedy))


def of_invalid_document(error: InvalidDocumentError) -> Problem:
    """A body that breaks its contract: each field that is wrong, by name."""
    return invalid_request(str(error), error.problems)


def invalid_request(detail: str, fields: tuple[FieldProblem, ...] = ()) -> Problem:
    """A request that cannot be read as what it should be."""
    return _problem(codes.of_class(errors.InvalidRequestError), detail, fields=fields)


def too_large(size_bytes: int, limit_bytes: int) -> Problem:
    """A body above the published limit."""
    return _problem(codes.REQUEST_TOO_LARGE, f"The body has {size_bytes} bytes; at most {limit_bytes} are taken.")


def no_such_route(method: str, path: str) -> Problem:
    """A path that the API does not have."""
    return _problem(codes.ROUTE_NOT_FOUND, f"This API has no {method} {path}.")


def wrong_method(method: str, path: str, allowed: tuple[str, ...]) -> Problem:
    """A path that is there, but not for this method."""
    return _problem(codes.METHOD_NOT_ALLOWED, f"{path} does not take {method}.", f"It takes: {', '.join(allowed)}.")


def internal(request_id: str) -> Problem:
    """Something that we did not foresee. What it was stands in the log, under the request id."""
    return _problem(codes.INTERNAL, f"The request {request_id} failed on our side.")


def headers(problem: Problem) -> dict[str, str]:
    """The answer's headers: content type, and Retry-After where another try may help."""
    retry_after = codes.RETRY_AFTER_SECONDS.get(HTTPStatus(problem.status))
    named = {"Content-Type": PROBLEM_CONTENT_TYPE, "Cache-Control": "no-store"}
    return named if retry_after is None else named | {"Retry-After": str(retry_after)}


def to_proxy_response(problem: Problem, more: dict[str, str] | None = None) -> dict[str, Any]:
    """The problem as what a Lambda answers to API Gateway, with `more` headers."""
    named = headers(problem) | (more or {})
    return {"statusCode": problem.status, "headers": named, "body": problem.model_dump_json()}


def _problem(code: ErrorCode, detail: str, remedy: str | None = None, fields: tuple[FieldProblem, ...] = ()) -> Problem:
    return Problem(
        title=code.status.phrase,
        status=code.status,
        code=code.code,
        detail=detail,
        remedy=code.remedy if remedy is None else remedy,
        errors=fields,
    )
