"""One prediction of API Gateway: read its body, have it answered, write the answer; in JSON or in MessagePack.

MessagePack passes through as bytes. The request is read and checked as any other, but what goes to the endpoint is what
the caller sent, and what comes back goes to the caller: pictures are not made into text on the way.
"""

from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic import ValidationError

from pipeline.api.bodies import body_of
from pipeline.api.predictor import MAX_REQUEST_BYTES, Predictor
from pipeline.aws.inference import not_an_answer
from pipeline.contracts.base import Contract
from pipeline.contracts.predict import JSON, MSGPACK, InvocationResponse, PredictRequest, PredictResponse
from pipeline.contracts.problem import FieldProblem
from pipeline.contracts.validation import InvalidDocumentError, read_document, read_object
from pipeline.errors import UnsupportedMediaTypeError
from pipeline.rules.msgpack import NotMessagePackError, unpack
from pipeline.rules.observations import CheckedRequest, to_response

FORMATS = {
    "": JSON,
    JSON: JSON,
    MSGPACK: MSGPACK,
    "application/x-msgpack": MSGPACK,
    "application/vnd.msgpack": MSGPACK,  # as it is registered with IANA
}
"""By what a `Content-Type` names; "": it names none. The template's BinaryMediaTypes are those of MessagePack."""

_UNSAID = {"text/plain", "application/x-www-form-urlencoded"}
"""What curl and browsers say of a body of which they were not told what it is."""

Send = Callable[[str, bytes, str, str], bytes]
"""Endpoint name, body, its format and that of the answer → the answer: `pipeline.aws.inference.ask`."""


@dataclass(frozen=True)
class Formats:
    """What a request's body is in, and what its answer shall be in."""

    given: str
    wanted: str

    @property
    def is_json(self) -> bool:
        """Whether nothing but JSON is spoken."""
        return self.given == self.wanted == JSON


@dataclass(frozen=True)
class _RawAnswer:
    version: str
    body: bytes


class _OneAgent(Contract):
    """What the container answers for one agent, in JSON."""

    version: str
    behavior: str
    continuous: list[float]
    discrete: list[int]
    state: str | None = None

    def batched(self) -> InvocationResponse:
        return InvocationResponse(
            version=self.version,
            behavior=self.behavior,
            continuous=[self.continuous],
            discrete=[self.discrete],
            state=[self.state],
        )


def answer(event: Mapping[str, Any], predictor: Predictor, send: Send) -> dict[str, Any]:
    """What a Lambda answers to one prediction of API Gateway (proxy event of a REST API).

    Raises:
        BodyTooLargeError: the body is above `MAX_REQUEST_BYTES`.
        UnsupportedMediaTypeError, InvalidDocumentError: it is no request.
        As `Predictor.ask`.
    """
    body, policy = body_of(event, MAX_REQUEST_BYTES), event["pathParameters"]["policy"]
    said = formats(_header(event, "content-type"), _header(event, "accept"))
    request = read_request(body, said.given)
    if said.is_json:
        return _answer(_written(predictor.predict(policy, request)))
    found = predict(predictor, policy, request, partial(_forward, send, body, said))
    if isinstance(found, bytes):
        return _answer(b64encode(found).decode(), MSGPACK) | {"isBase64Encoded": True}
    return _answer(_written(found))


def formats(content_type: str, accept: str) -> Formats:
    """Read the two headers. The answer is JSON unless MessagePack is what `Accept` names first.

    Raises:
        UnsupportedMediaTypeError: the body is in neither of the two formats.
    """
    bare = content_type.partition(";")[0].strip().lower()
    given = JSON if bare in _UNSAID else FORMATS.get(bare)
    if given is None:
        raise UnsupportedMediaTypeError(
            f"Content-Type is {content_type[:80]!r}; {JSON} and {MSGPACK} are read.", f"Send {JSON} or {MSGPACK}."
        )
    first = accept.partition(",")[0].partition(";")[0].strip().lower()
    return Formats(given, MSGPACK if FORMATS.get(first) == MSGPACK else JSON)


def read_request(body: bytes, media: str) -> PredictRequest:
    """The request that a body of this format holds.

    Raises:
        InvalidDocumentError: it holds none.
    """
    if media == JSON:
        return read_document(PredictRequest, body)
    try:
        return read_object(PredictRequest, unpack(body))
    except NotMessagePackError as error:
        raise InvalidDocumentError([FieldProblem(field="", message=f"not MessagePack: {error}")]) from error


def predict(
    predictor: Predictor,
    policy: str,
    request: PredictRequest,
    forward: Callable[[str, CheckedRequest], "_RawAnswer | InvocationResponse"],
) -> PredictResponse | bytes:
    """Actions, with at least one of request and answer in MessagePack; bytes: the answer is, as it came."""
    answered = predictor.ask(policy, request, forward)
    if isinstance(answered.answer, _RawAnswer):
        return answered.answer.body
    return to_response(policy, answered.checked, answered.answer)


def _forward(
    send: Send, body: bytes, said: Formats, endpoint: str, checked: CheckedRequest
) -> _RawAnswer | InvocationResponse:
    """Ask the endpoint with what the caller sent."""
    found = send(endpoint, body, said.given, said.wanted)
    if said.wanted == MSGPACK:
        return _RawAnswer(_version(endpoint, found), found)
    return _as_batch(endpoint, found, checked)


def _header(event: Mapping[str, Any], name: str) -> str:
    """As API Gateway hands headers on: in whatever case the caller wrote them."""
    return next((text for key, text in (event.get("headers") or {}).items() if key.lower() == name), "")


def _written(response: PredictResponse) -> str:
    return response.model_dump_json(exclude_none=True)


def _answer(body: str, media: str = JSON) -> dict[str, Any]:
    return {"statusCode": 200, "headers": {"Content-Type": media, "Cache-Control": "no-store"}, "body": body}


def _version(endpoint: str, answer: bytes) -> str:
    try:
        document = unpack(answer)
    except NotMessagePackError as error:
        raise not_an_answer(endpoint, answer) from error
    version = document.get("version") if isinstance(document, dict) else None
    if not isinstance(version, str):
        raise not_an_answer(endpoint, answer)
    return version


def _as_batch(endpoint: str, answer: bytes, checked: CheckedRequest) -> InvocationResponse:
    """The container's JSON; what it answers for one agent has no batch axis."""
    try:
        if checked.batch_size is not None:
            return InvocationResponse.model_validate_json(answer)
        return _OneAgent.model_validate_json(answer).batched()
    except ValidationError as error:
        raise not_an_answer(endpoint, answer) from error
