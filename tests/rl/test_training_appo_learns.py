"""APPO learns what PPO does, from what older policies played, with all that PPO goes together with."""

import json
import time
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from rl_src.training.algorithms.policy_weights import load_policy
from rl_src.training.algorithms.ppo import PPO
from rl_src.training.progress.tensorboard import scalars
from rl_src.training.result import TrainingResult
from rl_src.training.sampling.env_runner import UnityEnvRunner
from rl_src.training.sampling.sampler import BehaviorSampler
from rl_src.training.sampling.scenes import Scenes
from rl_src.training.self_play.past_selves import SelfPlaySettings
from rl_src.training.settings.config import (
    BehaviorSettings,
    CloningSettings,
    CuriositySettings,
    Hyperparameters,
    Memory,
    Network,
    StopRule,
    TrainingConfig,
)
from rl_src.training.settings.presets import resolve
from rl_src.training.trainer import train_on
from tests.fakes.demo_recordings import basic_going_right
from tests.fakes.unity_scenes import (
    BasicScene,
    CombinedScene,
    DuelScene,
    HybridScene,
    MatchScene,
    RecallScene,
    TargetScene,
)

FAST = Hyperparameters(lr=3e-3, train_batch_size=512, minibatch_size=64)
SMALL = Hyperparameters(train_batch_size=128, minibatch_size=32)


class Run:
    """One call of the trainer, with what it reported."""

    def __init__(self, place: Path, scene: Any, stop_after: int | None = None, **settings: Any) -> None:
        self.lines: list[dict[str, Any]] = []
        self.model = place / "model"
        settings = {"algorithm": "APPO", **settings}
        self.result: TrainingResult = train_on(
            Scenes(lambda *_: scene, 1),
            TrainingConfig(place / "Game.x86_64", **settings),
            model_dir=self.model,
            checkpoint_dir=place / "checkpoints",
            report=self.lines.append,
            stop_requested=lambda: stop_after is not None and len(self.lines) >= stop_after,
        )

    def policy(self, *outputs: str, **inputs: np.ndarray) -> list[np.ndarray]:
        (path,) = self.result.onnx_files.values()
        session = onnxruntime.InferenceSession(str(self.model / path), providers=["CPUExecutionProvider"])
        return session.run(list(outputs), {name: value.astype(np.float32) for name, value in inputs.items()})


@pytest.mark.parametrize("learns_in", ["thread", "process"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_basic_is_solved_from_every_position_that_it_meets(tmp_path, seed, learns_in):
    run = Run(tmp_path, BasicScene(), seed=seed, learns_in=learns_in)
    assert run.result.stop_reason == "mean_return"
    assert run.result.best_mean_return == pytest.approx(0.93, abs=0.02)
    (moves,) = run.policy("deterministic_discrete_actions", obs_0=np.eye(20), action_masks=np.ones((20, 3)))
    assert moves[8:17, 0].tolist() == [2] * 9  # right, to the large goal, even beside the small one
    lags = [line["policy_lag"] for line in run.lines]
    assert lags[0] == 0
    assert max(lags) <= 2  # while one batch was played, one was learned from, and one waited
    document = json.loads((run.model / "config.json").read_text())["behaviors"]["Basic"]
    assert (document["algorithm"], document["hyperparameters"]["vtrace_clip_rho_threshold"]) == ("APPO", 1.0)
    assert "Policy/Policy Lag" in scalars(run.lines[-2])


@pytest.mark.parametrize("lag", [1, 4, 8])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_policy_that_is_always_so_many_updates_behind_learns(lag, seed):
    """Without the trainer, whose lag depends on the machine."""
    config = TrainingConfig(Path("Game.x86_64"), algorithm="APPO", seed=seed, hyperparameters=Hyperparameters(lr=5e-4))
    learner = PPO(resolve(config, BasicScene.behavior, 1), BasicScene.behavior)
    sampler = BehaviorSampler(BasicScene.behavior, learner.acting, [seed])
    runner = UnityEnvRunner(scenes=Scenes(lambda *_: BasicScene(agents=4), 1), make_sampler=lambda _: sampler)
    weights = deque([learner.weights()], maxlen=lag + 1)
    for update in range(1, 61):
        load_policy(learner.acting, weights[0])
        runner.play_until(lambda: sampler.decisions >= 512)
        episodes, finished = sampler.take()
        learner.learn(episodes, 512 * update)
        weights.append(learner.weights())
    learner.close()
    assert np.mean([episode.episode_return for episode in finished]) > 0.85


@pytest.mark.parametrize("scale", [1.0, 10_000.0])
def test_continuous_actions_are_learned_at_any_reward_scale(tmp_path, scale):
    scene = TargetScene(agents=8, seed=1)
    scene.scale = scale
    run = Run(tmp_path, scene, hyperparameters=FAST, stop=StopRule(env_steps=10_000))
    targets = np.linspace(-0.8, 0.8, 9)[:, None]
    (values,) = run.policy("deterministic_continuous_actions", obs_0=targets)
    assert np.abs(values - targets).max() < 0.15


@pytest.mark.parametrize(
    ("make_scene", "target", "network"),
    [
        (lambda: MatchScene(agents=8), 1.95, Network()),
        (lambda: HybridScene(agents=8), 0.9, Network()),
        (lambda: RecallScene(agents=8), 0.9, Network(hidden_sizes=(16,), memory=Memory(size=8, sequence_length=8))),
    ],
    ids=["masks", "hybrid", "memory"],
)
def test_other_kinds_of_actions_and_memory_are_learned(tmp_path, make_scene, target, network):
    stop = StopRule(env_steps=40_000, mean_return=target)
    run = Run(tmp_path, make_scene(), hyperparameters=FAST, stop=stop, network=network)  # the scene checks the mask
    assert run.result.stop_reason == "mean_return"


def test_several_behaviors_learn_each_to_its_own_limit_and_tell_of_every_batch(tmp_path):
    own = {"Target": BehaviorSettings(Hyperparameters(train_batch_size=64), stop=StopRule(env_steps=300))}
    scene = CombinedScene(BasicScene(agents=2), TargetScene(agents=2), late={"Target?team=0": 50})
    run = Run(tmp_path, scene, hyperparameters=SMALL, behaviors=own, stop=StopRule(env_steps=1000))
    assert {name: item.env_steps for name, item in run.result.results.items()} == {"Basic": 1000, "Target": 300}
    assert set(run.result.onnx_files) == {"Basic", "Target"}
    for name in ("Basic", "Target"):
        lines = [line for line in run.lines if line["behavior"] == name]
        assert [line["iteration"] for line in lines] == list(range(1, len(lines) + 1))
        assert all(line["vf_loss"] is not None for line in lines[:-1])


def test_asked_to_stop_it_saves_and_goes_on_to_the_same_limit(tmp_path):
    settings = {"hyperparameters": SMALL, "stop": StopRule(env_steps=1000)}
    first = Run(tmp_path, BasicScene(), stop_after=3, **settings)
    assert first.result.stop_reason == "stopped"
    assert first.lines[-1]["env_steps"] == first.result.env_steps  # what waited was learned from and told
    second = Run(tmp_path, BasicScene(), **settings)
    assert (second.result.stop_reason, second.result.env_steps) == ("env_steps", 1000)
    iterations = [line["iteration"] for line in first.lines + second.lines]
    assert iterations == list(range(1, len(iterations) + 1))
    assert second.result.results["Basic"].episodes > first.result.results["Basic"].episodes
    kept = [json.loads(line) for line in (tmp_path / "model/progress.jsonl").read_text().splitlines()]
    assert kept == first.lines + second.lines


@pytest.mark.parametrize("stop", [StopRule(env_steps=10**9, mean_return=-5.0), StopRule(wall_time_seconds=0.5)])
def test_rules_to_stop_hold(tmp_path, stop):
    run = Run(tmp_path, BasicScene(), hyperparameters=SMALL, stop=stop)
    assert run.result.stop_reason in ("mean_return", "wall_time_seconds")
    assert getattr(stop, run.result.stop_reason) is not None


def test_teams_play_their_past_selves(tmp_path):
    play = SelfPlaySettings(save_steps=500, team_change=2000, swap_steps=250, window=5)
    settings = {"self_play": play, "hyperparameters": SMALL, "stop": StopRule(env_steps=8000)}
    run = Run(tmp_path, DuelScene(duels=8), **settings)
    assert run.lines[-1]["elo"] > 1200.0
    (chosen,) = run.policy("deterministic_discrete_actions", obs_0=np.ones((1, 1)), action_masks=np.ones((1, 3)))
    assert chosen.tolist() == [[2]]


def test_it_is_curious_where_it_is_told_to_be(tmp_path):
    stop = StopRule(env_steps=640)
    run = Run(tmp_path, BasicScene(), hyperparameters=SMALL, curiosity=CuriositySettings(), stop=stop)
    assert all(line["intrinsic_reward"] > 0 for line in run.lines)


def test_it_imitates_a_recording(tmp_path):
    basic_going_right(tmp_path / "Right.demo", BasicScene.behavior, episodes=3)
    cloning = CloningSettings("Right.demo", strength=0.5, steps=4000)
    run = Run(tmp_path, BasicScene(), behavioral_cloning=cloning, stop=StopRule(env_steps=3072))
    assert run.lines[-1]["mean_return"] > 0.6
    assert run.lines[-1]["cloning_loss"] < run.lines[0]["cloning_loss"] == pytest.approx(np.log(3), rel=0.15)


def test_what_is_learned_is_played_with_in_the_middle_of_a_batch(tmp_path):
    """The second batch is held up until the update on the first is told of, at most for a minute."""
    told: list[tuple[int, int]] = []

    class PatientScene(BasicScene):
        def step(self, actions: Any) -> Any:
            if 128 < self.steps < 250 and not told:
                time.sleep(0.5)
            return super().step(actions)

    scene = PatientScene()
    train_on(
        Scenes(lambda *_: scene, 1),
        TrainingConfig(tmp_path / "Game", algorithm="APPO", hyperparameters=SMALL, stop=StopRule(env_steps=384)),
        model_dir=tmp_path / "model",
        checkpoint_dir=tmp_path / "checkpoints",
        report=lambda line: told.append((line["iteration"], scene.steps)),
        stop_requested=lambda: False,
    )
    iteration, steps = told[0]
    assert iteration == 1
    assert 128 < steps < 256  # PPO tells of it at 256
