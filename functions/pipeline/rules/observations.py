"""Does what a caller sent fit the policy's spec? Answered before an endpoint is asked.

Plain Python, because numpy is not in the Lambda package. What fits is found to by built-ins that loop in C: a picture
of 84x84x3 values takes about a millisecond. What does not is then looked through row by row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise
from math import isnan
from typing import Any

from pipeline.errors import InvalidObservationError
from pipeline.rules.questions import Question
from pipeline.rules.served import Behavior, Sensor, Spec
from pipeline.rules.tensors import FLOAT32_MAX, Tensor, Values, check_tensor, to_rows

_NUMBERS = {int, float}


@dataclass(frozen=True)
class Checked:
    """A question that fits. `batch_size` is None when one observation was given, without a batch axis."""

    batch_size: int | None
    wants_state: bool

    @property
    def agents(self) -> int:
        """How many actions are right."""
        return 1 if self.batch_size is None else self.batch_size


def check_question(spec: Spec, question: Question) -> Checked:
    """Fit a question to the policy: the behavior, each sensor's shape and values, masks, memory.

    Raises:
        InvalidObservationError: names the sensor or mask, what was expected and what was given.
    """
    behavior = _choose_behavior(spec, question.behavior)
    given = _in_sensor_order(behavior, question.observations)
    sizes = [_check_sensor(sensor, value) for sensor, value in zip(behavior.sensors, given, strict=True)]
    batch_size = _same_batch(behavior, sizes)
    _check_masks(behavior, question.action_masks, batch_size)
    _check_state(behavior, question, batch_size)
    return Checked(batch_size, question.wants_state)


def _choose_behavior(spec: Spec, name: str | None) -> Behavior:
    known = {behavior.name: behavior for behavior in spec.behaviors}
    if name is None and len(known) == 1:
        return spec.behaviors[0]
    if name in known:
        return known[name]
    said = "names no behavior, and the policy has several" if name is None else f"names the unknown behavior {name!r}"
    raise InvalidObservationError(f"The request {said}.", f"Give `behavior` as one of: {', '.join(sorted(known))}.")


def _in_sensor_order(behavior: Behavior, given: dict[str, Values] | list[Values]) -> list[Values]:
    names = [sensor.name for sensor in behavior.sensors]
    wanted = f"Behavior {behavior.name!r} observes, in this order: {', '.join(map(_describe, behavior.sensors))}."
    if isinstance(given, list):
        if len(given) != len(names):
            raise InvalidObservationError(f"Observations of {len(names)} sensors expected, {len(given)} given.", wanted)
        return given
    if unknown := sorted(given.keys() - set(names)):
        raise InvalidObservationError(f"Unknown sensors: {', '.join(map(repr, unknown))}.", wanted)
    if missing := [name for name in names if name not in given]:
        raise InvalidObservationError(f"No observation of: {', '.join(map(repr, missing))}.", wanted)
    return [given[name] for name in names]


def _describe(sensor: Sensor) -> str:
    return f"{sensor.name} {list(sensor.shape)}"


def _check_sensor(sensor: Sensor, value: Values) -> int | None:
    """The batch size; None for one observation without a batch axis."""
    if isinstance(value, Tensor):
        return _check_tensor(sensor, value)
    depth = _depth(value)
    if depth == len(sensor.shape):
        if not _fit([value], sensor.shape):
            _check_values(sensor, value, sensor.shape, ())
        return None
    if depth != len(sensor.shape) + 1 or not value:
        raise _wrong_shape(sensor, value)
    if not _fit(value, sensor.shape):
        for index, one in enumerate(value):
            _check_values(sensor, one, sensor.shape, (index,))
    return len(value)


def _fit(agents: list[Any], shape: Sequence[int]) -> bool:
    """Whether each is of this shape and holds numbers that float32 can hold."""
    parts = agents
    for size in shape:
        if set(map(type, parts)) != {list} or set(map(len, parts)) != {size}:
            return False
        parts = list(chain.from_iterable(parts))
    return _all_finite(parts)


def _check_tensor(sensor: Sensor, tensor: Tensor) -> int | None:
    given = tuple(tensor.shape)
    if given != sensor.shape and (given[1:] != sensor.shape or not given[0]):
        raise _wrong_shape(sensor, tensor)
    check_tensor(f"Sensor {sensor.name!r}", tensor)
    return None if given == sensor.shape else given[0]


def _depth(value: object) -> int:
    depth = 0
    while isinstance(value, list):
        depth += 1
        value = value[0] if value else None
    return depth


def _check_values(sensor: Sensor, value: object, shape: Sequence[int], index: tuple[int, ...]) -> None:
    if not isinstance(value, list) or len(value) != shape[0]:
        raise _wrong_shape(sensor, value, index, shape)
    if len(shape) > 1:
        for position, part in enumerate(value):
            _check_values(sensor, part, shape[1:], (*index, position))
    elif not _all_finite(value):
        raise _wrong_value(sensor, value, index)


def _all_finite(row: list[object]) -> bool:
    """True if every entry is a number that float32 can hold; NaN shows in the sum, the rest in minimum and maximum."""
    if not set(map(type, row)) <= _NUMBERS:
        return False
    if not row:
        return True
    numbers: list[float] = row  # type: ignore[assignment]
    try:
        return min(numbers) >= -FLOAT32_MAX and max(numbers) <= FLOAT32_MAX and not isnan(sum(numbers))
    except OverflowError:  # an integer that no float can hold
        return False


def _wrong_value(sensor: Sensor, row: list[object], index: tuple[int, ...]) -> InvalidObservationError:
    position = next(i for i, entry in enumerate(row) if not _all_finite([entry]))
    path = "".join(f"[{i}]" for i in (*index, position))
    said = f"{row[position]!r:.40}"
    return InvalidObservationError(
        f"Sensor {sensor.name!r} holds {said} at {path}, which is no finite 32-bit number.",
        "Send finite numbers only; look for a division by zero in what the agent observes.",
    )


def _wrong_shape(
    sensor: Sensor, value: object, index: tuple[int, ...] = (), shape: Sequence[int] | None = None
) -> InvalidObservationError:
    where = f" at {''.join(f'[{i}]' for i in index)}" if index else ""
    expected = list(sensor.shape if shape is None else shape)
    batch = "" if index else f", or {['N', *expected]} for a batch".replace("'", "")
    return InvalidObservationError(
        f"Sensor {sensor.name!r}: shape {expected}{batch} expected{where}, {_given_shape(value)} given."
    )


def _given_shape(value: object) -> str:
    """The shape as far as the first entries tell it."""
    if isinstance(value, Tensor):
        return str(value.shape)
    if not isinstance(value, list):
        return f"a {type(value).__name__}" if value is not None else "null"
    sizes = []
    while isinstance(value, list):
        sizes.append(len(value))
        value = value[0] if value else None
    return str(sizes)


def _same_batch(behavior: Behavior, sizes: list[int | None]) -> int | None:
    if len(set(sizes)) == 1:
        return sizes[0]
    said = ", ".join(
        f"{sensor.name} {'one observation' if size is None else f'a batch of {size}'}"
        for sensor, size in zip(behavior.sensors, sizes, strict=True)
    )
    raise InvalidObservationError(f"The sensors disagree about the batch: {said}.", "Send as many for every sensor.")


def _check_masks(behavior: Behavior, masks: Values | None, batch_size: int | None) -> None:
    if masks is None:
        return
    width = sum(behavior.branches)
    if not width:
        raise InvalidObservationError(
            f"Behavior {behavior.name!r} has no discrete actions to mask.", "Leave `action_masks` out."
        )
    listed = to_rows("action_masks", masks) if isinstance(masks, Tensor) else masks
    rows = [listed] if batch_size is None else listed
    if batch_size is not None and len(rows) != batch_size:
        raise InvalidObservationError(
            f"{batch_size} observations need as many action masks, {len(rows)} given.", "Send one mask for each agent."
        )
    for row in rows:
        _check_mask(behavior, row, width)


def _check_mask(behavior: Behavior, row: object, width: int) -> None:
    if not isinstance(row, list) or len(row) != width:
        raise InvalidObservationError(
            f"An action mask has {width} entries, one for each choice; {_given_shape(row)} given.",
            f"Send the entries of one branch after the other; they have {', '.join(map(str, behavior.branches))}.",
        )
    if not all(isinstance(entry, int | float) and entry in (0, 1) for entry in row):
        raise InvalidObservationError("An action mask holds 1 (allowed) and 0 (not allowed) only.", "Send 1 or 0.")
    bounds = accumulate(behavior.branches, initial=0)
    for branch, (start, end) in enumerate(pairwise(bounds)):
        if not any(row[start:end]):
            raise InvalidObservationError(
                f"The action mask allows no choice in branch {branch}.", "Allow one choice at least in every branch."
            )


def _check_state(behavior: Behavior, question: Question, batch_size: int | None) -> None:
    """A token, or null, for each agent. What a token holds the endpoint knows."""
    state = question.state
    if state is None:
        return
    if isinstance(state, list) is (batch_size is None):
        wanted = "one token" if batch_size is None else f"a list of {batch_size} tokens"
        raise InvalidObservationError(
            f"`state` is {'a list' if isinstance(state, list) else 'one token'}.", f"Send {wanted}, or null."
        )
    tokens = [state] if isinstance(state, str) else state
    if batch_size is not None and len(tokens) != batch_size:
        raise InvalidObservationError(
            f"{batch_size} observations need as many states, {len(tokens)} given.",
            "Send one token, or null, for each agent.",
        )
    if not behavior.memory_size and any(token is not None for token in tokens):
        raise InvalidObservationError(f"Behavior {behavior.name!r} has no memory.", "Leave `state` out, or send null.")
