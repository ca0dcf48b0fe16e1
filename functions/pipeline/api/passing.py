"""Predictions that pass through as bytes: MessagePack, as the endpoint reads and writes it.

The request is read and checked as any other, but what goes to the endpoint is what the caller sent, and what comes back
goes to the caller: pictures are not made into text on the way.
"""

from collections.abc import Callable
from dataclasses import dataclass

from pydantic import ValidationError

from pipeline.api.predictor import Predictor
from pipeline.aws.inference import not_an_answer
from pipeline.contracts.base import Contract
from pipeline.contracts.predict import JSON, MSGPACK, InvocationResponse, PredictRequest
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


def predict(predictor: Predictor, policy: str, body: bytes, said: Formats, send: Send) -> bytes:
    """Actions, with at least one of request and answer in MessagePack.

    Raises:
        InvalidDocumentError: the body is no request.
        As `Predictor.ask`.
    """
    request = read_request(body, said.given)

    def forward(endpoint: str, checked: CheckedRequest) -> _RawAnswer | InvocationResponse:
        answer = send(endpoint, body, said.given, said.wanted)
        if said.wanted == MSGPACK:
            return _RawAnswer(_version(endpoint, answer), answer)
        return _as_batch(endpoint, answer, checked)

    answered = predictor.ask(policy, request, forward)
    if isinstance(answered.answer, _RawAnswer):
        return answered.answer.body
    return to_response(policy, answered.checked, answered.answer).model_dump_json(exclude_none=True).encode()


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
