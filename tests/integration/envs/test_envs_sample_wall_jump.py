"""The client plays the packed WallJump: two behaviors in turn, of which one may appear late."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from rl_src.envs.client import Actions, BehaviorStep, UnityClient
from rl_src.envs.specs import ActionSpec, BehaviorSpec, DimensionProperty, ObservationSpec
from tests.fakes.sample_players import unpacked
from tests.fakes.scripted_wall_jump import WallJumpScript

SMALL, BIG = "SmallWallJump?team=0", "BigWallJump?team=0"
BACK, TURN = (2, 0, 0, 0), (0, 1, 0, 0)


@dataclass(frozen=True)
class Waiting:
    """One row of a batch, as a script sees it."""

    behavior: str
    id: int
    observations: tuple[npt.NDArray[np.float32], ...]


Choose = Callable[[Waiting], tuple[int, ...]]


@pytest.fixture(scope="module")
def wall_jump(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpacked("WallJump", tmp_path_factory.mktemp("wall_jump"))


def back(_waiting: Waiting) -> tuple[int, ...]:
    return BACK


class BackAtAnAngle:
    """Straight back an agent falls at a decision step; who turned once before falls between two."""

    def __init__(self) -> None:
        self._turned: set[int] = set()

    def __call__(self, waiting: Waiting) -> tuple[int, ...]:
        if waiting.id % 2 and waiting.id not in self._turned:
            self._turned.add(waiting.id)
            return TURN
        return BACK


def actions(steps: Mapping[str, BehaviorStep], choose: Choose) -> dict[str, Actions]:
    given = {}
    for name, step in steps.items():
        batch = step.decisions
        chosen = [
            choose(Waiting(name, int(agent_id), tuple(sensor[row] for sensor in batch.observations)))
            for row, agent_id in enumerate(batch.agent_ids)
        ]
        given[name] = Actions(
            np.zeros((len(chosen), 0), np.float32), np.array(chosen, np.int32).reshape(len(chosen), 4)
        )
    return given


def spec(name: str) -> BehaviorSpec:
    sensors = (("OffsetRayPerceptionSensor", 35), ("RayPerceptionSensor", 35), ("VectorSensor_size4", 4))
    observations = tuple(ObservationSpec(sensor, (size,), (DimensionProperty.NONE,)) for sensor, size in sensors)
    return BehaviorSpec(name, observations, ActionSpec(0, (3, 3, 3, 2)))


def test_behaviors_are_described_when_they_first_appear(wall_jump: Path) -> None:
    with UnityClient(wall_jump, seed=1) as client:
        steps = client.reset()
        assert len(client.specs) == 1
        first = next(iter(client.specs))
        while len(client.specs) == 1:
            steps = client.step(actions(steps, back))
        assert client.specs == {name: spec(name) for name in (SMALL, BIG)}
        late = BIG if first == SMALL else SMALL
        assert len(steps[late].decisions) == 1
        assert len(steps[first].decisions) == 0


def test_one_agent_plays_one_episode_after_the_other(wall_jump: Path) -> None:
    with UnityClient(wall_jump, seed=2) as client:
        ids: list[int] = []
        choose = BackAtAnAngle()
        kinds = set()
        steps = client.reset()
        for _ in range(150):
            playing = [int(agent_id) for step in steps.values() for agent_id in step.decisions.agent_ids]
            assert len(playing) <= 1
            ids += [agent_id for agent_id in playing if agent_id not in ids[-1:]]
            steps = client.step(actions(steps, choose))
            ended = [name for name, step in steps.items() if len(step.terminals)]
            begun = [name for name, step in steps.items() if len(step.decisions)]
            if ended:
                assert steps[ended[0]].terminals.agent_ids.tolist() == ids[-1:]
                assert steps[ended[0]].terminals.rewards.tolist() == [-1.0]
                assert not steps[ended[0]].terminals.truncated[0]
                kinds.add("alone" if not begun else "same" if begun == ended else "other")
            else:
                assert len(begun) == 1
        assert len(ids) == len(set(ids)) > 10
        assert kinds == {"alone", "same", "other"}


def test_an_end_of_one_behavior_and_the_first_decision_of_the_other_share_a_message(wall_jump: Path) -> None:
    """An idle agent's episodes end at step 5000, which is one of decisions."""
    with UnityClient(wall_jump, seed=4) as client:
        steps = client.reset()
        shared: set[bool] = set()
        while len(shared) < 2:
            steps = client.step(actions(steps, lambda _waiting: (0, 0, 0, 0)))
            for name, step in steps.items():
                if len(step.terminals):
                    assert step.terminals.truncated[0]
                    shared.add(any(len(own.decisions) for other, own in steps.items() if other != name))
                    assert sum(len(own.decisions) for own in steps.values()) == 1


def test_a_script_solves_both_over_the_wire(wall_jump: Path) -> None:
    script = WallJumpScript()
    totals: dict[int, float] = defaultdict(float)
    ended: dict[str, list[float]] = defaultdict(list)
    with UnityClient(wall_jump, arguments=["--agents", "4"], seed=5) as client:
        steps = client.reset()
        assert sum(len(step.decisions) for step in steps.values()) == 4
        while min(len(ended[SMALL]), len(ended[BIG])) < 10:
            for name, step in steps.items():
                for agent_id, reward in zip(step.decisions.agent_ids, step.decisions.rewards, strict=True):
                    totals[int(agent_id)] += float(reward)
                for agent_id, reward in zip(step.terminals.agent_ids, step.terminals.rewards, strict=True):
                    ended[name].append(totals.pop(int(agent_id)) + float(reward))
            steps = client.step(actions(steps, script))
    assert np.mean(ended[SMALL]) > 0.8
    assert np.mean(ended[BIG]) > 0.8


def test_environment_parameters_set_the_heights(wall_jump: Path) -> None:
    """Without walls, who runs straight on reaches the goal, whatever the behavior: unless the block gets in the way."""
    flat = dict.fromkeys(("small_wall_height", "big_wall_min_height", "big_wall_max_height"), 0.0)
    rewards: dict[str, list[float]] = defaultdict(list)
    with UnityClient(wall_jump, seed=6, parameters=flat) as client:
        steps = client.reset()
        while min(len(rewards[SMALL]), len(rewards[BIG])) < 5:
            steps = client.step(actions(steps, lambda _waiting: (1, 0, 0, 0)))
            for name, step in steps.items():
                rewards[name] += step.terminals.rewards.tolist()
    assert 1.0 in rewards[SMALL]
    assert 1.0 in rewards[BIG]
