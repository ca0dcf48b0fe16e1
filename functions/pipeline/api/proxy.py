"""What both control handlers share: a resolver whose every answer, errors included, is JSON of a known form.

The routes stand here as a table too, because each handler has a part of them: only the table can tell an unknown path
from a wrong method.
"""

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel

from pipeline.api import problems
from pipeline.api.bodies import BodyTooLargeError, body_of
from pipeline.contracts.api import RunQuery
from pipeline.contracts.problem import Problem
from pipeline.contracts.validation import InvalidDocumentError, Model, read_document
from pipeline.errors import PipelineError
from pipeline.observability import logger, metrics, tracer
from pipeline.rules.run_options import read_request

CONTROL_ROUTES: dict[str, tuple[str, ...]] = {
    "/training-runs": ("GET", "POST"),
    "/training-runs/{run_id}": ("GET", "DELETE"),
    "/training-runs/{run_id}/artifacts": ("GET",),
    "/training-runs/{run_id}/redrive": ("POST",),
    "/builds": ("POST",),
    "/policies": ("GET",),
    "/policies/{policy}": ("GET", "DELETE"),
    "/policies/{policy}/history": ("GET",),
    "/policies/{policy}/rollback": ("POST",),
    "/policies/{policy}/wake": ("POST",),
}

MAX_BODY_BYTES = 256 * 1024
"""A training request is a few hundred bytes; this is room enough for any."""


_LIMIT_DIGITS = 10


def make_resolver() -> APIGatewayRestResolver:
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
        lambda error: _answer_problem(problems.too_large(error.size_bytes, error.limit_bytes))
    )
    app.exception_handler(Exception)(unforeseen)
    return app


def make_handler(app: APIGatewayRestResolver) -> Callable[[dict[str, Any], LambdaContext], dict[str, Any]]:
    """The Lambda handler of a resolver: logs with the request's ids, a trace, and a count of answers by class."""

    def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        response: dict[str, Any] = app.resolve(event, context)
        metrics.add_metric(f"Http{response['statusCode'] // 100}xx", MetricUnit.Count, 1)
        return response

    measured = metrics.log_metrics(handler)
    logged = logger.inject_lambda_context(clear_state=True)(measured)
    traced: Callable[[dict[str, Any], LambdaContext], dict[str, Any]] = tracer.capture_lambda_handler(
        capture_response=False
    )(logged)
    return traced


def read_body(app: APIGatewayRestResolver, model: type[Model]) -> Model:
    """The request's body as `model`.

    Raises:
        BodyTooLargeError: above `MAX_BODY_BYTES`.
        InvalidDocumentError: no JSON, or not of this contract.
    """
    return read_request(model, body_of(app.current_event.raw_event, MAX_BODY_BYTES))


def read_run_query(app: APIGatewayRestResolver) -> RunQuery:
    """The query parameters of the list of runs; one that is given without a value counts as not given.

    Raises:
        InvalidDocumentError: an unknown parameter, or a value out of range.
    """
    given: dict[str, object] = {name: text for name, text in app.current_event.query_string_parameters.items() if text}
    limit = str(given.get("limit", ""))
    if limit.isdecimal() and len(limit) < _LIMIT_DIGITS:
        given["limit"] = int(limit)
    return read_document(RunQuery, given)


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
