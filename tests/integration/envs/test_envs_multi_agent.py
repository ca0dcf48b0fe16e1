import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium.error import ResetNeeded

from rl_src.envs.multi_agent import MultiAgentScene, MultiAgentStep, behavior_of, qualified_behavior_of
from rl_src.envs.seeded_build import BuildOptions, UnsuitableSceneError
from rl_src.envs.spaces import unity_actions
from tests.fakes.chaos_ledger import Story, assert_same_episodes, read_ledger
from tests.fakes.sample_players import unpacked

BRANCHES = {"Walker?team=0": [], "Guard?team=1": [3, 2], "Mixed?team=0": [200, 2]}
SOLO: dict[str, Any] = {
    "name": "Solo?team=0",
    "observations": [[3]],
    "continuous": 1,
    "branches": [],
    "agents": 1,
    "from_step": 0,
}


@pytest.fixture(scope="session")
def soccer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpacked("SoccerTwos", tmp_path_factory.mktemp("soccer"))


@pytest.fixture(scope="session")
def wall_jump(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpacked("WallJump", tmp_path_factory.mktemp("wall_jump"))


def sampled(scene: MultiAgentScene, step: MultiAgentStep) -> dict[str, Any]:
    """Random actions within the masks."""
    return {
        agent: scene.action_space(qualified_behavior_of(agent)).sample(mask=step.infos[agent].get("action_mask"))
        for agent in step.waiting
    }


def sensors_of(observation: Any) -> list[Any]:
    return list(observation.values()) if isinstance(observation, dict) else [observation]


class Teller:
    """Writes down what the scene tells and what it is told."""

    def __init__(self, scene: MultiAgentScene) -> None:
        self.scene, self.story, self.names = scene, Story(), dict[str, tuple[str, int]]()
        self.total = 0.0

    def hear(self, step: MultiAgentStep) -> None:
        keys = step.observations.keys()
        assert keys == step.rewards.keys() == step.terminated.keys() == step.truncated.keys() == step.infos.keys()
        for agent, observation in step.observations.items():
            behavior, info = qualified_behavior_of(agent), step.infos[agent]
            assert observation in self.scene.observation_space(behavior)
            who = behavior, info["agent_id"]
            assert self.names.setdefault(agent, who) == who  # an id is one episode's
            assert step.rewards[agent] == pytest.approx(info["reward"] + info["group_reward"])
            self.total += step.rewards[agent]
            self.story.earn(*who, info["reward"], info["group_reward"])
            if step.terminated[agent] or step.truncated[agent]:
                assert agent not in step.waiting
                self.story.finish(*who, sensors_of(observation), step.truncated[agent])
            else:
                assert agent in step.waiting
                mask = info.get("action_mask", ())
                mask = mask["discrete"] if isinstance(mask, dict) else mask
                self.story.decide(*who, sensors_of(observation), np.concatenate(mask) if len(mask) else [])

    def say(self, actions: dict[str, Any]) -> None:
        for agent, action in actions.items():
            behavior, agent_id = self.names[agent]
            told = unity_actions(self.scene.specs[behavior].actions, [action])
            self.story.act(behavior, agent_id, told.continuous[0], told.discrete[0])


@pytest.mark.parametrize("seed", range(4))
def test_no_transition_is_lost_or_doubled(chaos: Path, tmp_path: Path, seed: int) -> None:
    ledger = tmp_path / "ledger"
    scene = MultiAgentScene(chaos, seed=seed, options=BuildOptions(arguments=["--ledger", str(ledger)]))
    teller = Teller(scene)
    step = scene.reset()
    teller.hear(step)
    for _ in range(150):
        if step.over:
            teller.names.clear()
            step = scene.reset()
        else:
            actions = sampled(scene, step)
            teller.say(actions)
            step = scene.step(actions)
        teller.hear(step)
    scene.close()
    written = read_ledger(ledger, BRANCHES)
    assert written.resets == 1
    assert {key[0] for key in written.ended()} == set(BRANCHES)
    assert_same_episodes(teller.story, written)
    assert scene.undecided.episodes == len(written.undecided()) > 0
    assert scene.undecided.reward == pytest.approx(sum(item.reward for item in written.undecided()), abs=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_no_reward_is_lost_when_episodes_are_cut(chaos: Path, tmp_path: Path, seed: int) -> None:
    ledger = tmp_path / "ledger"
    scene = MultiAgentScene(chaos, seed=seed, options=BuildOptions(arguments=["--ledger", str(ledger)]))
    ends, total, ids, step = 0, 0.0, set[str](), scene.reset()
    for number in range(1, 180):
        step = scene.reset() if step.over else scene.step(sampled(scene, step))
        total += sum(step.rewards.values())
        ends += sum(step.terminated.values()) + sum(step.truncated.values())
        ids |= step.rewards.keys()
        if number % 15 == 0 and not step.over:
            scene.cut(step)
            step = scene.reset()
    to_come = sum(sum(item) for item in scene._earned_before.values())
    scene.close()
    written = read_ledger(ledger, BRANCHES)
    assert written.resets == 1
    assert ends + scene.undecided.episodes == sum(1 for item in written.episodes.values() if item.end)
    known = total + scene.undecided.reward + scene.undecided.group_reward + to_come
    assert known == pytest.approx(sum(written.total()), abs=1e-3)
    assert max(int(agent.rpartition("/")[2]) for agent in ids) < 40  # numbers begin anew


def test_names_tell_behavior_and_team(soccer: Path) -> None:
    scene = MultiAgentScene(soccer)
    step = scene.reset()
    assert sorted(step.waiting) == [f"SoccerTwos?team={team}/{number}" for team in (0, 1) for number in (0, 1)]
    assert {behavior_of(agent) for agent in step.waiting} == {"SoccerTwos"}
    assert {qualified_behavior_of(agent) for agent in step.waiting} == set(scene.specs)
    scene.close()


def test_a_match_ends_for_all_and_the_next_goes_on_by_itself(soccer: Path) -> None:
    scene = MultiAgentScene(soccer, options=BuildOptions(parameters={"max_environment_steps": 50}))
    wire_ids: list[list[int]] = []
    for _ in range(3):
        step = scene.reset()
        assert {agent.rpartition("/")[2] for agent in step.waiting} == {"0", "1"}
        wire_ids.append(sorted(info["agent_id"] for info in step.infos.values()))
        while not step.over:
            step = scene.step(sampled(scene, step))
        assert all(step.truncated.values()) or all(step.terminated.values())
        assert len(step.observations) == 4
        assert step.waiting == []
        with pytest.raises(ResetNeeded):
            scene.step({})
    scene.close()
    assert wire_ids == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]


@pytest.mark.parametrize("group_rewards", [True, False])
def test_group_rewards_can_be_left_out(chaos: Path, group_rewards: bool) -> None:
    scene = MultiAgentScene(chaos, group_rewards=group_rewards, seed=1)
    step, grouped = scene.reset(), 0.0
    for _ in range(60):
        step = scene.reset() if step.over else scene.step(sampled(scene, step))
        for agent, reward in step.rewards.items():
            info = step.infos[agent]
            assert reward == pytest.approx(info["reward"] + group_rewards * info["group_reward"])
            grouped += abs(info["group_reward"])
    assert grouped > 0
    scene.close()


def test_behaviors_that_appear_late_can_be_known_beforehand(wall_jump: Path, chaos: Path) -> None:
    scene = MultiAgentScene(wall_jump, behaviors=["SmallWallJump", "BigWallJump?team=0"])
    assert set(scene.specs) == {"SmallWallJump?team=0", "BigWallJump?team=0"}
    assert scene.reset().waiting  # from the beginning
    scene.close()
    scene = MultiAgentScene(chaos, behaviors=["Mixed"])
    assert {info["agent_id"] for info in scene.reset().infos.values()} <= {0, 1, 2}
    scene.close()


def test_a_behavior_that_never_appears_is_named(basic: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rl_src.envs.seeded_build.STEPS_WITHOUT_AGENTS", 50)
    with pytest.raises(UnsuitableSceneError, match=r"No agent of Bascic .*Basic\?team=0"):
        MultiAgentScene(basic, behaviors=["Bascic"])


def test_idle_agents_do_what_is_allowed(chaos: Path, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    scene = MultiAgentScene(
        chaos, seed=3, behaviors=["Guard"], options=BuildOptions(arguments=["--ledger", str(ledger)])
    )
    step = scene.reset()
    for _ in range(60):
        idle = [agent for agent in step.waiting if behavior_of(agent) == "Guard"]
        actions = {agent: action for agent, action in sampled(scene, step).items() if agent not in idle}
        step = scene.step(actions, idle)
    scene.close()
    written = read_ledger(ledger, BRANCHES)
    guards = [item for key, item in written.episodes.items() if key[0] == "Guard?team=1" and item.actions]
    assert guards
    for guard in guards:
        for (_, allowed), (_, chosen) in zip(guard.decisions, guard.actions, strict=False):
            assert chosen == [allowed[:3].index(True), allowed[3:].index(True)]


def test_actions_must_fit_those_who_wait(soccer: Path) -> None:
    scene = MultiAgentScene(soccer)
    step = scene.reset()
    actions = sampled(scene, step)
    missing = dict(list(actions.items())[1:])
    with pytest.raises(ValueError, match="These agents wait"):
        scene.step(missing)
    with pytest.raises(ValueError, match="Nobody"):
        scene.step({**actions, "Nobody?team=0/0": 1})
    assert len(scene.step(actions).waiting) == 4
    scene.close()


def test_reset_before_the_end_resets_the_scene(chaos: Path, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    options = BuildOptions(arguments=["--ledger", str(ledger), "--spec", json.dumps([SOLO])])
    scene = MultiAgentScene(chaos, options=options)
    step = scene.reset()
    while not step.over:
        step = scene.step(sampled(scene, step))
    step = scene.reset()
    scene.reset()
    scene.close()
    assert read_ledger(ledger, {"Solo?team=0": []}).resets == 2
