import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import DictInfoToList, RecordEpisodeStatistics

from rl_src.envs.gym_env import UnityEnv
from rl_src.envs.seeded_build import UnsuitableSceneError
from rl_src.envs.spaces import unity_actions_of_batch
from rl_src.envs.vector_env import UnityVectorEnv
from tests.fakes.chaos_ledger import Story, assert_same_episodes, read_ledger
from tests.fakes.sample_players import unpacked

TEAM: dict[str, Any] = {
    "name": "Team?team=0",
    "observations": [[3], [2, 4]],
    "continuous": 2,
    "branches": [3, 2],
    "agents": 4,
    "from_step": 0,
}
CHOOSER = {**TEAM, "continuous": 0, "branches": [5], "observations": [[6]]}
MOVER = {**TEAM, "continuous": 3, "branches": []}
BRANCHES = {"Team?team=0": [3, 2], "Team?team=1": [3, 2]}


def arguments(*specs: dict[str, Any], ledger: Path | None = None) -> list[str]:
    return ["--spec", json.dumps(specs), *(["--ledger", str(ledger)] if ledger else [])]


def sensors_of(observation: Any, slot: int) -> list[Any]:
    return [sensor[slot] for sensor in (observation.values() if isinstance(observation, dict) else [observation])]


def play(env: UnityVectorEnv, steps: int) -> list[Any]:
    return [env.step(env.sample_actions()) for _ in range(steps)]


def note_ends(told: Story, name: str, infos: dict[str, Any], truncations: Any) -> None:
    final = infos["final_info"]
    for slot in np.flatnonzero(infos["_final_obs"]):
        who = name, final["agent_id"][slot]
        told.earn(*who, final["reward"][slot], final["group_reward"][slot])
        observation = infos["final_obs"][slot]
        sensors = list(observation.values()) if isinstance(observation, dict) else [observation]
        told.finish(*who, sensors, truncations[slot])


def note_decisions(told: Story, name: str, observation: Any, infos: dict[str, Any], fresh: bool) -> None:
    for slot in np.flatnonzero(infos["deciding"]):
        who = name, infos["agent_id"][slot]
        mask = infos["action_mask"][slot] if "action_mask" in infos else []
        told.decide(*who, sensors_of(observation, slot), mask)
        if not fresh and not ("_final_obs" in infos and infos["_final_obs"][slot]):
            told.earn(*who, infos["reward"][slot], infos["group_reward"][slot])


@pytest.mark.parametrize("spec", [TEAM, CHOOSER, MOVER], ids=["hybrid", "discrete", "continuous"])
@pytest.mark.parametrize("seed", range(3))
def test_no_transition_is_lost_or_doubled(chaos: Path, tmp_path: Path, spec: dict[str, Any], seed: int) -> None:
    ledger, name, told = tmp_path / "ledger", spec["name"], Story()
    env = UnityVectorEnv(chaos, num_envs=4, seed=seed, arguments=arguments(spec, ledger=ledger))
    env.action_space.seed(seed)
    total, unoccupied = 0.0, 0
    observation, infos = env.reset()
    note_decisions(told, name, observation, infos, fresh=True)
    for _ in range(150):
        actions = env.sample_actions()
        deciding = np.flatnonzero(infos["deciding"])
        sent = unity_actions_of_batch(env.behavior.actions, actions, deciding.tolist())
        for row, slot in enumerate(deciding):
            told.act(name, infos["agent_id"][slot], sent.continuous[row], sent.discrete[row])
        before, idle = observation, ~infos["deciding"]
        observation, rewards, terminations, truncations, infos = env.step(actions)
        assert observation in env.observation_space
        assert infos["deciding"].any()
        assert not (terminations & truncations).any()
        total += rewards.sum()
        quiet = idle & ~infos["deciding"] & ~terminations & ~truncations
        for slot in np.flatnonzero(quiet):
            assert rewards[slot] == 0
            assert data_equivalence(sensors_of(observation, slot), sensors_of(before, slot), exact=True)
        if terminations.any() or truncations.any():
            assert (infos["_final_obs"] == (terminations | truncations)).all()
            note_ends(told, name, infos, truncations)
            for slot in np.flatnonzero((terminations | truncations) & ~infos["deciding"]):
                last = infos["final_obs"][slot]
                sensors = list(last.values()) if isinstance(last, dict) else [last]
                assert data_equivalence(sensors_of(observation, slot), sensors, exact=True)
                unoccupied += 1
        note_decisions(told, name, observation, infos, fresh=False)
    undecided = env.undecided
    env.close()
    written = read_ledger(ledger, {name: spec["branches"]})
    assert_same_episodes(told, written)
    assert len(written.ended()) > 20
    assert unoccupied > 0
    assert undecided.episodes == len(written.undecided()) > 0
    lost = sum(item.reward + item.group_reward for item in written.undecided())
    assert undecided.reward + undecided.group_reward == pytest.approx(lost, abs=1e-4)
    # What is still to come: the first rewards of agents that have not stepped yet.
    begun = [item for item in told.episodes.values() if not item.end and len(item.decisions) == 1]
    keys = [key for key, item in told.episodes.items() if item in begun]
    to_come = sum(sum(written.episodes[key].returns()) for key in keys)
    unheard = [key for key in written.episodes if key not in told.episodes and not written.episodes[key].end]
    assert unheard == []
    assert total + lost + to_come == pytest.approx(sum(written.total()), abs=1e-3)


def test_a_scene_of_n_is_like_n_scenes_of_one(basic: Path) -> None:
    together = UnityVectorEnv(basic, arguments=["--agents", "3"])
    alone: Any = SyncVectorEnv([lambda: UnityEnv(basic)] * 3, autoreset_mode=AutoresetMode.SAME_STEP)
    assert together.num_envs == 3
    assert together.single_observation_space == alone.single_observation_space
    assert together.observation_space == alone.observation_space
    assert together.action_space == alone.action_space
    assert together.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert data_equivalence(together.reset()[0], alone.reset()[0], exact=True)
    together.action_space.seed(0)
    ends = 0
    for _ in range(120):
        actions = together.action_space.sample()
        mine, its = together.step(actions), alone.step(actions)
        assert data_equivalence(mine[0], its[0], exact=True)
        assert mine[1].tolist() == its[1].tolist()
        assert mine[2].tolist() == its[2].tolist()
        assert mine[3].tolist() == its[3].tolist()
        assert ("final_obs" in mine[4]) == ("final_obs" in its[4])
        if "final_obs" in mine[4]:
            ends += 1
            assert mine[4]["_final_obs"].tolist() == its[4]["_final_obs"].tolist()
            assert data_equivalence(list(mine[4]["final_obs"]), list(its[4]["final_obs"]), exact=True)
            assert mine[4]["final_info"]["reward"].tolist() == its[4]["final_info"]["reward"].tolist()
    assert ends > 5
    together.close()
    alone.close()


def test_gymnasiums_own_wrappers_work(basic: Path) -> None:
    def episodes(env: Any) -> list[Any]:
        wrapped = DictInfoToList(RecordEpisodeStatistics(env))
        wrapped.reset()
        infos = [wrapped.step(np.array([2, 2]))[-1] for _ in range(14)]
        wrapped.close()
        return [
            (info["episode"]["r"], info["final_info"]["reward"]) for both in infos for info in both if "episode" in info
        ]

    mine = episodes(UnityVectorEnv(basic, arguments=["--agents", "2"]))
    its = episodes(SyncVectorEnv([lambda: UnityEnv(basic)] * 2, autoreset_mode=AutoresetMode.SAME_STEP))
    assert len(mine) == 4
    assert mine == its


def test_a_seed_begins_the_scene_anew(chaos: Path) -> None:
    def played(env: UnityVectorEnv, seed: int) -> list[Any]:
        env.action_space.seed(0)
        return [env.reset(seed=seed), *play(env, 30)]

    env = UnityVectorEnv(chaos, num_envs=4, seed=3, arguments=arguments(TEAM))
    first, again, other = played(env, 3), played(env, 3), played(env, 4)
    env.close()
    assert data_equivalence(first, again, exact=True)
    assert not data_equivalence(first, other)


def test_reset_begins_all_anew(basic: Path) -> None:
    env = UnityVectorEnv(basic, arguments=["--agents", "3"])
    with pytest.raises(ResetNeeded):
        env.step(np.array([2, 2, 2]))
    env.reset()
    env.step(np.array([2, 1, 0]))
    observation, infos = env.reset()
    assert isinstance(observation, np.ndarray)
    assert observation.argmax(axis=1).tolist() == [10, 10, 10]
    assert infos["deciding"].all()
    env.close()


def test_what_was_handed_out_stays_as_it_is(basic: Path) -> None:
    env = UnityVectorEnv(basic, arguments=["--agents", "2"])
    first, infos = env.reset()
    assert isinstance(first, np.ndarray)
    kept, ids = first.copy(), infos["agent_id"].copy()
    first_step = env.step(np.array([2, 1]))
    rewards = first_step[1].copy()
    env.step(np.array([2, 1]))
    assert (first == kept).all()
    assert (infos["agent_id"] == ids).all()
    assert (first_step[1] == rewards).all()
    env.close()


def test_teams_of_one_behavior_share_the_batch(chaos: Path, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    teams = [{**TEAM, "agents": 2}, {**TEAM, "name": "Team?team=1", "agents": 2}]
    env = UnityVectorEnv(chaos, num_envs=4, arguments=arguments(*teams, ledger=ledger))
    env.action_space.seed(0)
    _, infos = env.reset()
    sent: dict[int, list[Any]] = {}
    for _ in range(40):
        actions = env.sample_actions()
        for slot in np.flatnonzero(infos["deciding"]):
            sent.setdefault(int(infos["agent_id"][slot]), []).append(actions["discrete"][slot].tolist())
        *_, infos = env.step(actions)
    env.close()
    written = read_ledger(ledger, BRANCHES)
    got = {key[1]: [action[1] for action in item.actions] for key, item in written.episodes.items() if item.actions}
    assert {key[0] for key in written.episodes} == set(BRANCHES)
    assert got == sent


@pytest.mark.parametrize("group_rewards", [True, False])
def test_group_rewards_can_be_left_out(chaos: Path, group_rewards: bool) -> None:
    env = UnityVectorEnv(chaos, num_envs=4, group_rewards=group_rewards, arguments=arguments(TEAM))
    env.reset()
    grouped = 0.0
    for _ in range(20):
        _, rewards, _, _, infos = env.step(env.sample_actions())
        assert rewards == pytest.approx(infos["reward"] + group_rewards * infos["group_reward"])
        grouped += np.abs(infos["group_reward"]).sum()
    assert grouped > 0
    env.close()


@pytest.mark.parametrize(("name", "agents"), [("3DBall", 12), ("SoccerTwos", 4), ("Hallway", 1)])
def test_sample_builds_keep_to_their_spaces(tmp_path: Path, name: str, agents: int) -> None:
    env = UnityVectorEnv(unpacked(name, tmp_path))
    env.action_space.seed(0)
    assert env.num_envs == agents
    observation, _ = env.reset()
    for _ in range(100):
        assert observation in env.observation_space
        actions = env.sample_actions()
        assert actions in env.action_space
        observation, *_, infos = env.step(actions)
        assert infos["deciding"].any()
    env.close()


def test_more_agents_than_slots_are_refused_with_the_remedy(chaos: Path) -> None:
    env = UnityVectorEnv(chaos, num_envs=3, seed=1, arguments=arguments(TEAM))
    env.reset()
    with pytest.raises(UnsuitableSceneError, match=r"3 slots.*num_envs"):
        play(env, 200)
    env.close()


def test_agents_that_appear_late_find_their_slot(chaos: Path) -> None:
    late = {**TEAM, "name": "Team?team=1", "agents": 2, "from_step": 20}
    env = UnityVectorEnv(chaos, num_envs=6, arguments=arguments(TEAM, late))
    _, infos = env.reset()
    seats = []
    for _ in range(60):
        seats.append(int((infos["agent_id"] >= 0).sum()))
        *_, infos = env.step(env.sample_actions())
    env.close()
    assert max(seats[:10]) <= 4
    assert max(seats) > 4


def test_several_behaviors_are_refused(chaos: Path) -> None:
    with pytest.raises(UnsuitableSceneError, match="UnityParallelEnv"):
        UnityVectorEnv(chaos, arguments=arguments(TEAM, {**TEAM, "name": "Other?team=0"}))
    env = UnityVectorEnv(chaos, num_envs=4, arguments=arguments(TEAM, {**TEAM, "name": "Other?team=0", "from_step": 4}))
    env.reset()
    with pytest.raises(UnsuitableSceneError, match="UnityParallelEnv"):
        play(env, 50)
    env.close()


def test_single_space_of_pictures_and_rays(chaos: Path) -> None:
    pictures = {**TEAM, "observations": [[1, 2, 3], [4]]}
    env = UnityVectorEnv(chaos, num_envs=4, arguments=arguments(pictures))
    assert isinstance(env.single_observation_space, gym.spaces.Dict)
    observation, _ = env.reset()
    assert isinstance(observation, dict)
    assert {key: value.shape for key, value in observation.items()} == {
        "GridSensor_0": (4, 1, 2, 3),
        "sensor_1": (4, 4),
    }
    env.close()
