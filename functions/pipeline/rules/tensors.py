"""Arrays that travel as bytes: is it what its shape says, and are all numbers finite?"""

from dataclasses import dataclass
from math import isfinite, prod
from struct import unpack

from pipeline.errors import InvalidObservationError

FLOAT32_MAX = 3.4028234663852886e38
"""Observations are float32 in the model: a larger number would become infinite there (IEEE 754 binary32)."""

SIZES = {"float32": 4, "float16": 2, "uint8": 1, "int32": 4}
"""The types of numbers, and the bytes that one takes."""

_FORMATS = {"float32": "f", "float16": "e", "uint8": "B", "int32": "i"}


@dataclass(frozen=True)
class Tensor:
    """`contracts.predict.Tensor`: an array as bytes, little-endian and row by row."""

    dtype: str
    shape: list[int]
    data: bytes
    divisor: float = 1.0


Values = list[object] | Tensor
"""A nested list of numbers, or a tensor."""


def check_tensor(name: str, tensor: Tensor) -> None:
    """As many bytes as the shape needs, and no NaN or infinity in them.

    Raises:
        InvalidObservationError: begins with `name`.
    """
    expected = prod(tensor.shape) * SIZES[tensor.dtype]
    if len(tensor.data) != expected:
        raise InvalidObservationError(
            f"{name}: {tensor.dtype} {tensor.shape} takes {expected} bytes, {len(tensor.data)} given.",
            "Send the values little-endian, row by row, as many as the shape says.",
        )
    # Sums are of 64 bits, so that no finite 32-bit numbers make an infinite one.
    if tensor.dtype.startswith("float") and not isfinite(sum(_numbers(tensor))):
        raise InvalidObservationError(
            f"{name} holds a value that is no finite number.",
            "Send finite numbers only; look for a division by zero in what the agent observes.",
        )


def to_rows(name: str, tensor: Tensor) -> list[object]:
    """A tensor of one or two dimensions as lists.

    Raises:
        InvalidObservationError: it has more or none, or `check_tensor` refuses it.
    """
    if len(tensor.shape) not in (1, 2):
        raise InvalidObservationError(f"{name} has the shape {tensor.shape}; one or two dimensions are right.")
    check_tensor(name, tensor)
    numbers: list[object] = [number / tensor.divisor for number in _numbers(tensor)]
    if len(tensor.shape) == 1:
        return numbers
    width = tensor.shape[1]
    return [numbers[row * width : (row + 1) * width] for row in range(tensor.shape[0])]


def _numbers(tensor: Tensor) -> tuple[float, ...]:
    return unpack(f"<{prod(tensor.shape)}{_FORMATS[tensor.dtype]}", tensor.data)
