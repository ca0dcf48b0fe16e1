"""The client plays the packed 3DBall: twelve continuous agents that drop their balls at their own times."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from rl_src.envs.client import Actions, BehaviorStep, UnityClient
from rl_src.envs.specs import ActionSpec, BehaviorSpec, DimensionProperty, ObservationSpec
from tests.fakes.sample_players import unpacked
from tests.fakes.scripted_ball_3d import balance

NAME = "3DBall?team=0"


@pytest.fixture(scope="module")
def ball_3d(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpacked("3DBall", tmp_path_factory.mktemp("ball_3d"))


def turns(continuous: npt.NDArray[np.float32]) -> dict[str, Actions]:
    return {NAME: Actions(continuous, np.zeros((len(continuous), 0), np.int32))}


def play_on(client: UnityClient, step: BehaviorStep) -> BehaviorStep:
    return client.step(turns(balance(step.decisions.observations[0])))[NAME]


def test_the_spec_and_the_agents_are_those_documented(ball_3d: Path) -> None:
    with UnityClient(ball_3d) as client:
        decisions = client.reset()[NAME].decisions
        sensor = ObservationSpec("VectorSensor_size8", (8,), (DimensionProperty.NONE,))
        assert client.specs == {NAME: BehaviorSpec(NAME, (sensor,), ActionSpec(2, ()))}
        assert decisions.observations[0].shape == (12, 8)
        assert len(set(decisions.agent_ids.tolist())) == 12


def test_a_controller_earns_the_documented_return(ball_3d: Path) -> None:
    with UnityClient(ball_3d, seed=1) as client:
        step = client.reset()[NAME]
        first = step.decisions.agent_ids.tolist()
        earned, decisions = np.zeros(12), 0
        while not len(step.terminals):
            earned += step.decisions.rewards
            decisions += 1
            step = play_on(client, step)
        assert decisions == 1000
        assert earned + step.terminals.rewards == pytest.approx(np.full(12, 100.0), rel=1e-5)
        assert step.terminals.agent_ids.tolist() == first
        assert step.terminals.truncated.all()
        assert set(step.decisions.agent_ids.tolist()).isdisjoint(first)
        assert step.decisions.rewards.tolist() == [0.0] * 12


def test_balls_fall_one_by_one(ball_3d: Path) -> None:
    numbers = np.random.default_rng(0)
    ended: list[int] = []
    alone = together = 0
    with UnityClient(ball_3d, seed=2) as client:
        step = client.reset()[NAME]
        for _ in range(300):
            continuous = numbers.uniform(-1, 1, (len(step.decisions), 2)).astype(np.float32)
            step = client.step(turns(continuous))[NAME]
            assert len(step.decisions) in (0, 12)
            if len(step.terminals):
                assert (step.terminals.rewards == -1.0).all()
                assert not step.terminals.truncated.any()
                alone += not len(step.decisions)
                together += len(step.decisions) > 0
            ended += step.terminals.agent_ids.tolist()
            assert set(ended).isdisjoint(step.decisions.agent_ids.tolist())
    assert len(ended) == len(set(ended)) > 50
    assert alone > 0
    assert together > 0


def test_parameters_reach_the_scene(ball_3d: Path) -> None:
    with UnityClient(ball_3d, parameters={"gravity": 0.0, "agents": 3}) as client:
        step = play_on(client, client.reset()[NAME])
        assert step.decisions.observations[0][:, 3].tolist() == [4.0] * 3
        step = play_on(client, client.reset(parameters={"gravity": 9.81})[NAME])
        assert (step.decisions.observations[0][:, 3] < 4.0).all()


def test_the_number_of_agents_is_an_argument_too(ball_3d: Path) -> None:
    with UnityClient(ball_3d, arguments=["--agents", "64"]) as client:
        assert len(client.reset()[NAME].decisions) == 64
