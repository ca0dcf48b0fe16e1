"""What a predict request asks, in plain classes: what `contracts.predict.PredictRequest` takes, and nothing else.

Predict reads every request here, so that a cold start does not wait for pydantic. Of one that is refused the contract
tells which field is wrong; a property test holds the two against one another.
"""

import sys
from base64 import b64decode
from dataclasses import dataclass

from pipeline.contracts.constants import LEAST_DIVISOR, MAX_DIMENSIONS
from pipeline.rules.tensors import SIZES, Tensor, Values

_FIELDS = {"behavior", "observations", "action_masks", "deterministic", "state"}
_TENSOR_FIELDS = {"dtype", "shape", "data"}


class NoQuestionError(ValueError):
    """The document breaks the contract."""


@dataclass(frozen=True)
class Question:
    """A request, as far as it is checked against the policy's spec.

    `wants_state`: the answer shall have a state; null given is another thing than nothing given.
    """

    observations: dict[str, Values] | list[Values]
    behavior: str | None = None
    action_masks: Values | None = None
    state: list[str | None] | str | None = None
    wants_state: bool = False


def read_question(document: object) -> Question:
    """What JSON, or MessagePack, held.

    Raises:
        NoQuestionError: it breaks the contract.
        ValueError: a tensor's data is no base64.
    """
    if not isinstance(document, dict) or not {"observations"} <= document.keys() <= _FIELDS:
        raise NoQuestionError
    if not isinstance(document.get("deterministic", True), bool):
        raise NoQuestionError
    masks = document.get("action_masks")
    return Question(
        observations=_observations(document["observations"]),
        behavior=_text(document.get("behavior")),
        action_masks=None if masks is None else _values(masks),
        state=_state(document.get("state")),
        wants_state="state" in document,
    )


def _observations(value: object) -> dict[str, Values] | list[Values]:
    if isinstance(value, dict):
        return {name: _values(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_values(one) for one in value]
    raise NoQuestionError


def _values(value: object) -> Values:
    if isinstance(value, list):
        return value
    if isinstance(value, dict):
        return _tensor(value)
    raise NoQuestionError


def _state(value: object) -> list[str | None] | str | None:
    return [_text(token) for token in value] if isinstance(value, list) else _text(value)


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise NoQuestionError


def _tensor(document: dict[str, object]) -> Tensor:
    if not _TENSOR_FIELDS <= document.keys() <= _TENSOR_FIELDS | {"divisor"}:
        raise NoQuestionError
    dtype = document["dtype"]
    if not isinstance(dtype, str) or dtype not in SIZES:
        raise NoQuestionError
    return Tensor(dtype, _shape(document["shape"]), _data(document["data"]), _divisor(document.get("divisor", 1.0)))


def _shape(value: object) -> list[int]:
    if not isinstance(value, list) or len(value) > MAX_DIMENSIONS:
        raise NoQuestionError
    if not all(type(size) is int and size >= 0 for size in value):
        raise NoQuestionError
    return value


def _data(value: object) -> bytes:
    """Text is base64, as JSON must have it; MessagePack has bytes."""
    if isinstance(value, str):
        return b64decode(value, validate=True)
    if isinstance(value, bytes):
        return value
    raise NoQuestionError


def _divisor(value: object) -> float:
    if type(value) in (int, float) and LEAST_DIVISOR <= value <= sys.float_info.max:  # type: ignore[operator]
        return float(value)  # type: ignore[arg-type]
    raise NoQuestionError
