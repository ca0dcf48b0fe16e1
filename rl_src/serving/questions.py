"""From an invocation to what a model is asked: the behavior, its sensors in order, a batch, masks, memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from rl_src.serving.artifact import ServedBehavior, ServedPolicy
from rl_src.serving.codec import Answer, Invocation
from rl_src.serving.errors import InvalidRequestError
from rl_src.serving.onnx_policy import Feed
from rl_src.serving.tensors import Floats, Tensor, Values, to_array

UNSET = msgspec.UNSET


@dataclass(frozen=True, slots=True)
class Question:
    """What a behavior's model is asked, checked; `one`: the caller gave one agent, without a batch axis."""

    served: ServedBehavior
    feed: Feed
    deterministic: bool
    one: bool
    with_state: bool
    with_memory: bool

    def answer(self, version: str, continuous: Floats, discrete: NDArray[np.int64], memory: Floats) -> Answer:
        """The model's rows for this question as the caller asked for them."""
        given = memory if self.with_memory else None
        if not self.with_state:
            state: list[str] | list[None] | str | msgspec.UnsetType | None = UNSET
        elif self.served.policy.memory_size:
            tokens = self.served.states.write(memory)
            state = tokens[0] if self.one else tokens
        else:
            state = None if self.one else [None] * len(memory)
        if self.one:
            continuous, discrete, given = continuous[0], discrete[0], None if given is None else given[0]
        return Answer(version, self.served.name, continuous, discrete, state, given)


def ask(served: ServedPolicy, invocation: Invocation) -> Question:
    """Fit an invocation to what is served.

    Raises:
        InvalidRequestError: an unknown behavior, or observations, masks or a memory that do not fit it.
        StaleStateError: a state of another version or behavior.
    """
    behavior = _behavior(served.behaviors, invocation.behavior)
    policy = behavior.policy
    given = _in_sensor_order(policy.sensor_names, invocation.observations)
    sensors = [to_array(name, values) for name, values in zip(policy.sensor_names, given, strict=True)]
    one = sensors[0].ndim == len(policy.observation_shapes[0])
    for name, shape, array in zip(policy.sensor_names, policy.observation_shapes, sensors, strict=True):
        _check_shape(name, shape, array, one)
    masks = invocation.action_masks
    if one:
        sensors = [array[None] for array in sensors]
    feed = policy.prepare(
        sensors,
        None if masks is None else _batched("action_masks", masks, one),
        _remembered(behavior, invocation, one, len(sensors[0])),
    )
    return Question(
        behavior,
        feed,
        invocation.deterministic,
        one,
        with_state=invocation.state is not UNSET,
        with_memory=invocation.memory is not None,
    )


def _behavior(behaviors: Mapping[str, ServedBehavior], name: str | None) -> ServedBehavior:
    if name is None and len(behaviors) == 1:
        return next(iter(behaviors.values()))
    known = ", ".join(sorted(behaviors))
    if name is None:
        raise InvalidRequestError(f"no behavior was given, and there are several: {known}")
    if name not in behaviors:
        raise InvalidRequestError(f"there is no behavior {name!r}; known: {known}")
    return behaviors[name]


def _in_sensor_order(names: Sequence[str], given: Mapping[str, Values] | Sequence[Values]) -> Sequence[Values]:
    if not isinstance(given, Mapping):
        if len(given) != len(names):
            raise InvalidRequestError(f"{len(given)} observations were given; the sensors are {', '.join(names)}")
        return given
    if unknown := sorted(given.keys() - set(names)):
        raise InvalidRequestError(f"there is no sensor {unknown[0]!r}; the sensors are {', '.join(names)}")
    if missing := [name for name in names if name not in given]:
        raise InvalidRequestError(f"no observation of {missing[0]!r} was given; the sensors are {', '.join(names)}")
    return [given[name] for name in names]


def _check_shape(name: str, shape: tuple[int, ...], array: Floats, one: bool) -> None:
    """One agent's observation, or a batch of them; all sensors alike."""
    if array.shape[1 - one :] == shape and array.ndim == len(shape) + 1 - one:
        return
    batch = f"[N, {str(list(shape))[1:]}"
    if array.shape == shape or array.shape[1:] == shape:  # it fits, but not together with the first sensor
        wanted = f"{list(shape)}, as one agent's first sensor was given," if one else f"{batch} as for the first sensor"
        raise InvalidRequestError(f"{name} has shape {list(array.shape)}; {wanted} is right")
    raise InvalidRequestError(f"{name} has shape {list(array.shape)}; {list(shape)} or {batch} is right")


def _remembered(behavior: ServedBehavior, invocation: Invocation, one: bool, count: int) -> Floats | None:
    if invocation.memory is not None:
        if invocation.state is not UNSET:
            raise InvalidRequestError("state and memory were given; one of them is right")
        return _batched("memory", invocation.memory, one)
    state = invocation.state
    if state is UNSET or state is None:
        return None
    if one != isinstance(state, str):
        wanted = "one token" if one else f"a list of {count} tokens"
        raise InvalidRequestError(f"state is {'a list' if one else 'one token'}; {wanted} or null is right")
    tokens: list[str | None] = [state] if isinstance(state, str) else list(state or ())
    if len(tokens) != count:
        raise InvalidRequestError(f"state has {len(tokens)} tokens; {count} are right, one for each agent")
    return behavior.states.read(tokens)


def _batched(name: str, values: Tensor | list[object], one: bool) -> Floats:
    array = to_array(name, values)
    return array[None] if one else array
