"""What both control handlers share: one resolver whose every answer, errors included, is JSON of a known form.

The routes stand here as a table too, because each handler has a part of them: only the table can tell an unknown path
from a wrong method.
"""

import re
from http import HTTPStatus

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from pydantic import BaseModel

from pipeline.api import problems
from pipeline.contracts.problem import FieldProblem, Problem
from pipeline.contracts.validation import InvalidDocumentError, Model, read_document
from pipeline.errors import PipelineError

CONTROL_ROUTES: dict[str, tuple[str, ...]] = {
    "/training-runs": ("GET", "POST"),
    "/training-runs/{run_id}": ("GET",),
    "/training-runs/{run_id}/artifacts": ("GET",),
    "/builds": ("POST",),
    "/policies": ("GET",),
    "/policies/{policy}": ("GET",),
}

MAX_BODY_BYTES = 256 * 1024
"""A training request is a few hundred bytes; this is room enough for any."""


class BodyTooLargeError(Exception):
    """The body is above `MAX_BODY_BYTES`."""

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        super().__init__(f"{size_bytes} bytes")


def make_resolver(logger: Logger) -> APIGatewayRestResolver:
    """A resolver that answers our errors as problems and logs those that we did not foresee."""
    app = APIGatewayRestResolver()

    def no_route(_: NotFoundError) -> Response[str]:
        return _answer_no_route(app.current_event.http_method, app.current_event.path)

    def refused(error: PipelineError) -> Response[str]:
        logger.info("refused", extra={"code": error.code(), "cause": error.cause})
        return _answer_problem(problems.of_error(error))

    def unforeseen(_: Exception) -> Response[str]:
        request_id = app.current_event.request_context.request_id or ""
        logger.exception("unforeseen error", extra={"api_request_id": request_id})
        return _answer_problem(problems.internal(request_id))

    app.not_found(no_route)
    app.exception_handler(PipelineError)(refused)
    app.exception_handler(InvalidDocumentError)(lambda error: _answer_problem(problems.of_invalid_document(error)))
    app.exception_handler(BodyTooLargeError)(
        lambda error: _answer_problem(problems.too_large(error.size_bytes, MAX_BODY_BYTES))
    )
    app.exception_handler(Exception)(unforeseen)
    return app


def read_body(app: APIGatewayRestResolver, model: type[Model]) -> Model:
    """The request's body as `model`.

    Raises:
        BodyTooLargeError: above `MAX_BODY_BYTES`.
        InvalidDocumentError: no JSON, or not of this contract.
    """
    try:
        body = app.current_event.decoded_body or ""
    except ValueError as error:  # base64 or UTF-8 that is none
        raise InvalidDocumentError([FieldProblem(field="", message="not JSON: the body is no UTF-8 text")]) from error
    size_bytes = len(body.encode())
    if size_bytes > MAX_BODY_BYTES:
        raise BodyTooLargeError(size_bytes)
    return read_document(model, body)


def answer(document: BaseModel, status: HTTPStatus = HTTPStatus.OK) -> Response[str]:
    """A document as the answer. It tells a moment's state: nobody keeps it."""
    return Response(
        status_code=status,
        content_type="application/json",
        body=document.model_dump_json(exclude_none=True),
        headers={"Cache-Control": "no-store"},
    )


def _answer_problem(problem: Problem, headers: dict[str, str] | None = None) -> Response[str]:
    named: dict[str, str | list[str]] = {**problems.headers(problem), **(headers or {})}
    return Response(status_code=problem.status, body=problem.model_dump_json(), headers=named)


def _answer_no_route(method: str, path: str) -> Response[str]:
    for template, methods in CONTROL_ROUTES.items():
        if re.fullmatch(re.sub(r"{\w+}", "[^/]+", template), path):
            return _answer_problem(problems.wrong_method(method, path, methods), {"Allow": ", ".join(methods)})
    return _answer_problem(problems.no_such_route(method, path))
