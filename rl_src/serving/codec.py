"""The JSON of `/invocations`: read with its types, written without copies."""

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import orjson
from numpy.typing import NDArray

from rl_src.serving.errors import InvalidRequestError
from rl_src.serving.onnx_policy import OnnxPolicy


class Invocation(msgspec.Struct, forbid_unknown_fields=True):
    """Always a batch: one [N, *shape] for each sensor, in sensor order; masks [N, sum of branches], 1 = allowed."""

    behavior: str
    observations: list[Any]
    action_masks: list[list[float]] | None = None
    deterministic: bool = True


_DECODER = msgspec.json.Decoder(Invocation)


def decode(body: bytes) -> Invocation:
    """Read a request's body.

    Raises:
        InvalidRequestError: no JSON, or another object than an invocation.
    """
    try:
        return _DECODER.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidRequestError(f"the body is no invocation: {error}") from error


def invoke(policies: Mapping[str, OnnxPolicy], version: str, invocation: Invocation) -> bytes:
    """Ask the policy, and write the answer.

    Raises:
        InvalidRequestError: an unknown behavior, or observations that do not fit it.
    """
    policy = policies.get(invocation.behavior)
    if policy is None:
        known = ", ".join(sorted(policies))
        raise InvalidRequestError(f"there is no behavior {invocation.behavior!r}; known: {known}")
    observations = [
        _array(name, values) for name, values in zip(_names(policy, invocation), invocation.observations, strict=True)
    ]
    masks = None if invocation.action_masks is None else _array("action_masks", invocation.action_masks)
    continuous, discrete = policy.act(observations, masks, invocation.deterministic)
    return orjson.dumps(
        {
            "version": version,
            "behavior": invocation.behavior,
            "continuous": np.ascontiguousarray(continuous),
            "discrete": np.ascontiguousarray(discrete),
        },
        option=orjson.OPT_SERIALIZE_NUMPY,
    )


def _names(policy: OnnxPolicy, invocation: Invocation) -> list[str]:
    """Sensor names, as many as were given: a wrong number is the policy's own refusal."""
    given = len(invocation.observations)
    return [*policy.sensor_names, *(f"observation {i}" for i in range(len(policy.sensor_names), given))][:given]


def _array(name: str, values: Any) -> NDArray[np.float32]:
    try:
        array = np.asarray(values)
        if array.dtype.kind not in "iufb":
            raise ValueError("not all values are numbers, or the lists are of different lengths")
        with np.errstate(over="ignore"):  # too large for float32 becomes inf, which is refused by name
            return array.astype(np.float32)
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidRequestError(f"{name} is no array of numbers: {error}") from error
