"""RLlib's own runner and algorithm on scenes of several behaviors."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.connectors.env_to_module import FlattenObservations
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
from ray.rllib.env.env_context import EnvContext
from ray.rllib.env.multi_agent_env_runner import MultiAgentEnvRunner
from ray.rllib.env.multi_agent_episode import MultiAgentEpisode
from ray.rllib.utils.pre_checks.env import check_multiagent_environments

from rl_src.training.sampling.multi_agent_env import UnityMultiAgentEnv, policy_mapping
from tests.fakes.chaos_ledger import read_ledger
from tests.fakes.sample_players import unpacked, use_this_interpreter

CHAOS_BEHAVIORS = ["Walker", "Guard", "Mixed"]
BRANCHES = {"Walker?team=0": [], "Guard?team=1": [3, 2], "Mixed?team=0": [200, 2]}


@pytest.fixture(autouse=True)
def _interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    use_this_interpreter(monkeypatch)


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("builds")
    return {name: unpacked(name, folder) for name in ("Chaos", "SoccerTwos", "WallJump")}


@pytest.fixture
def local_ray() -> Iterator[None]:
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def ppo(modules: list[str], **env_config: Any) -> AlgorithmConfig:
    return (
        PPOConfig()
        .environment(UnityMultiAgentEnv, env_config=env_config)
        .env_runners(
            num_env_runners=0,
            env_to_module_connector=lambda env, spaces=None, device=None: FlattenObservations(multi_agent=True),
        )
        .multi_agent(policies=set(modules), policy_mapping_fn=policy_mapping)
        .rl_module(model_config=DefaultModelConfig(fcnet_hiddens=[8]))
        .training(train_batch_size=200, minibatch_size=64, num_epochs=1)
        .debugging(log_level="ERROR")
    )


def returns_by_wire_id(episodes: list[MultiAgentEpisode]) -> tuple[dict[tuple[str, int], float], set[tuple[str, int]]]:
    """What RLlib learns from, by Unity's own ids: returns of all episodes, and those that ended."""
    returns: dict[tuple[str, int], float] = {}
    ended = set()
    for episode in episodes:
        for agent, mine in episode.agent_episodes.items():
            info = mine.get_infos(-1)
            key = str(agent).rpartition("/")[0], info["agent_id"]
            returns[key] = returns.get(key, 0.0) + float(mine.get_return())
            if mine.is_done:
                ended.add(key)
    return returns, ended


@pytest.mark.parametrize("agent_ids", [300, 12], ids=["uncut", "cut when ids run out"])
def test_rllibs_runner_samples_what_the_build_reported(
    programs: dict[str, Path], tmp_path: Path, agent_ids: int
) -> None:
    ledger = tmp_path / "ledger"
    config = ppo(
        CHAOS_BEHAVIORS,
        executable=str(programs["Chaos"]),
        arguments=["--ledger", str(ledger)],
        behaviors=CHAOS_BEHAVIORS,
        agent_ids=agent_ids,
        seed=3,
    ).environment(disable_env_checking=True)
    runner = MultiAgentEnvRunner(config=config)
    episodes: list[MultiAgentEpisode] = []
    for _ in range(3):
        episodes += runner.sample(num_timesteps=60)
    env = runner.env.envs[0].unwrapped
    returns, ended = returns_by_wire_id(episodes)
    undecided, to_come = env._scene.undecided, sum(sum(item) for item in env._scene._earned_before.values())
    runner.stop()
    written = read_ledger(ledger, BRANCHES)
    assert {key[0] for key in ended} == set(BRANCHES)
    known = sum(returns.values()) + undecided.reward + undecided.group_reward + to_come
    assert known == pytest.approx(sum(written.total()), abs=1e-3)
    assert {str(agent) for episode in episodes for agent in episode.agent_ids} <= set(env.possible_agents)
    if agent_ids == 300:
        assert ended == written.ended().keys()
        assert undecided.episodes == len(written.undecided())
        for key in ended:
            assert returns[key] == pytest.approx(sum(written.episodes[key].returns()), abs=1e-3), key
    else:
        assert sum(episode.is_done for episode in episodes) > 2
        assert len(written.ended()) > 40


def test_rllibs_returns_are_those_of_matches(programs: dict[str, Path]) -> None:
    config = ppo(
        ["SoccerTwos"],
        executable=str(programs["SoccerTwos"]),
        parameters={"max_environment_steps": 100, "ball_touch": 1.0},
    )
    runner = MultiAgentEnvRunner(config=config)  # RLlib checks the environment, too
    episodes = runner.sample(num_episodes=3)
    metrics = runner.get_metrics()
    runner.stop()
    assert all(episode.is_done and len(episode.agent_episodes) == 4 for episode in episodes)
    assert metrics["episode_return_mean"].peek() == pytest.approx(np.mean([item.get_return() for item in episodes]))
    assert [len(episode) for episode in episodes] == [20, 20, 20]


@pytest.mark.usefixtures("local_ray")
def test_ppo_trains_two_behaviors_that_take_turns(programs: dict[str, Path]) -> None:
    config = ppo(
        ["SmallWallJump", "BigWallJump"],
        executable=str(programs["WallJump"]),
        arguments=["--agents", "6"],
        behaviors=["SmallWallJump", "BigWallJump"],
        episode_steps=50,
    )
    algorithm = config.build_algo()
    before = {name: weights_of(algorithm, name) for name in ("SmallWallJump", "BigWallJump")}
    result = [algorithm.train() for _ in range(2)][-1]
    after = {name: weights_of(algorithm, name) for name in before}
    algorithm.stop()
    assert np.isfinite(result["env_runners"]["episode_return_mean"])
    assert set(result["env_runners"]["num_module_steps_sampled"]) == {"SmallWallJump", "BigWallJump"}
    for name in before:
        assert any((before[name][key] != after[name][key]).any() for key in before[name]), name


def weights_of(algorithm: Any, module: str) -> dict[str, Any]:
    return {key: np.array(value) for key, value in algorithm.get_module(module).get_state().items()}


@pytest.mark.usefixtures("local_ray")
def test_ppo_trains_every_kind_of_action_at_once(programs: dict[str, Path]) -> None:
    config = ppo(CHAOS_BEHAVIORS, executable=str(programs["Chaos"]), behaviors=CHAOS_BEHAVIORS, episode_steps=40)
    algorithm = config.build_algo()
    result = algorithm.train()
    algorithm.stop()
    assert set(result["env_runners"]["num_module_steps_sampled"]) == set(CHAOS_BEHAVIORS)
    assert np.isfinite(result["env_runners"]["episode_return_mean"])


def test_rllibs_own_check_passes(programs: dict[str, Path]) -> None:
    env = UnityMultiAgentEnv({"executable": programs["SoccerTwos"]})
    check_multiagent_environments(env)
    env.close()


def test_each_worker_and_environment_has_a_seed_of_its_own(programs: dict[str, Path]) -> None:
    config = {"executable": programs["Chaos"], "seed": 1}
    envs = [UnityMultiAgentEnv(EnvContext(config, worker_index=worker)) for worker in (0, 0, 1)]
    first = [env.reset()[0]["Walker?team=0/0"]["sensor_0"].tolist() for env in envs]
    for env in envs:
        env.close()
    assert len({tuple(values) for values in first}) == 3


def test_an_unknown_key_is_refused_by_name(programs: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match="time_scales"):
        UnityMultiAgentEnv({"executable": programs["Chaos"], "time_scales": 1})


def test_a_cut_truncates_those_who_play_and_the_scene_goes_on(programs: dict[str, Path], tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    config = {"executable": programs["Chaos"], "arguments": ["--ledger", str(ledger)], "episode_steps": 10}
    env = UnityMultiAgentEnv({**config, "behaviors": CHAOS_BEHAVIORS, "agent_ids": 100})
    cuts = 0
    for _ in range(8):
        observations, infos = env.reset()
        waiting, open_agents, over = set(observations), set(observations), False
        steps = 0
        while not over:
            actions = {agent: env.get_action_space(agent).sample() for agent in waiting}
            observations, rewards, terminated, truncated, infos = env.step(actions)
            assert observations.keys() == rewards.keys()
            assert infos.keys() <= observations.keys()
            open_agents |= observations.keys()
            ended = {agent for agent in open_agents if terminated.get(agent) or truncated.get(agent)}
            open_agents -= ended
            waiting = set(observations) - ended
            steps += 1
            over = terminated["__all__"] or truncated["__all__"]
            assert over == (not open_agents)
        cuts += truncated["__all__"]
        assert steps == 10 or terminated["__all__"]
    env.close()
    assert cuts > 3
    assert read_ledger(ledger, BRANCHES).resets == 1
