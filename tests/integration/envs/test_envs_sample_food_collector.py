"""The client plays the packed FoodCollector: grid sensors in two PNGs, hybrid actions, ends all at once."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from rl_src.envs.client import Actions, BehaviorStep, UnityClient
from rl_src.envs.specs import ActionSpec, BehaviorSpec, DimensionProperty, ObservationSpec
from tests.fakes.sample_players import unpacked
from tests.fakes.scripted_food_collector import FROZEN_AGENT, collect

NAME = "GridFoodCollector?team=0"
IMAGE = (DimensionProperty.NONE, *[DimensionProperty.TRANSLATIONAL_EQUIVARIANCE] * 2)
SPEC = BehaviorSpec(
    NAME,
    (
        ObservationSpec("GridSensor-OneHot", (6, 40, 40), IMAGE),
        ObservationSpec("VectorSensor_size4", (4,), (DimensionProperty.NONE,)),
    ),
    ActionSpec(3, (2,)),
)

Choose = Callable[[BehaviorStep], Actions]


@pytest.fixture(scope="module")
def food_collector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpacked("FoodCollector", tmp_path_factory.mktemp("food_collector"))


def scripted(step: BehaviorStep) -> Actions:
    chosen = [collect(*seen) for seen in zip(*step.decisions.observations, strict=True)]
    return Actions(
        np.array([continuous for continuous, _ in chosen], np.float32),
        np.array([choice for _, choice in chosen], np.int32).reshape(-1, 1),
    )


def at_random(seed: int) -> Choose:
    numbers = np.random.default_rng(seed)

    def choose(step: BehaviorStep) -> Actions:
        count = len(step.decisions)
        return Actions(
            numbers.uniform(-1, 1, (count, 3)).astype(np.float32), numbers.integers(0, 2, (count, 1)).astype(np.int32)
        )

    return choose


def turn_and_shoot(step: BehaviorStep) -> Actions:
    count = len(step.decisions)
    return Actions(np.tile(np.array([0, 0, 1], np.float32), (count, 1)), np.ones((count, 1), np.int32))


def episode(client: UnityClient, choose: Choose) -> tuple[npt.NDArray[np.float64], int, BehaviorStep]:
    """Each agent's return, the number of decisions, and the step of the end."""
    step = client.reset()[NAME]
    earned, decisions = np.zeros(len(step.decisions)), 0
    while not len(step.terminals):
        earned += step.decisions.rewards
        decisions += 1
        step = client.step({NAME: choose(step)})[NAME]
    return earned + step.terminals.rewards, decisions, step


def test_the_spec_and_the_agents_are_those_documented(food_collector: Path) -> None:
    with UnityClient(food_collector) as client:
        decisions = client.reset()[NAME].decisions
        assert client.specs == {NAME: SPEC}
        assert [sensor.shape for sensor in decisions.observations] == [(5, 6, 40, 40), (5, 4)]
        assert (decisions.observations[0].sum(axis=1) == 1).all()
        assert len(set(decisions.agent_ids.tolist())) == 5


def test_a_script_earns_the_documented_return_and_all_end_together(food_collector: Path) -> None:
    with UnityClient(food_collector, seed=1) as client:
        first = client.reset()[NAME].decisions.agent_ids.tolist()
        earned, decisions, end = episode(client, scripted)
        assert decisions == 1000
        assert earned.mean() > 10.0
        assert len(end.terminals) == len(end.decisions) == 5
        assert end.terminals.truncated.all()
        assert end.decisions.rewards.tolist() == [0.0] * 5
        assert set(end.decisions.agent_ids.tolist()).isdisjoint(end.terminals.agent_ids.tolist())
        assert set(end.terminals.agent_ids.tolist()).isdisjoint(first)


def test_chance_does_not(food_collector: Path) -> None:
    with UnityClient(food_collector, seed=1) as client:
        earned, _, _ = episode(client, at_random(1))
        assert abs(earned.mean()) < 5.0


def test_continuous_actions_and_choices_both_arrive(food_collector: Path) -> None:
    with UnityClient(food_collector, seed=2, arguments=["--agents", "12"]) as client:
        step = client.reset()[NAME]
        frozen = 0
        for _ in range(50):
            step = client.step({NAME: turn_and_shoot(step)})[NAME]
            vectors = step.decisions.observations[1]
            assert (vectors[:, 3] == 1 - vectors[:, 2]).all()
            frozen += int(vectors[:, 2].sum())
        assert frozen > 0
        assert step.decisions.observations[0][:, FROZEN_AGENT].any()


def test_parameters_reach_the_scene(food_collector: Path) -> None:
    with UnityClient(food_collector, seed=2, parameters={"agents": 12, "laser_length": 0.0}) as client:
        step = client.reset()[NAME]
        for _ in range(50):
            step = client.step({NAME: turn_and_shoot(step)})[NAME]
            assert len(step.decisions) == 12
            assert not step.decisions.observations[1][:, 2].any()
