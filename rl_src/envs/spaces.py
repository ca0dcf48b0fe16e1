"""Gymnasium spaces of a behavior, and its observations, masks and actions in their terms.

| the behavior has            | its space                                                                 |
|-----------------------------|---------------------------------------------------------------------------|
| one sensor                  | `Box` of the sensor's shape                                               |
| several sensors             | `Dict` by sensor name; a repeated name is numbered: `Rays`, `Rays_1`, ... |
| continuous actions          | `Box(-1, 1, (C,))`                                                        |
| one discrete branch         | `Discrete(n)`                                                             |
| several discrete branches   | `MultiDiscrete`                                                           |
| both kinds of actions       | `Dict` of `continuous` and `discrete`, each as above                      |

Everything is float32 or int64. Images are channels first. What a camera draws lies in [0, 1]; a grid sensor may hand on
any number that the game's designer put into it, and so may a vector sensor: their boxes have no bounds.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from rl_src.envs.batches import Actions, BoolArray, DecisionBatch, FloatArray
from rl_src.envs.specs import ActionSpec, BehaviorSpec, ObservationSpec

CONTINUOUS, DISCRETE = "continuous", "discrete"
"""The keys of hybrid actions."""

Observation = FloatArray | dict[str, FloatArray]
"""One agent's: [*shape] of the only sensor, or of each by its key. Of N agents: [N, *shape]."""


def observation_space(spec: BehaviorSpec) -> gym.Space[Any]:
    """What one agent observes."""
    boxes = [_box(sensor) for sensor in spec.observations]
    if len(boxes) == 1:
        return boxes[0]
    return gym.spaces.Dict(dict(zip(sensor_keys(spec), boxes, strict=True)))


def action_space(actions: ActionSpec) -> gym.Space[Any]:
    """What one agent does.

    Raises:
        ValueError: the agents do nothing at all.
    """
    kinds: dict[str, gym.Space[Any]] = {}
    if actions.continuous_size:
        kinds[CONTINUOUS] = gym.spaces.Box(-1.0, 1.0, (actions.continuous_size,), np.float32)
    if len(actions.discrete_branches) == 1:
        kinds[DISCRETE] = gym.spaces.Discrete(actions.discrete_branches[0])
    elif actions.discrete_branches:
        kinds[DISCRETE] = gym.spaces.MultiDiscrete(list(actions.discrete_branches))
    if not kinds:
        raise ValueError("The behavior has neither continuous actions nor discrete branches.")
    return gym.spaces.Dict(kinds) if len(kinds) == 2 else next(iter(kinds.values()))


def sensor_keys(spec: BehaviorSpec) -> list[str]:
    """A key of its own for each sensor, in the order of the wire."""
    keys: list[str] = []
    for sensor in spec.observations:
        key, repeats = sensor.name, 0
        while key in keys:
            repeats += 1
            key = f"{sensor.name}_{repeats}"
        keys.append(key)
    return keys


def observations_of(spec: BehaviorSpec, arrays: Sequence[FloatArray]) -> Observation:
    """One array for each sensor, of one agent or of many, as the space has them."""
    if len(arrays) == 1:
        return arrays[0]
    return dict(zip(sensor_keys(spec), arrays, strict=True))


def rows_of(spec: BehaviorSpec, arrays: Sequence[FloatArray]) -> list[Observation]:
    """Each agent's observation: [N, *shape] for each sensor -> N. Copies, writable and aligned."""
    own = [np.array(array) for array in arrays]
    if len(own) == 1:
        return list(own[0])
    keys = sensor_keys(spec)
    return [dict(zip(keys, rows, strict=True)) for rows in zip(*own, strict=True)]


def sampling_mask(actions: ActionSpec, allowed: BoolArray) -> Any:
    """One agent's mask [sum of branches] in the form that the action space's `sample(mask=...)` takes: 1 = allowed."""
    branches = tuple(np.split(allowed.astype(np.int8), np.cumsum(actions.discrete_branches)[:-1]))
    discrete = branches[0] if len(branches) == 1 else branches
    return {CONTINUOUS: None, DISCRETE: discrete} if actions.continuous_size else discrete


def sample_batch(actions: ActionSpec, allowed: BoolArray | None, agents: int, numbers: np.random.Generator) -> Any:
    """Random actions of N agents, in the batched action space's form, within masks [N, sum of branches].

    (gymnasium's batched `MultiDiscrete` is a `Box`, whose `sample` takes no mask.)
    """
    continuous = numbers.uniform(-1.0, 1.0, (agents, actions.continuous_size)).astype(np.float32)
    discrete: npt.NDArray[np.int64] = _choices(actions, allowed, agents, numbers).astype(np.int64)
    if len(actions.discrete_branches) == 1:
        discrete = discrete[:, 0]
    if actions.continuous_size and actions.discrete_branches:
        return {CONTINUOUS: continuous, DISCRETE: discrete}
    return continuous if actions.continuous_size else discrete


def unity_actions(actions: ActionSpec, given: Sequence[Any]) -> Actions:
    """Actions from the space, one an agent, as the client takes them.

    Raises:
        ValueError: an action that has not the space's form.
    """
    continuous: Any
    discrete: Any
    if actions.continuous_size and actions.discrete_branches:
        _check_hybrid(given)
        continuous, discrete = [item[CONTINUOUS] for item in given], [item[DISCRETE] for item in given]
    else:
        continuous, discrete = (given, []) if actions.continuous_size else ([], given)
    return _joined(actions, len(given), continuous, discrete)


def unity_actions_of_batch(actions: ActionSpec, given: Any, rows: Sequence[int] | npt.NDArray[np.intp]) -> Actions:
    """The named rows of a batched action (the batched space's form), as the client takes them.

    Raises:
        ValueError: an action that has not the space's form.
    """
    continuous: Any
    discrete: Any
    if actions.continuous_size and actions.discrete_branches:
        _check_hybrid([given])
        continuous, discrete = np.asarray(given[CONTINUOUS])[rows], np.asarray(given[DISCRETE])[rows]
    else:
        chosen = np.asarray(given)[rows]
        continuous, discrete = (chosen, []) if actions.continuous_size else ([], chosen)
    return _joined(actions, len(rows), continuous, discrete)


def random_actions(actions: ActionSpec, decisions: DecisionBatch, numbers: np.random.Generator) -> Actions:
    """Uniform over what the masks allow."""
    agents = len(decisions)
    continuous = numbers.uniform(-1.0, 1.0, (agents, actions.continuous_size)).astype(np.float32)
    return Actions(continuous, _choices(actions, decisions.action_mask, agents, numbers))


def first_allowed_actions(actions: ActionSpec, decisions: DecisionBatch) -> Actions:
    """Nothing, as far as that can be said of a game: zeros, and the first choice that is allowed."""
    agents = len(decisions)
    continuous = np.zeros((agents, actions.continuous_size), np.float32)
    return Actions(continuous, _choices(actions, decisions.action_mask, agents, None))


def _choices(
    actions: ActionSpec, allowed: BoolArray | None, agents: int, numbers: np.random.Generator | None
) -> npt.NDArray[np.int32]:
    """A choice in each branch, [N, branches]: random, or without `numbers` the first that is allowed."""
    choices = np.zeros((agents, len(actions.discrete_branches)), np.int32)
    if allowed is None:
        return choices
    for branch, mask in enumerate(np.split(allowed, np.cumsum(actions.discrete_branches)[:-1], axis=1)):
        # The largest of random numbers is uniform over those that are not struck out.
        weights = np.ones(mask.shape) if numbers is None else 1.0 - numbers.random(mask.shape)
        choices[:, branch] = (weights * mask).argmax(axis=1)
    return choices


def _box(sensor: ObservationSpec) -> gym.spaces.Box:
    if sensor.may_be_camera:
        return gym.spaces.Box(0.0, 1.0, sensor.shape, np.float32)
    return gym.spaces.Box(-np.inf, np.inf, sensor.shape, np.float32)


def _check_hybrid(given: Sequence[Any]) -> None:
    for item in given:
        if not (isinstance(item, Mapping) and {CONTINUOUS, DISCRETE} <= item.keys()):
            raise ValueError(
                f"The behavior has both kinds of actions: a mapping with the keys {CONTINUOUS!r} and {DISCRETE!r} is "
                f"needed, not {item!r}."
            )


def _joined(actions: ActionSpec, agents: int, continuous: Any, discrete: Any) -> Actions:
    """Rows of both kinds; shapes and values are checked by the client."""
    size, branches = actions.continuous_size, len(actions.discrete_branches)
    numbers, choices = np.asarray(continuous, np.float32), np.asarray(discrete)
    if choices.size and choices.dtype.kind not in "iu":
        raise ValueError(f"Discrete actions are whole numbers, not {choices.dtype}.")
    if numbers.size != agents * size or choices.size != agents * branches:
        raise ValueError(
            f"{agents} agents with {size} continuous actions and {branches} discrete branches each were given "
            f"actions of the shapes {numbers.shape} and {choices.shape}."
        )
    return Actions(numbers.reshape(agents, size), choices.reshape(agents, branches).astype(np.int32))
