"""The bodies of `/invocations`: JSON and MessagePack, read with their types and written without copies.

Both hold the same document. Arrays are nested lists of numbers, or `Tensor`s: in MessagePack their data is binary, in
JSON base64. Answers hold nested lists in JSON, `Tensor`s in MessagePack.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import orjson
from numpy.typing import NDArray

from rl_src.serving.errors import InvalidRequestError, NotAcceptableError, UnsupportedMediaError
from rl_src.serving.tensors import Floats, Tensor, of_array

JSON = "application/json"
MSGPACK = "application/msgpack"

_MEDIA_TYPES: Mapping[str, str] = {
    JSON: JSON,
    MSGPACK: MSGPACK,
    "application/x-msgpack": MSGPACK,
    "application/vnd.msgpack": MSGPACK,  # as it is registered with IANA
}


class Invocation(msgspec.Struct, forbid_unknown_fields=True):
    """Observations of one agent or a batch, by sensor name or in sensor order, and what else decides the actions.

    For one agent each sensor has its `shape`, for a batch [N, *shape]; masks are [sum of branches] or
    [N, sum of branches], 1 = allowed. `behavior` may be left out when there is one. `state` is the token (a list of N
    for a batch) of the agent's answer before; null begins anew. A `state` or `memory` that is given is answered with
    the one to give next; `memory` [memory_size] or [N, memory_size] is the same in plain numbers.
    """

    observations: dict[str, Tensor | list[Any]] | list[Tensor | list[Any]]
    behavior: str | None = None
    action_masks: Tensor | list[Any] | None = None
    deterministic: bool = True
    state: list[str | None] | str | msgspec.UnsetType | None = msgspec.UNSET
    memory: Tensor | list[Any] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What was decided; without the first axis of each array when one agent was asked for."""

    version: str
    behavior: str
    continuous: Floats
    discrete: NDArray[np.int64]
    state: list[str] | list[None] | str | msgspec.UnsetType | None = msgspec.UNSET
    memory: Floats | None = None


_DECODERS: Mapping[str, msgspec.json.Decoder[Invocation] | msgspec.msgpack.Decoder[Invocation]] = {
    JSON: msgspec.json.Decoder(Invocation),
    MSGPACK: msgspec.msgpack.Decoder(Invocation),
}
_MSGPACK_ENCODER = msgspec.msgpack.Encoder()


def media_type(content_type: str) -> str:
    """Which of the two formats a `Content-Type` names; without one it is JSON.

    Raises:
        UnsupportedMediaError: neither.
    """
    known = _MEDIA_TYPES.get(content_type) or _MEDIA_TYPES.get(_bare(content_type) or JSON)
    if known is None:
        raise UnsupportedMediaError(f"Content-Type is {content_type!r}; {JSON} and {MSGPACK} are read")
    return known


def answer_type(accept: str, given: str) -> str:
    """The first format of `Accept` that is written; the request's own when any will do.

    Raises:
        NotAcceptableError: there is none.
    """
    if not accept or accept == "*/*":
        return given
    known = _MEDIA_TYPES.get(accept)
    if known is not None:
        return known
    for wanted in map(_bare, accept.split(",")):
        if wanted in ("*/*", "application/*"):
            return given
        if wanted in _MEDIA_TYPES:
            return _MEDIA_TYPES[wanted]
    raise NotAcceptableError(f"Accept is {accept!r}; {JSON} and {MSGPACK} are written")


def decode(body: bytes, media: str = JSON) -> Invocation:
    """Read a request's body.

    Raises:
        InvalidRequestError: not of this format, or another document than an invocation.
    """
    try:
        return _DECODERS[media].decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequestError(f"the body is no invocation: {error}") from error


def encode(answer: Answer, media: str = JSON) -> bytes:
    """Write an answer."""
    document: dict[str, Any] = {"version": answer.version, "behavior": answer.behavior}
    if media == JSON:
        document["continuous"], document["discrete"] = answer.continuous, answer.discrete
    else:
        document["continuous"], document["discrete"] = of_array(answer.continuous), of_array(answer.discrete)
    if answer.state is not msgspec.UNSET:
        document["state"] = answer.state
    if answer.memory is not None:
        document["memory"] = answer.memory if media == JSON else of_array(answer.memory)
    if media == JSON:
        return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    return _MSGPACK_ENCODER.encode(document)


def _bare(media: str) -> str:
    """Without parameters such as a charset or a weight."""
    return media.partition(";")[0].strip().lower()
