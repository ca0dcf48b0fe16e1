import json
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import psutil
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env, data_equivalence

from rl_src.envs.gym_env import UnityEnv
from rl_src.envs.seeded_build import UnsuitableSceneError
from rl_src.envs.spaces import unity_actions
from tests.fakes.chaos_ledger import Story, assert_same_episodes, read_ledger
from tests.fakes.sample_players import unpacked

ONE = {
    "name": "One?team=0",
    "observations": [[3], [2, 4]],
    "continuous": 2,
    "branches": [3, 2],
    "agents": 1,
    "from_step": 0,
}
BRANCHES = {"One?team=0": [3, 2]}


def chaos_arguments(*specs: dict[str, Any], ledger: Path | None = None) -> list[str]:
    return ["--spec", json.dumps(specs), *(["--ledger", str(ledger)] if ledger else [])]


def builds(program: Path) -> set[int]:
    """Processes of the build that this process has started."""
    found = set()
    for child in psutil.Process(os.getpid()).children(recursive=True):
        try:
            if str(program) in child.cmdline() or str(program.parent) in " ".join(child.cmdline()):
                found.add(child.pid)
        except psutil.NoSuchProcess:
            continue
    return found


@pytest.fixture
def checked_by_gymnasium() -> Iterator[None]:
    """Warnings fail the test, but for bounds: a vector sensor has none."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*infinity.*")
        yield


@pytest.mark.usefixtures("checked_by_gymnasium")
def test_gymnasiums_checker_passes_for_basic(basic: Path) -> None:
    env = UnityEnv(basic)
    check_env(env, skip_render_check=True)
    env.close()


@pytest.mark.usefixtures("checked_by_gymnasium")
def test_gymnasiums_checker_passes_for_several_sensors_and_hybrid_actions(chaos: Path) -> None:
    env = UnityEnv(chaos, arguments=chaos_arguments(ONE))
    check_env(env, skip_render_check=True)
    env.close()


@pytest.mark.usefixtures("checked_by_gymnasium")
def test_gymnasiums_checker_passes_for_hallway(tmp_path: Path) -> None:
    env = UnityEnv(unpacked("Hallway", tmp_path))
    check_env(env, skip_render_check=True)
    env.close()


def test_basic_is_played_to_its_documented_return(basic: Path) -> None:
    env = UnityEnv(basic)
    for _ in range(3):
        observation, _ = env.reset()
        assert isinstance(observation, np.ndarray)
        assert observation.argmax() == 10
        rewards = []
        terminated = truncated = False
        while not (terminated or truncated):
            observation, reward, terminated, truncated, _ = env.step(2)
            rewards.append(reward)
        assert sum(rewards) == pytest.approx(0.93)
        assert (terminated, truncated) == (True, False)
        assert isinstance(observation, np.ndarray)
        assert observation.argmax() == 17  # the last of the old episode, not the first of the next
    env.close()


@pytest.mark.parametrize("seed", range(3))
def test_no_transition_is_lost_or_doubled(chaos: Path, tmp_path: Path, seed: int) -> None:
    ledger = tmp_path / "ledger"
    env = UnityEnv(chaos, seed=seed, arguments=chaos_arguments(ONE, ledger=ledger))
    env.action_space.seed(seed)
    told, name = Story(), "One?team=0"
    assert isinstance(env.observation_space, gym.spaces.Dict)

    def sensors(observation: Any) -> list[Any]:
        return [observation["sensor_0"], observation["sensor_1"]]

    for _ in range(30):
        observation, info = env.reset()
        ended = False
        while not ended:
            mask = info["action_mask"]["discrete"]
            told.decide(name, info["agent_id"], sensors(observation), np.concatenate(mask))
            action = env.action_space.sample(mask=info["action_mask"])
            sent = unity_actions(env._scene.specs[name].actions, [action])
            told.act(name, info["agent_id"], sent.continuous[0], sent.discrete[0])
            observation, reward, terminated, truncated, info = env.step(action)
            assert reward == pytest.approx(info["reward"] + info["group_reward"])
            told.earn(name, info["agent_id"], info["reward"], info["group_reward"])
            ended = terminated or truncated
        told.finish(name, info["agent_id"], sensors(observation), truncated)
    undecided = env._scene.undecided
    env.close()
    written = read_ledger(ledger, BRANCHES)
    assert written.resets == 1  # each reset went on with what the scene had begun by itself
    told.episodes |= {
        key: item
        for key, item in written.episodes.items()
        if item.decisions and not item.end and key not in told.episodes
    }  # the episode that has begun and was not played
    assert_same_episodes(told, written)
    assert undecided.episodes == len(written.undecided())
    assert undecided.reward == pytest.approx(sum(item.reward for item in written.undecided()), abs=1e-4)


def test_reset_in_the_middle_of_an_episode_and_options_reset_the_scene(chaos: Path, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    env = UnityEnv(chaos, arguments=chaos_arguments(ONE, ledger=ledger))

    def resets() -> int:
        return read_ledger(ledger, BRANCHES).resets

    env.reset()
    assert resets() == 1
    env.reset()
    assert resets() == 2
    env.reset(options={"gravity": 9.8})
    assert resets() == 3
    env.close()


def test_options_are_environment_parameters_and_stay(basic: Path) -> None:
    env = UnityEnv(basic)
    env.reset()
    with pytest.raises(UnsuitableSceneError, match="3 agents"):
        env.reset(options={"agents": 3})
    env.reset(options={"agents": 1})
    with pytest.raises(ValueError, match="'agents' is str"):
        env.reset(options={"agents": "1"})
    env.close()


def play(env: UnityEnv, steps: int) -> list[Any]:
    env.action_space.seed(0)
    story: list[Any] = []
    ended = False
    for _ in range(steps):
        if ended:
            story.append(env.reset())
        step = env.step(env.action_space.sample())
        story.append(step)
        ended = step[2] or step[3]
    return story


def test_a_seed_begins_the_scene_anew(chaos: Path) -> None:
    env = UnityEnv(chaos, arguments=chaos_arguments(ONE), seed=7)
    process = builds(chaos)
    first = env.reset(seed=7), play(env, 20)
    assert builds(chaos) == process  # just started with it
    again = env.reset(seed=7), play(env, 20)
    assert len(builds(chaos)) == len(process)
    assert builds(chaos) != process
    other = env.reset(seed=8), play(env, 20)
    env.close()
    assert data_equivalence(first, again, exact=True)
    assert not data_equivalence(first, other)
    assert builds(chaos) == set()


def test_the_first_seed_may_be_another_than_the_builds(chaos: Path) -> None:
    def opening(build_seed: int, seed: int | None) -> Any:
        env = UnityEnv(chaos, arguments=chaos_arguments(ONE), seed=build_seed)
        told = env.reset(seed=seed)
        env.close()
        return told

    assert data_equivalence(opening(7, 8), opening(8, None), exact=True)
    assert not data_equivalence(opening(7, 8), opening(7, None))


def test_a_parameter_outlives_the_process(basic: Path) -> None:
    env = UnityEnv(basic, parameters={"agents": 1})
    env.reset()
    with pytest.raises(UnsuitableSceneError):
        env.reset(options={"agents": 2})
    with pytest.raises(UnsuitableSceneError):
        env.reset(seed=5)
    env.close()


def test_steps_need_an_open_episode(basic: Path) -> None:
    env = UnityEnv(basic)
    with pytest.raises(ResetNeeded):
        env.step(2)
    env.reset()
    while not env.step(2)[2]:
        pass
    with pytest.raises(ResetNeeded):
        env.step(2)
    env.reset()
    env.step(2)
    env.close()


def test_a_wrong_action_is_refused_and_the_episode_goes_on(basic: Path) -> None:
    env = UnityEnv(basic)
    env.reset()
    for wrong in (3, 1.0, [1, 2]):
        with pytest.raises(ValueError):  # noqa: PT011 - each of them says something else
            env.step(wrong)
    assert env.step(2)[1] == pytest.approx(-0.01)
    env.close()


def test_several_agents_are_refused(chaos: Path) -> None:
    env = UnityEnv(chaos, arguments=chaos_arguments({**ONE, "agents": 2}), seed=1)
    env.reset()
    with pytest.raises(UnsuitableSceneError, match=r"2 agents.*UnityVectorEnv"):
        play(env, 50)
    env.close()


def test_several_behaviors_are_refused_and_the_build_ended(chaos: Path) -> None:
    with pytest.raises(UnsuitableSceneError, match="UnityParallelEnv"):
        UnityEnv(chaos, arguments=chaos_arguments(ONE, {**ONE, "name": "Two?team=0"}))
    assert builds(chaos) == set()


def test_an_agent_of_another_behavior_that_appears_late_is_refused(chaos: Path) -> None:
    env = UnityEnv(chaos, arguments=chaos_arguments(ONE, {**ONE, "name": "Two?team=0", "from_step": 5}))
    env.reset()
    with pytest.raises(UnsuitableSceneError, match="UnityParallelEnv"):
        play(env, 100)
    env.close()
