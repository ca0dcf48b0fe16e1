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


def batched_sampling_mask(actions: ActionSpec, allowed: BoolArray) -> Any:
    """Masks [N, sum of branches] for the `sample` of a vector environment's batched action space."""
    branches = np.split(allowed.astype(np.int8), np.cumsum(actions.discrete_branches)[:-1], axis=1)
    # For one branch a tuple with N masks; for several, N tuples of masks.
    discrete = tuple(branches[0]) if len(branches) == 1 else tuple(zip(*branches, strict=True))
    return {CONTINUOUS: None, DISCRETE: discrete} if actions.continuous_size else discrete


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


def unity_actions_of_batch(actions: ActionSpec, given: Any, rows: Sequence[int]) -> Actions:
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
    return Actions(continuous, _random_choices(actions, decisions, numbers))


def first_allowed_actions(actions: ActionSpec, decisions: DecisionBatch) -> Actions:
    """Nothing, as far as that can be said of a game: zeros, and the first choice that is allowed."""
    agents = len(decisions)
    continuous = np.zeros((agents, actions.continuous_size), np.float32)
    return Actions(continuous, _random_choices(actions, decisions, None))


def _random_choices(
    actions: ActionSpec, decisions: DecisionBatch, numbers: np.random.Generator | None
) -> npt.NDArray[np.int32]:
    choices = np.zeros((len(decisions), len(actions.discrete_branches)), np.int32)
    if decisions.action_mask is None:
        return choices
    for branch, allowed in enumerate(
        np.split(decisions.action_mask, np.cumsum(actions.discrete_branches)[:-1], axis=1)
    ):
        weights = np.ones(allowed.shape) if numbers is None else numbers.random(allowed.shape) + 1e-9
        choices[:, branch] = (weights * allowed).argmax(axis=1)
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
