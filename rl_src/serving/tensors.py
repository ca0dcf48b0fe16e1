"""Arrays as they travel: nested lists of numbers, or bytes with their shape."""

import math
from collections.abc import Mapping
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from rl_src.serving.errors import InvalidRequestError

Floats = NDArray[np.float32]

_DTYPES: Mapping[str, np.dtype[np.number[Any]]] = {
    "float32": np.dtype("<f4"),
    "float16": np.dtype("<f2"),
    "uint8": np.dtype("u1"),
    "int32": np.dtype("<i4"),
}


class Tensor(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """An array as bytes, little-endian and row by row; in JSON `data` is base64.

    `divisor`: what each value is divided by as float32. Unity's cameras give bytes over 255.
    """

    dtype: Literal["float32", "float16", "uint8", "int32"]
    shape: list[int]
    data: bytes
    divisor: float = 1.0


Values = Tensor | list[Any]


def to_array(name: str, values: Values) -> Floats:
    """As float32, of whatever shape was given.

    Raises:
        InvalidRequestError: no array of numbers; the message begins with the name.
    """
    return _of_tensor(name, values) if isinstance(values, Tensor) else _of_lists(name, values)


def of_array(array: NDArray[np.float32] | NDArray[np.int64]) -> Tensor:
    """float32 as it is, whole numbers as int32."""
    if array.dtype.kind == "f":
        return Tensor("float32", list(array.shape), array.astype("<f4", copy=False).tobytes())
    return Tensor("int32", list(array.shape), array.astype("<i4").tobytes())


def _of_tensor(name: str, tensor: Tensor) -> Floats:
    dtype = _DTYPES[tensor.dtype]
    if any(size < 0 for size in tensor.shape):
        raise InvalidRequestError(f"{name} has the impossible shape {tensor.shape}")
    expected = math.prod(tensor.shape) * dtype.itemsize
    if len(tensor.data) != expected:
        raise InvalidRequestError(
            f"{name} has {len(tensor.data)} bytes of data; {tensor.dtype} {tensor.shape} takes {expected}"
        )
    array: Floats = np.frombuffer(tensor.data, dtype).reshape(tensor.shape).astype(np.float32)
    if tensor.divisor != 1.0:
        if not (math.isfinite(tensor.divisor) and tensor.divisor > 0):
            raise InvalidRequestError(f"{name} has the divisor {tensor.divisor}; a positive number is right")
        array /= np.float32(tensor.divisor)
    return array


def _of_lists(name: str, values: list[Any]) -> Floats:
    try:
        array = np.asarray(values)
        if array.dtype.kind == "O" and all(type(entry) in (int, float) for entry in array.flat):
            array = array.astype(np.float64)  # whole numbers beyond 64 bits: JavaScript writes 1e20 with all its digits
        if array.dtype.kind not in "iufb":
            raise ValueError("not all values are numbers, or the lists are of different lengths")
        with np.errstate(over="ignore"):  # too large for float32 becomes inf, which is refused by name
            found: Floats = array.astype(np.float32)
            return found
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidRequestError(f"{name} is no array of numbers: {error}") from error
