"""Warnings on whole trainings: none where all is well, the right one where something is not."""

from typing import Any

import numpy as np
import pytest

from rl_src.training.progress.health import HealthMonitor
from rl_src.training.sampling.scenes import Scenes
from rl_src.training.settings.config import Hyperparameters, StopRule, TrainingConfig
from rl_src.training.trainer import train_on
from tests.fakes.unity_scenes import BasicScene, FakeScene, HybridScene, MatchScene, TargetScene

FASTER = Hyperparameters(lr=3e-3, train_batch_size=512, minibatch_size=64)


def warnings(tmp_path, scene: FakeScene, target: float | None, **settings: Any) -> set[str]:
    """Codes of all warnings that are told in a training."""
    lines: list[dict[str, Any]] = []
    train_on(
        Scenes(lambda index, _: scene, 1),
        TrainingConfig(tmp_path / "Game.x86_64", **settings),
        model_dir=tmp_path / "model",
        checkpoint_dir=tmp_path / "checkpoints",
        report=lines.append,
        stop_requested=lambda: False,
    )
    monitor = HealthMonitor(scene.behavior.actions, target)
    return {warning.code for line in lines for warning in monitor.observe(line)}


@pytest.mark.parametrize(
    ("scene", "target", "settings"),
    [
        (BasicScene, 0.92, {}),
        (BasicScene, None, {"stop": StopRule(env_steps=20_000)}),
        (MatchScene, None, {"hyperparameters": FASTER, "stop": StopRule(env_steps=20_000)}),
        (MatchScene, 1.95, {"hyperparameters": FASTER, "stop": StopRule(env_steps=30_000, mean_return=1.95)}),
        (HybridScene, None, {"hyperparameters": FASTER, "stop": StopRule(env_steps=10_000)}),
        (TargetScene, None, {"hyperparameters": FASTER, "stop": StopRule(env_steps=20_000)}),
    ],
)
def test_a_healthy_training_is_told_nothing(tmp_path, scene, target, settings):
    assert warnings(tmp_path, scene(agents=1 if scene is BasicScene else 8), target, seed=1, **settings) == set()


class RewardlessScene(BasicScene):
    def advance(self, state: int, continuous: np.ndarray, discrete: np.ndarray) -> tuple[int, float, str]:
        state, _, end = super().advance(state, continuous, discrete)
        return state, 0.0, end


class EndlessScene(BasicScene):
    def advance(self, state: int, continuous: np.ndarray, discrete: np.ndarray) -> tuple[int, float, str]:
        _, reward, end = super().advance(state, continuous, discrete)
        return self.begin() if end else state, reward, ""


GREEDY = Hyperparameters(lr=0.01, gamma=0.5, entropy_coeff=0.0, num_epochs=10)  # it is content with the small goal


@pytest.mark.parametrize(
    ("scene", "settings", "expected"),
    [
        (RewardlessScene, {"stop": StopRule(env_steps=25_000)}, "FlatReturn"),
        (BasicScene, {"stop": StopRule(env_steps=10_000), "hyperparameters": GREEDY}, "EntropyCollapse"),
        (
            EndlessScene,
            {"stop": StopRule(env_steps=60_000), "hyperparameters": Hyperparameters(train_batch_size=4096)},
            "NoEpisodeEnded",
        ),
    ],
)
def test_a_spoiled_training_is_told_what_is_wrong(tmp_path, scene, settings, expected):
    assert expected in warnings(tmp_path, scene(agents=4), None, **settings)
