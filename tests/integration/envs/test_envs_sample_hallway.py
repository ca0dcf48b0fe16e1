"""The client plays the packed Hallway: one agent whose goal is where the symbol is no longer in sight."""

from pathlib import Path

import numpy as np
import pytest

from rl_src.envs.client import Actions, UnityClient
from rl_src.envs.specs import ActionSpec, BehaviorSpec, DimensionProperty, ObservationSpec
from tests.fakes.sample_players import unpacked
from tests.fakes.scripted_hallway import HallwayScript

NAME = "Hallway?team=0"
RIGHT = 2


@pytest.fixture(scope="module")
def hallway(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpacked("Hallway", tmp_path_factory.mktemp("hallway"))


def choices(*chosen: int) -> dict[str, Actions]:
    return {NAME: Actions(np.zeros((len(chosen), 0), np.float32), np.array(chosen, np.int32).reshape(-1, 1))}


def returns(client: UnityClient, script: HallwayScript, episodes: int) -> list[float]:
    """What one agent's episodes paid in all."""
    step = client.reset()[NAME]
    total = 0.0
    ended: list[float] = []
    while len(ended) < episodes:
        total += float(step.decisions.rewards.sum())
        waiting = step.decisions.observations[0]
        step = client.step(choices(*(script.choose(observation) for observation in waiting)))[NAME]
        if len(step.terminals):
            ended.append(total + float(step.terminals.rewards[0]))
            script.begin_episode()
            total = 0.0
    return ended


def test_the_spec_and_the_agent_are_those_documented(hallway: Path) -> None:
    with UnityClient(hallway) as client:
        assert client.reset()[NAME].decisions.observations[0].shape == (1, 30)
        sensor = ObservationSpec("RayPerceptionSensor", (30,), (DimensionProperty.NONE,))
        assert client.specs == {NAME: BehaviorSpec(NAME, (sensor,), ActionSpec(0, (4,)))}


def test_a_script_that_remembers_earns_the_documented_return(hallway: Path) -> None:
    with UnityClient(hallway, seed=3) as client:
        ended = returns(client, HallwayScript(), episodes=60)
    assert np.mean(ended) > 0.7
    assert min(ended) > 0.0


def test_a_script_that_forgets_does_not(hallway: Path) -> None:
    with UnityClient(hallway, seed=3) as client:
        assert np.mean(returns(client, HallwayScript(remembers=False), episodes=60)) < 0.6


def test_who_never_arrives_is_interrupted(hallway: Path) -> None:
    with UnityClient(hallway) as client:
        first = client.reset()[NAME].decisions.agent_ids.tolist()
        for _ in range(499):
            step = client.step(choices(RIGHT))[NAME]
            assert step.decisions.agent_ids.tolist() == first
        step = client.step(choices(RIGHT))[NAME]
        assert step.terminals.agent_ids.tolist() == first
        assert step.terminals.truncated.tolist() == [True]
        assert len(step.decisions) == 1
        assert step.decisions.agent_ids.tolist() != first


def test_parameters_and_arguments_reach_the_scene(hallway: Path) -> None:
    with UnityClient(hallway, arguments=["--agents", "3"]) as client:
        assert len(client.reset()[NAME].decisions) == 3
        assert len(client.reset(parameters={"agents": 2})[NAME].decisions) == 2
