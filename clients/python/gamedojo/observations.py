"""The body of a predict request: lists and numbers as JSON; arrays that are large, as pictures are, as MessagePack."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gamedojo.errors import InputError
from gamedojo.packing import packed

JSON = "application/json"
MSGPACK = "application/msgpack"
BINARY_FROM_VALUES = 1024
"""Arrays of so many values and more go as bytes: a picture's numbers in JSON are five times its bytes."""

_AS = {
    "float32": ("float32", "<f4"),
    "float64": ("float32", "<f4"),
    "float16": ("float16", "<f2"),
    "uint8": ("uint8", "u1"),
    "bool": ("uint8", "u1"),
    "int32": ("int32", "<i4"),
}
"""The numbers of an array: the API's name of what they are sent as, and numpy's."""


class NotGiven:
    """The state of a request that has none: null is another thing, for it begins an episode."""


NOT_GIVEN: Final = NotGiven()
State = str | list[str | None] | tuple[str | None, ...] | None


@dataclass(frozen=True)
class Tensor:
    """An array as bytes, little-endian and row by row; the service divides its values by `divisor` (255 for a camera).

    Pictures are CHW, as Unity's sensors send them.
    """

    dtype: str
    shape: tuple[int, ...]
    data: bytes = field(repr=False)
    divisor: float = 1.0

    @classmethod
    def of(cls, array: Any, divisor: float = 1.0) -> "Tensor":
        """A numpy array, or whatever has its `dtype`, `shape`, `astype` and `tobytes`.

        Raises:
            InputError: its numbers are none that the API reads, or one of them is NaN or infinite.
        """
        name = _number_kind(array)
        if name not in _AS:
            raise InputError(f"An array of {name} cannot be sent.", f"Send one of {', '.join(_AS)}.")
        dtype, sent_as = _AS[name]
        sent = array.astype(sent_as)
        if dtype.startswith("float") and sent.size and not math.isfinite(float(abs(sent).max())):
            raise InputError(f"An array has a value that is NaN or infinite as {dtype}.", "Send finite numbers.")
        return cls(dtype, tuple(map(int, sent.shape)), sent.tobytes(), divisor)

    def document(self) -> dict[str, Any]:
        """As the API takes it, with bytes for `data`."""
        whole = {"dtype": self.dtype, "shape": list(self.shape), "data": self.data}
        return whole if self.divisor == 1.0 else {**whole, "divisor": self.divisor}


def predict_request(
    observations: Any,
    *,
    behavior: str = "",
    action_masks: Any = None,
    deterministic: bool = True,
    state: State | NotGiven = NOT_GIVEN,
) -> dict[str, Any]:
    """The document of a request, as `encoded` takes it.

    Raises:
        InputError: a value is NaN or infinite, or no number at all.
    """
    request: dict[str, Any] = {"observations": plain(observations, "observations", 1), "deterministic": deterministic}
    if behavior:
        request["behavior"] = behavior
    if action_masks is not None:
        request["action_masks"] = plain(action_masks, "action_masks")
    if not isinstance(state, NotGiven):
        request["state"] = plain(state, "state")
    return request


def encoded(request: Mapping[str, Any]) -> tuple[bytes, str]:
    """The bytes of a request and their media type. Raises InputError as `predict_request`."""
    document = plain(request, "", 2)
    if any(isinstance(value, Tensor) for value in _leaves(document)):
        return packed(_with_bytes(document)), MSGPACK
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode(), JSON


def plain(value: Any, path: str, depth: int = 0) -> Any:
    """Lists, numbers, text and tensors only; JSON has no NaN, so it is refused here with its place.

    Args:
        value: anything that a request may be made of, arrays included.
        path: where it stands in the request.
        depth: how many levels down a large array still is a whole sensor's value, which may go as a tensor.
    """
    if isinstance(value, Tensor):
        if depth < 0:
            raise InputError(f"{path} is a tensor inside a list.", "Make one tensor [N, *shape] of the whole batch.")
        return value
    if hasattr(value, "tolist"):
        if depth >= 0 and getattr(value, "size", 0) >= BINARY_FROM_VALUES and _number_kind(value) in _AS:
            return _tensor(value, path)
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(name): plain(entry, f"{path}.{name}".lstrip("."), depth - 1) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry, f"{path}[{index}]", depth - 1) for index, entry in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{path} is {value}.", "Send finite numbers.")
    if value is not None and not isinstance(value, str | int | float):
        raise InputError(f"{path or 'The request'} is {type(value).__name__}.", "Send numbers, lists or arrays.")
    return value


def _tensor(array: Any, path: str) -> Tensor:
    try:
        return Tensor.of(array)
    except InputError as error:
        raise InputError(f"{path}: {error.message}", error.remedy) from error


def _number_kind(array: Any) -> str:
    """float32 and the like, whatever the byte order."""
    return str(getattr(array.dtype, "name", array.dtype))


def _leaves(document: Any) -> Iterator[Any]:
    """What a sensor or a mask is given as; tensors lie nowhere deeper."""
    for value in document.values() if isinstance(document, dict) else ():
        if isinstance(value, dict):
            yield from value.values()
        elif isinstance(value, list):
            yield from value
        else:
            yield value


def _with_bytes(document: Any) -> Any:
    if isinstance(document, Tensor):
        return document.document()
    if isinstance(document, dict):
        return {name: _with_bytes(entry) for name, entry in document.items()}
    return [_with_bytes(entry) for entry in document] if isinstance(document, list) else document
