"""One prediction of API Gateway: read its body, have it answered, write the answer; in JSON or in MessagePack.

What goes to the endpoint is what the caller sent: it is read and checked here, but not written anew. An answer in
MessagePack goes to the caller as it came: pictures are not made into text on the way. Nothing is imported that an
answer does not need; of a request that is refused, `refusals` tells the rest.
"""

import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from pipeline.api.bodies import body_of
from pipeline.api.predictor import MAX_REQUEST_BYTES, Predictor
from pipeline.aws.inference import not_an_answer
from pipeline.contracts.constants import JSON, MSGPACK
from pipeline.errors import InvalidObservationError, UnsupportedMediaTypeError
from pipeline.rules.answers import Actions, NoAnswerError, read_actions, to_response
from pipeline.rules.msgpack import NotMessagePackError, unpack
from pipeline.rules.observations import Checked
from pipeline.rules.questions import Question, read_question

FORMATS = {
    "": JSON,
    JSON: JSON,
    MSGPACK: MSGPACK,
    "application/x-msgpack": MSGPACK,
    "application/vnd.msgpack": MSGPACK,  # as it is registered with IANA
}
"""By what a `Content-Type` names; "": it names none. The template's BinaryMediaTypes are those of MessagePack."""

MAX_ANSWER_BYTES = 6 * 1024 * 1024 - 4096
"""Lambda answers with 6 MiB at most, and API Gateway's envelope is part of that."""

_UNSAID = {"text/plain", "application/x-www-form-urlencoded"}
"""What curl and browsers say of a body of which they were not told what it is."""

Send = Callable[[str, bytes, str, str], bytes]
"""Endpoint name, body, its format and that of the answer → the answer: `pipeline.aws.inference.ask`."""


@dataclass(frozen=True)
class Formats:
    """What a request's body is in, and what its answer shall be in."""

    given: str
    wanted: str


@dataclass(frozen=True)
class _RawAnswer:
    version: str
    body: bytes


class UnreadableBodyError(Exception):
    """The body holds no predict request; which field is wrong, `refusals` tells."""

    def __init__(self, body: bytes, media: str) -> None:
        self.body = body
        self.media = media
        super().__init__(f"{len(body)} bytes of {media}")


def answer(event: Mapping[str, Any], predictor: Predictor, send: Send) -> dict[str, Any]:
    """What a Lambda answers to one prediction of API Gateway (proxy event of a REST API).

    Raises:
        BodyTooLargeError: the body is above `MAX_REQUEST_BYTES`.
        UnsupportedMediaTypeError, InvalidRequestError, UnreadableBodyError: it is no request.
        InvalidObservationError: the answer would be above `MAX_ANSWER_BYTES`.
        As `Predictor.ask`.
    """
    body, policy = body_of(event, MAX_REQUEST_BYTES), event["pathParameters"]["policy"]
    said = formats(_header(event, "content-type"), _header(event, "accept"))
    found = predictor.ask(policy, read_body(body, said.given), partial(_forward, send, body, said))
    if isinstance(found.answer, _RawAnswer):
        return _answer(b64encode(found.answer.body).decode(), MSGPACK) | {"isBase64Encoded": True}
    return _answer(json.dumps(to_response(policy, found.checked, found.answer), separators=(",", ":")))


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


def read_body(body: bytes, media: str) -> Question:
    """The question that a body of this format holds.

    Raises:
        UnreadableBodyError: it holds none.
    """
    try:
        return read_question(json.loads(body.decode()) if media == JSON else unpack(body))
    except (ValueError, RecursionError) as error:
        raise UnreadableBodyError(body, media) from error


def _forward(send: Send, body: bytes, said: Formats, endpoint: str, checked: Checked) -> _RawAnswer | Actions:
    """Ask the endpoint with what the caller sent."""
    found = send(endpoint, body, said.given, said.wanted)
    if said.wanted == MSGPACK:
        return _RawAnswer(_version(endpoint, found), found)
    try:
        return read_actions(found, checked)
    except NoAnswerError as error:
        raise not_an_answer(endpoint, found) from error


def _header(event: Mapping[str, Any], name: str) -> str:
    """As API Gateway hands headers on: in whatever case the caller wrote them."""
    return next((text for key, text in (event.get("headers") or {}).items() if key.lower() == name), "")


def _answer(body: str, media: str = JSON) -> dict[str, Any]:
    written = len(body) + body.count('"')  # ASCII; inside Lambda's own JSON a quotation mark takes two bytes
    if written > MAX_ANSWER_BYTES:
        raise InvalidObservationError(
            f"The answer has {written} bytes; {MAX_ANSWER_BYTES} can be answered.", "Ask for fewer agents at once."
        )
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
