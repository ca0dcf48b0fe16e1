"""What both control handlers share: a resolver whose every answer, errors included, is JSON of a known form.

Each handler has a part of the routes: only their table (`routes`) can tell an unknown path from a wrong method.
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

from pipeline.api import cors, problems
from pipeline.api.bodies import BodyTooLargeError, body_of
from pipeline.api.routes import CONTROL, allowed_methods
from pipeline.contracts.problem import FieldProblem, Problem
from pipeline.contracts.validation import InvalidDocumentError, Model, read_document
from pipeline.errors import PipelineError
from pipeline.observability import logger, metrics, tracer
from pipeline.rules.run_options import read_request

MAX_BODY_BYTES = 256 * 1024
"""A training request is a few hundred bytes; this is room enough for any."""


_NUMBER_DIGITS = 10
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_SUBJECT = re.compile(
    r"/(?:training-runs/(?P<run_id>[^/]+)|policies/(?P<policy>[^/]+)|builds/(?P<build_id>[^/]+)).*", re.DOTALL
)
"""What a request is about: it stands in each line of its log, whichever of the APIs it came by."""


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


def make_handler(
    app: APIGatewayRestResolver, allowed_origin: Callable[[], str]
) -> Callable[[dict[str, Any], LambdaContext], dict[str, Any]]:
    """The Lambda handler of a resolver: logs with the request's ids, a trace, and a count of answers by class.

    Args:
        app: the resolver.
        allowed_origin: whose pages may ask by a browser; read when the first request is there.
    """

    def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        methods = allowed_methods(CONTROL, event["path"]) if event["httpMethod"] == "OPTIONS" else ()
        if subject := _SUBJECT.match(event["path"]):
            logger.append_keys(**{name: text for name, text in subject.groupdict().items() if text})
        response: dict[str, Any]
        if methods:
            response = cors.preflight(allowed_origin(), methods)
        else:
            response = app.resolve(event, context)
            for name, text in cors.answer_headers(allowed_origin()).items():
                response["multiValueHeaders"][name] = [text]
        logger.info("answered", method=event["httpMethod"], route=event["resource"], status=response["statusCode"])
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
        InvalidRequestError: no text.
        InvalidDocumentError: no JSON, or not of this contract.
    """
    return read_request(model, body_of(app.current_event.raw_event, MAX_BODY_BYTES))


def read_optional_body(app: APIGatewayRestResolver, model: type[Model]) -> Model:
    """The same, of a route that does without one: then every field has its default."""
    return read_body(app, model) if app.current_event.body else model()


def read_query(app: APIGatewayRestResolver, model: type[Model]) -> Model:
    """The query parameters as `model`; one that is given without a value counts as not given.

    Raises:
        InvalidDocumentError: an unknown parameter, or a value out of range.
    """
    given = {name: text for name, text in app.current_event.query_string_parameters.items() if text}
    numbers = {name for name, field in model.model_fields.items() if field.annotation is int}
    return read_document(model, {name: _number(text) if name in numbers else text for name, text in given.items()})


def read_idempotency_key(app: APIGatewayRestResolver) -> str | None:
    """The header `Idempotency-Key`; None without one.

    Raises:
        InvalidDocumentError: it is empty, too long, or holds something else than visible ASCII.
    """
    headers = {name.lower(): text for name, text in app.current_event.headers.items()}
    key = headers.get("idempotency-key")
    if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
        message = "1 to 255 visible ASCII characters are right, without spaces; a UUID for example"
        raise InvalidDocumentError([FieldProblem(field="Idempotency-Key", message=message)])
    return key


def _number(text: str) -> int | str:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < _NUMBER_DIGITS else text


def answer(document: BaseModel, status: HTTPStatus = HTTPStatus.OK) -> Response[str]:
    """A document as the answer. It tells a moment's state: nobody keeps it."""
    if run_id := getattr(document, "run_id", None):  # of a run that begins
        logger.append_keys(run_id=run_id)
    return answer_text(document.model_dump_json(exclude_none=True), status)


def answer_text(text: str, status: HTTPStatus = HTTPStatus.OK) -> Response[str]:
    """The same, of a document that is JSON already."""
    headers: dict[str, str | list[str]] = {"Cache-Control": "no-store"}
    return Response(status_code=status, content_type="application/json", body=text, headers=headers)


def _answer_problem(problem: Problem, headers: dict[str, str] | None = None) -> Response[str]:
    named: dict[str, str | list[str]] = {**problems.headers(problem), **(headers or {})}
    return Response(status_code=problem.status, body=problem.model_dump_json(), headers=named)


def _answer_no_route(method: str, path: str) -> Response[str]:
    methods = allowed_methods(CONTROL, path)
    if methods and method not in methods:
        return _answer_problem(problems.wrong_method(method, path, methods), {"Allow": ", ".join(methods)})
    return _answer_problem(problems.no_such_route(method, path))
