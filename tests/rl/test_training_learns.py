"""Learning: every kind of action reaches what is known to be reachable, on games small enough for a test."""

import numpy as np
import onnxruntime
import pytest

from rl_src.training.result import TrainingResult
from rl_src.training.sampling.scenes import Scenes
from rl_src.training.settings.config import Hyperparameters, StopRule, TrainingConfig
from rl_src.training.trainer import train_on
from tests.fakes.unity_scenes import BasicScene, FakeScene, HybridScene, MatchScene, TargetScene


def train(tmp_path, scenes: list[FakeScene], **settings) -> TrainingResult:
    return train_on(
        Scenes(lambda index, _: scenes[index], len(scenes)),
        TrainingConfig(tmp_path / "Game.x86_64", **settings),
        model_dir=tmp_path / "model",
        checkpoint_dir=tmp_path / "checkpoints",
        report=lambda line: None,
        stop_requested=lambda: False,
    )


def session(tmp_path, result: TrainingResult) -> onnxruntime.InferenceSession:
    (path,) = result.onnx_files.values()
    return onnxruntime.InferenceSession(str(tmp_path / "model" / path), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_basic_is_solved_from_every_position_that_it_meets(tmp_path, seed):
    result = train(tmp_path, [BasicScene()], seed=seed)
    assert result.stop_reason == "mean_return"
    assert result.best_mean_return == pytest.approx(0.93, abs=0.02)
    feed = {"obs_0": np.eye(20, dtype=np.float32), "action_masks": np.ones((20, 3), dtype=np.float32)}
    (moves,) = session(tmp_path, result).run(["deterministic_discrete_actions"], feed)
    assert moves[8:17, 0].tolist() == [2] * 9  # right, to the large goal, even beside the small one


def test_several_agents_and_scenes_share_one_policy(tmp_path):
    result = train(tmp_path, [BasicScene(agents=5), BasicScene(agents=3)], seed=0)
    assert result.stop_reason == "mean_return"


@pytest.mark.parametrize("scale", [1.0, 10_000.0])
def test_continuous_actions_are_learned_at_any_reward_scale(tmp_path, scale):
    scene = TargetScene(agents=8, seed=1)
    scene.scale = scale
    faster = Hyperparameters(lr=3e-3, train_batch_size=512, minibatch_size=64)
    result = train(tmp_path, [scene], hyperparameters=faster, stop=StopRule(env_steps=8_000))
    targets = np.linspace(-0.8, 0.8, 9, dtype=np.float32)[:, None]
    (values,) = session(tmp_path, result).run(["deterministic_continuous_actions"], {"obs_0": targets})
    assert np.abs(values - targets).max() < 0.15


def test_masked_branches_are_learned_and_no_forbidden_action_is_ever_taken(tmp_path):
    faster = Hyperparameters(lr=3e-3, train_batch_size=512, minibatch_size=64)
    stop = StopRule(env_steps=30_000, mean_return=1.95)
    result = train(tmp_path, [MatchScene(agents=8)], hyperparameters=faster, stop=stop)  # the scene checks the mask
    assert result.stop_reason == "mean_return"


def test_hybrid_actions_are_learned(tmp_path):
    faster = Hyperparameters(lr=3e-3, train_batch_size=512, minibatch_size=64)
    result = train(tmp_path, [HybridScene(agents=8)], hyperparameters=faster, stop=StopRule(env_steps=10_000))
    values = np.array([-0.7, -0.3, 0.3, 0.7], dtype=np.float32)[:, None]
    feed = {"obs_0": values, "action_masks": np.ones((4, 2), dtype=np.float32)}
    names = ["deterministic_continuous_actions", "deterministic_discrete_actions"]
    continuous, discrete = session(tmp_path, result).run(names, feed)
    assert discrete[:, 0].tolist() == [0, 0, 1, 1]
    assert np.abs(continuous - np.abs(values)).max() < 0.2
