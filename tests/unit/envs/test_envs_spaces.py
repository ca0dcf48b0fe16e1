import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector.utils import batch_space

from rl_src.envs.batches import DecisionBatch
from rl_src.envs.spaces import (
    action_space,
    first_allowed_actions,
    observation_space,
    observations_of,
    random_actions,
    rows_of,
    sample_batch,
    sampling_mask,
    unity_actions,
    unity_actions_of_batch,
)
from rl_src.envs.specs import ActionSpec, BehaviorSpec, ObservationSpec

HYBRID = ActionSpec(2, (3, 2))


def behavior(*sensors: tuple[str, tuple[int, ...]]) -> BehaviorSpec:
    return BehaviorSpec("A?team=0", tuple(ObservationSpec(name, shape) for name, shape in sensors), ActionSpec(1))


def decisions(mask: np.ndarray) -> DecisionBatch:
    agents = len(mask)
    numbers, ids = np.zeros(agents, np.float32), np.arange(agents)
    return DecisionBatch(ids, (), numbers, mask, ids, numbers)


def test_one_sensor_is_a_box_and_pictures_lie_between_0_and_1():
    assert observation_space(behavior(("Rays", (8,)))) == gym.spaces.Box(-np.inf, np.inf, (8,), np.float32)
    assert observation_space(behavior(("Camera", (3, 4, 5)))) == gym.spaces.Box(0, 1, (3, 4, 5), np.float32)


def test_a_grid_sensor_may_hold_any_number():
    space = observation_space(behavior(("GridSensor-OneHot", (3, 4, 5))))
    assert space == gym.spaces.Box(-np.inf, np.inf, (3, 4, 5), np.float32)


def test_several_sensors_are_a_dict_and_repeated_names_are_numbered():
    spec = behavior(("Rays", (8,)), ("Camera", (3, 4, 5)), ("Rays", (2,)), ("Rays", (1,)))
    space = observation_space(spec)
    assert isinstance(space, gym.spaces.Dict)
    assert {key: box.shape for key, box in space.items()} == {
        "Rays": (8,),
        "Camera": (3, 4, 5),
        "Rays_1": (2,),
        "Rays_2": (1,),
    }
    arrays = [np.full(sensor.shape, index, np.float32) / 4 for index, sensor in enumerate(spec.observations)]
    observation = observations_of(spec, arrays)
    assert observation in space
    assert isinstance(observation, dict)
    assert observation["Rays_2"].tolist() == [0.75]


def test_a_name_that_looks_numbered_is_not_taken_twice():
    space = observation_space(behavior(("Rays", (1,)), ("Rays_1", (2,)), ("Rays", (3,))))
    assert isinstance(space, gym.spaces.Dict)
    assert sorted(box.shape for box in space.values()) == [(1,), (2,), (3,)]


def test_rows_are_copies_of_their_own():
    spec = behavior(("Rays", (2,)), ("Grid", (1,)))
    arrays = [np.arange(6, dtype=np.float32).reshape(3, 2), np.arange(3, dtype=np.float32).reshape(3, 1)]
    rows = rows_of(spec, arrays)
    assert [row["Rays"].tolist() for row in rows if isinstance(row, dict)] == [[0, 1], [2, 3], [4, 5]]
    assert isinstance(rows[0], dict)
    rows[0]["Rays"][:] = 9
    assert arrays[0][0].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("actions", "space"),
    [
        (ActionSpec(3), gym.spaces.Box(-1, 1, (3,), np.float32)),
        (ActionSpec(0, (4,)), gym.spaces.Discrete(4)),
        (ActionSpec(0, (3, 2)), gym.spaces.MultiDiscrete([3, 2])),
        (
            ActionSpec(1, (5,)),
            gym.spaces.Dict(continuous=gym.spaces.Box(-1, 1, (1,), np.float32), discrete=gym.spaces.Discrete(5)),
        ),
    ],
)
def test_spaces_of_actions(actions, space):
    assert action_space(actions) == space


def test_agents_that_do_nothing_have_no_space():
    with pytest.raises(ValueError, match="neither"):
        action_space(ActionSpec())


@pytest.mark.parametrize(
    "actions", [ActionSpec(3), ActionSpec(0, (4,)), ActionSpec(0, (3, 2)), HYBRID, ActionSpec(1, (5,))]
)
def test_what_the_space_gives_the_client_gets(actions):
    space = action_space(actions)
    space.seed(1)
    given = [space.sample() for _ in range(3)]
    told = unity_actions(actions, given)
    assert told.continuous.shape == (3, actions.continuous_size)
    assert told.discrete.shape == (3, len(actions.discrete_branches))
    for row, action in enumerate(given):
        parts = action if isinstance(action, dict) else {"continuous": action, "discrete": action}
        if actions.continuous_size:
            assert told.continuous[row].tolist() == parts["continuous"].tolist()
        if actions.discrete_branches:
            assert told.discrete[row].tolist() == np.atleast_1d(parts["discrete"]).tolist()


@pytest.mark.parametrize(
    "actions", [ActionSpec(3), ActionSpec(0, (4,)), ActionSpec(0, (3, 2)), HYBRID, ActionSpec(1, (5,))]
)
def test_rows_of_a_batch_are_the_same_actions(actions):
    single = action_space(actions)
    batched = batch_space(single, 4)
    batched.seed(1)
    given = batched.sample()
    alone = [
        {key: value[row] for key, value in given.items()} if isinstance(given, dict) else given[row] for row in range(4)
    ]
    told, expected = unity_actions_of_batch(actions, given, [2, 0]), unity_actions(actions, [alone[2], alone[0]])
    assert told.continuous.tolist() == expected.continuous.tolist()
    assert told.discrete.tolist() == expected.discrete.tolist()


@pytest.mark.parametrize(
    ("actions", "given", "message"),
    [
        (HYBRID, np.zeros(4), "continuous"),
        (HYBRID, {"continuous": [0.0, 0.0]}, "discrete"),
        (ActionSpec(0, (3,)), 1.0, "whole numbers"),
        (ActionSpec(0, (3, 2)), [1], "shapes"),
        (ActionSpec(2), [0.0, 0.0, 0.0], "shapes"),
    ],
)
def test_actions_of_another_form_are_refused(actions, given, message):
    with pytest.raises(ValueError, match=message):
        unity_actions(actions, [given])


@pytest.mark.parametrize("actions", [ActionSpec(0, (4,)), ActionSpec(0, (3, 2)), HYBRID, ActionSpec(1, (5,))])
def test_masks_are_what_sample_takes(actions):
    numbers = np.random.default_rng(0)
    size, starts = sum(actions.discrete_branches), np.cumsum((0, *actions.discrete_branches[:-1]))
    allowed = numbers.random((6, size)) < 0.4
    allowed[:, starts] |= True
    single, batched = action_space(actions), batch_space(action_space(actions), 6)
    for _ in range(20):
        one = unity_actions(actions, [single.sample(mask=sampling_mask(actions, allowed[0]))])
        assert allowed[0][one.discrete[0] + starts].all()
        all_of_them = sample_batch(actions, allowed, 6, numbers)
        assert all_of_them in batched
        told = unity_actions_of_batch(actions, all_of_them, range(6))
        for row in range(6):
            assert allowed[row][told.discrete[row] + starts].all()


def test_idle_and_random_agents_do_what_is_allowed():
    allowed = np.array([[False, True, True, False, True], [True, False, False, True, True]])
    idle = first_allowed_actions(HYBRID, decisions(allowed))
    assert idle.continuous.tolist() == [[0, 0], [0, 0]]
    assert idle.discrete.tolist() == [[1, 1], [0, 0]]
    numbers = np.random.default_rng(0)
    seen = {tuple(random_actions(HYBRID, decisions(allowed), numbers).discrete[0].tolist()) for _ in range(50)}
    assert seen == {(1, 1), (2, 1)}
