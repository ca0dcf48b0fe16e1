"""The client plays the packed SoccerTwos: teams, groups and stacked rays over the wire."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from rl_src.envs.client import Actions, BehaviorStep, UnityClient
from rl_src.envs.specs import ActionSpec, BehaviorSpec, DimensionProperty, ObservationSpec
from tests.fakes.sample_players import unpacked
from tests.fakes.scripted_soccer import chase_the_ball

BLUE, PURPLE = "SoccerTwos?team=0", "SoccerTwos?team=1"


@pytest.fixture(scope="module")
def soccer_twos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpacked("SoccerTwos", tmp_path_factory.mktemp("soccer_twos"))


def actions(steps: Mapping[str, BehaviorStep], *, chasing: str = "") -> dict[str, Actions]:
    """`chasing`: the team that runs after the ball; others stand."""
    given = {}
    for name, step in steps.items():
        count = len(step.decisions)
        discrete = np.zeros((count, 3), np.int32)
        if name == chasing:
            for row in range(count):
                discrete[row] = chase_the_ball([sensor[row] for sensor in step.decisions.observations])
        given[name] = Actions(np.zeros((count, 0), np.float32), discrete)
    return given


def spec(team: int, color: str) -> BehaviorSpec:
    name = f"StackingSensor_size3_{color}RayPerceptionSensor"
    sensors = (
        ObservationSpec(name, (264,), (DimensionProperty.NONE,)),
        ObservationSpec(f"{name}Reverse", (72,), (DimensionProperty.NONE,)),
    )
    return BehaviorSpec(f"SoccerTwos?team={team}", sensors, ActionSpec(0, (3, 3, 3)))


def test_specs_teams_and_groups_are_as_documented(soccer_twos: Path) -> None:
    with UnityClient(soccer_twos) as client:
        steps = client.reset()
        assert client.specs == {BLUE: spec(0, "Blue"), PURPLE: spec(1, "Purple")}
        assert [client.specs[name].team_id for name in (BLUE, PURPLE)] == [0, 1]
        assert {client.specs[name].behavior_name for name in (BLUE, PURPLE)} == {"SoccerTwos"}
        assert [steps[name].decisions.group_ids.tolist() for name in (BLUE, PURPLE)] == [[1, 1], [2, 2]]
        ids = [*steps[BLUE].decisions.agent_ids, *steps[PURPLE].decisions.agent_ids]
        assert len(set(ids)) == 4


def test_a_goal_terminates_all_four_with_the_teams_rewards(soccer_twos: Path) -> None:
    with UnityClient(soccer_twos, seed=3, parameters={"max_environment_steps": 1000}) as client:
        truncated: set[bool] = set()
        steps = client.reset()
        while False not in truncated:
            before = {name: step.decisions.agent_ids.tolist() for name, step in steps.items()}
            steps = client.step(actions(steps, chasing=BLUE))
            ends = {name: steps[name].terminals for name in (BLUE, PURPLE)}
            if len(ends[BLUE]):
                truncated |= set(ends[BLUE].truncated.tolist())
                assert {name: batch.agent_ids.tolist() for name, batch in ends.items()} == before
            else:
                assert len(ends[PURPLE]) == 0
        assert ends[PURPLE].truncated.tolist() == [False, False]
        rewards = {name: batch.group_rewards.tolist() for name, batch in ends.items()}
        winner, loser = (BLUE, PURPLE) if rewards[BLUE][0] > 0 else (PURPLE, BLUE)
        assert rewards[loser] == [-1.0, -1.0]
        assert 0 <= rewards[winner][0] < 1
        assert rewards[winner][0] == rewards[winner][1]
        assert not ends[BLUE].rewards.any()
        assert ends[BLUE].group_ids.tolist() == [1, 1]


@pytest.mark.parametrize(("limit", "together"), [(20, True), (22, False)])
def test_a_match_without_a_goal_is_truncated(soccer_twos: Path, limit: int, together: bool) -> None:
    with UnityClient(soccer_twos, parameters={"max_environment_steps": limit}) as client:
        steps = client.reset()
        while not len(steps[BLUE].terminals):
            steps = client.step(actions(steps))
        for name in (BLUE, PURPLE):
            assert steps[name].terminals.truncated.tolist() == [True, True]
            assert len(steps[name].decisions) == (2 if together else 0)
        ended = {*steps[BLUE].terminals.agent_ids, *steps[PURPLE].terminals.agent_ids}
        if not together:
            steps = client.step(actions(steps))
        begun = {*steps[BLUE].decisions.agent_ids, *steps[PURPLE].decisions.agent_ids}
        assert len(begun) == 4
        assert begun.isdisjoint(ended)
