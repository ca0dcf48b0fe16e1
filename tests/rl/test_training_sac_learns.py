"""SAC learns what is known to be reachable, with every kind of action, in fewer decisions than PPO is given."""

import json

import numpy as np
import onnxruntime
import pytest
from safetensors.numpy import load_file

from rl_src.training.progress.tensorboard import scalars
from rl_src.training.result import TrainingResult
from rl_src.training.sampling.scenes import Scenes
from rl_src.training.settings.config import Hyperparameters, StopRule, TrainingConfig
from rl_src.training.trainer import train_on
from tests.fakes.unity_scenes import BasicScene, FakeScene, HybridScene, MatchScene, TargetScene

FAST = Hyperparameters(lr=3e-3, minibatch_size=64, learning_starts=256)


class Run:
    """One call of the trainer, with what it reported."""

    def __init__(self, place, scene: FakeScene, stop_after: int | None = None, **settings) -> None:
        self.lines: list[dict] = []
        self.model = place / "model"
        settings.setdefault("hyperparameters", FAST)
        self.result: TrainingResult = train_on(
            Scenes(lambda index, _: scene, 1),
            TrainingConfig(place / "Game.x86_64", algorithm="SAC", **settings),
            model_dir=self.model,
            checkpoint_dir=place / "checkpoints",
            report=self.lines.append,
            stop_requested=lambda: stop_after is not None and len(self.lines) >= stop_after,
        )

    def policy(self, *outputs: str, **inputs: np.ndarray) -> list[np.ndarray]:
        (path,) = self.result.onnx_files.values()
        session = onnxruntime.InferenceSession(str(self.model / path), providers=["CPUExecutionProvider"])
        return session.run(list(outputs), {name: value.astype(np.float32) for name, value in inputs.items()})


@pytest.mark.parametrize("seed", [0, 1])
def test_basic_is_solved(tmp_path, seed):
    run = Run(tmp_path, BasicScene(), seed=seed, stop=StopRule(env_steps=12_000, mean_return=0.92))
    assert run.result.stop_reason == "mean_return"
    (moves,) = run.policy("deterministic_discrete_actions", obs_0=np.eye(20), action_masks=np.ones((20, 3)))
    assert moves[10:17, 0].tolist() == [2] * 7  # right, to the large goal


@pytest.mark.parametrize(("seed", "scale"), [(0, 1.0), (1, 10_000.0)])
def test_continuous_actions_are_learned_at_any_reward_scale(tmp_path, seed, scale):
    scene = TargetScene(agents=8, seed=1)
    scene.scale = scale
    run = Run(tmp_path, scene, seed=seed, stop=StopRule(env_steps=3000))
    targets = np.linspace(-0.8, 0.8, 9)[:, None]
    (values,) = run.policy("deterministic_continuous_actions", obs_0=targets)
    assert np.abs(values - targets).max() < 0.15
    last = run.lines[-2]  # the last but one has been learned from whole
    assert last["alpha_discrete"] is None
    assert {"Losses/Q1 Loss", "Losses/Q2 Loss", "Policy/Continuous Entropy Coeff", "Policy/Entropy"} <= scalars(
        last
    ).keys()


@pytest.mark.parametrize("seed", [0, 1])
def test_masked_branches_are_learned_and_no_forbidden_action_is_ever_taken(tmp_path, seed):
    stop = StopRule(env_steps=8000, mean_return=1.95)
    run = Run(tmp_path, MatchScene(agents=8), seed=seed, stop=stop)  # the scene checks the mask
    assert run.result.stop_reason == "mean_return"


@pytest.mark.parametrize("seed", [0, 1])
def test_hybrid_actions_are_learned(tmp_path, seed):
    run = Run(tmp_path, HybridScene(agents=8), seed=seed, stop=StopRule(env_steps=4000))
    seen = np.array([-0.7, -0.3, 0.3, 0.7])[:, None]
    names = ("deterministic_continuous_actions", "deterministic_discrete_actions")
    continuous, discrete = run.policy(*names, obs_0=seen, action_masks=np.ones((4, 2)))
    assert discrete[:, 0].tolist() == [0, 0, 1, 1]
    assert np.abs(continuous - np.abs(seen)).max() < 0.25


def test_a_stopped_training_goes_on_with_what_it_had_played(tmp_path):
    first = Run(tmp_path, HybridScene(agents=8), stop_after=3, stop=StopRule(env_steps=2000))
    assert first.result.stop_reason == "stopped"
    played = first.result.results["Hybrid"].env_steps
    second = Run(tmp_path, HybridScene(agents=8, seed=1), stop=StopRule(env_steps=2000))
    assert second.result.stop_reason == "env_steps"
    assert second.lines[0]["env_steps"] == played + 256
    assert second.lines[0]["q1_loss"] is not None  # learning began before the stop: nothing is waited for again
    newest = sorted((tmp_path / "checkpoints").iterdir())[-1]
    kept = load_file(newest / "Hybrid" / "optimizer.safetensors")
    rows, _ = kept["replay.counts"]
    assert rows == 2 * second.result.results["Hybrid"].env_steps  # stretches of one decision and what came of it
    in_artifact = load_file(second.model / "checkpoint" / "Hybrid" / "optimizer.safetensors")
    assert in_artifact
    assert not any(name.startswith("replay.") for name in in_artifact)
    document = json.loads((second.model / "config.json").read_text())["behaviors"]["Hybrid"]
    assert document["algorithm"] == "SAC"
    assert document["hyperparameters"]["replay_capacity"] == 200_000


def test_a_seed_gives_the_same_numbers(tmp_path):
    stop = StopRule(env_steps=1024)
    lines = [Run(tmp_path / name, TargetScene(agents=8), seed=3, stop=stop).lines for name in ("first", "second")]
    for name in ("mean_return", "q1_loss", "policy_loss", "alpha_continuous"):
        assert [line[name] for line in lines[0]] == [line[name] for line in lines[1]], name
