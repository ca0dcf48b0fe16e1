import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gymnasium.utils.env_checker import data_equivalence
from pettingzoo.test import parallel_api_test, parallel_seed_test  # type: ignore[import-untyped]

from rl_src.envs.pettingzoo_env import UnityParallelEnv
from rl_src.envs.seeded_build import UnsuitableSceneError
from tests.fakes.chaos_ledger import read_ledger
from tests.fakes.sample_players import unpacked

CHAOS_AGENTS = {"Walker": 3, "Guard": 2, "Mixed": 2}
BRANCHES = {"Walker?team=0": [], "Guard?team=1": [3, 2], "Mixed?team=0": [200, 2], "Solo?team=0": []}
SOLO: dict[str, Any] = {
    "name": "Solo?team=0",
    "observations": [[3]],
    "continuous": 1,
    "branches": [],
    "agents": 1,
    "from_step": 0,
}
SCENES: dict[str, dict[str, Any]] = {
    "Basic": {"arguments": ["--agents", "4"]},
    "SoccerTwos": {"parameters": {"max_environment_steps": 200}},
    "WallJump": {"agents": {"SmallWallJump": 4, "BigWallJump": 4}, "arguments": ["--agents", "4"]},
    "Chaos": {"agents": CHAOS_AGENTS},
}


@pytest.fixture(scope="session", params=list(SCENES))
def scene(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    return unpacked(request.param, tmp_path_factory.mktemp(request.param)), SCENES[request.param]


@pytest.fixture
def checked() -> Iterator[None]:
    """PettingZoo's checks warn of many a thing that they do not assert."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def sampled(env: UnityParallelEnv, infos: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {agent: env.action_space(agent).sample(mask=infos[agent].get("action_mask")) for agent in env.agents}


@pytest.mark.usefixtures("checked")
def test_pettingzoos_api_test_passes(scene: tuple[Path, dict[str, Any]]) -> None:
    program, options = scene
    env = UnityParallelEnv(program, **options)
    parallel_api_test(env, num_cycles=300)
    env.close()


@pytest.mark.usefixtures("checked")
def test_pettingzoos_seed_test_passes(scene: tuple[Path, dict[str, Any]]) -> None:
    program, options = scene
    parallel_seed_test(lambda: UnityParallelEnv(program, **options), num_cycles=100)


def test_the_same_seed_is_the_same_story(chaos: Path) -> None:
    def story(env: UnityParallelEnv, seed: int) -> list[Any]:
        observations, infos = env.reset(seed=seed)
        told: list[Any] = [(observations, infos)]
        for index, agent in enumerate(env.possible_agents):
            env.action_space(agent).seed(index)
        for _ in range(3):
            while env.agents:
                step = env.step(sampled(env, infos))
                told.append(step)
                infos = step[4]
            told.append(env.reset())
            infos = told[-1][1]
        return told

    env = UnityParallelEnv(chaos, agents=CHAOS_AGENTS)
    first, again, other = story(env, 5), story(env, 5), story(env, 6)
    env.close()
    assert data_equivalence(first, again, exact=True)
    assert not data_equivalence(first, other)


def test_each_agent_plays_one_episode_and_leaves(chaos: Path) -> None:
    env = UnityParallelEnv(chaos, agents=CHAOS_AGENTS, seed=2)
    ends = 0
    for _ in range(5):
        _, infos = env.reset()
        seen, left = set(env.agents), set[str]()
        while env.agents:
            playing = set(env.agents)
            observations, rewards, terminated, truncated, infos = env.step(sampled(env, infos))
            assert playing <= observations.keys() == rewards.keys() == terminated.keys() == infos.keys()
            assert not left & observations.keys()
            seen |= observations.keys()
            gone = {agent for agent in observations if terminated[agent] or truncated[agent]}
            assert set(env.agents) == observations.keys() - gone
            left |= gone
            for agent in env.agents:
                assert observations[agent] in env.observation_space(agent)
                if not infos[agent]["deciding"]:
                    assert rewards[agent] == 0
            assert any(infos[agent]["deciding"] for agent in observations) or gone
        assert left == seen <= set(env.possible_agents)
        assert {name for name in seen if name.startswith("Walker")} != set()
        ends += len(left)
        assert env.step({}) == ({}, {}, {}, {}, {})
    assert ends > 15
    env.close()


def test_returns_are_the_builds_own(chaos: Path, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    env = UnityParallelEnv(chaos, agents=CHAOS_AGENTS, seed=4, arguments=["--ledger", str(ledger)])
    returns: dict[tuple[str, int], float] = {}
    finished = set()
    for _ in range(6):
        _, infos = env.reset()
        while env.agents:
            _, rewards, terminated, truncated, infos = env.step(sampled(env, infos))
            for agent, reward in rewards.items():
                if "agent_id" in infos[agent]:
                    key = agent.rpartition("/")[0], infos[agent]["agent_id"]
                    returns[key] = returns.get(key, 0.0) + reward
                    if terminated[agent] or truncated[agent]:
                        finished.add(key)
    env.close()
    written = read_ledger(ledger, BRANCHES)
    assert len(finished) > 20
    for key in finished:
        assert written.episodes[key].end
        assert returns[key] == pytest.approx(sum(written.episodes[key].returns()), abs=1e-3)


def test_episodes_that_end_together_go_on_without_a_reset(chaos: Path, tmp_path: Path) -> None:
    def resets(agents: int) -> int:
        ledger = tmp_path / f"ledger-{agents}"
        arguments = ["--ledger", str(ledger), "--spec", json.dumps([{**SOLO, "agents": agents}])]
        env = UnityParallelEnv(chaos, agents={"Solo": agents}, arguments=arguments)
        for _ in range(6):
            _, infos = env.reset()
            while env.agents:
                infos = env.step(sampled(env, infos))[4]
        env.close()
        return read_ledger(ledger, BRANCHES).resets

    assert resets(1) == 1
    assert 1 < resets(3) <= 6


def test_agents_that_were_not_announced_are_refused_with_the_remedy(chaos: Path) -> None:
    env = UnityParallelEnv(chaos, agents={"Walker": 3}, seed=2)
    _, infos = env.reset()

    def play() -> None:
        nonlocal infos
        for _ in range(20):
            while env.agents:
                infos = env.step(sampled(env, infos))[4]
            _, infos = env.reset()

    with pytest.raises(UnsuitableSceneError, match=r"Guard\?team=1|Mixed\?team=0"):
        play()
    env.close()


def test_missing_actions_are_refused(basic: Path) -> None:
    env = UnityParallelEnv(basic, arguments=["--agents", "2"])
    env.reset()
    with pytest.raises(ValueError, match=r"missing for Basic\?team=0/1"):
        env.step({"Basic?team=0/0": 1})
    assert env.step({"Basic?team=0/0": 1, "Basic?team=0/1": 2})[1] == pytest.approx(
        {"Basic?team=0/0": -0.01, "Basic?team=0/1": -0.01}
    )
    env.close()


def test_each_agent_has_spaces_of_its_own(basic: Path) -> None:
    env = UnityParallelEnv(basic, arguments=["--agents", "2"])
    first, second = env.possible_agents
    assert env.action_space(first) is env.action_space(first)
    assert env.action_space(first) is not env.action_space(second)
    assert env.observation_space(first) == env.observation_space(second)
    env.close()
