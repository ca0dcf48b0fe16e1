"""Memory: what was seen earlier is acted on later, in training and as ONNX; without memory it cannot be."""

from pathlib import Path

import numpy as np
import pytest

from rl_src.serving.onnx_policy import OnnxPolicy
from rl_src.training.result import TrainingResult
from rl_src.training.sampling.scenes import Scenes
from rl_src.training.settings.config import Hyperparameters, Memory, Network, StopRule, TrainingConfig
from rl_src.training.trainer import train_on
from tests.fakes.unity_scenes import RecallScene

FAST = Hyperparameters(lr=3e-3, train_batch_size=512, minibatch_size=64)


def train(
    place: Path, memory: Memory | None, seed: int = 0, env_steps: int = 40_000, stop_after: int | None = None
) -> TrainingResult:
    lines: list[object] = []
    network = Network(hidden_sizes=(16,), memory=memory)
    stop = StopRule(env_steps=env_steps, mean_return=0.95)
    return train_on(
        Scenes(lambda index, _: RecallScene(agents=8, seed=seed), 1),
        TrainingConfig(place / "Game.x86_64", hyperparameters=FAST, network=network, stop=stop, seed=seed),
        model_dir=place / "model",
        checkpoint_dir=place / "checkpoints",
        report=lines.append,
        stop_requested=lambda: stop_after is not None and len(lines) >= stop_after,
    )


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_what_was_shown_first_is_done_last(tmp_path, seed):
    result = train(tmp_path, Memory(16, 8), seed)
    assert result.stop_reason == "mean_return"
    policy = OnnxPolicy.load(tmp_path / "model" / result.onnx_files["Recall"])
    # The choice that counts is the last one: shown, two blanks, and the sign to choose.
    shown = [np.array([[1, 0, 0], [0, 1, 0]]), *[np.zeros((2, 3))] * 2, np.array([[0, 0, 1]] * 2)]
    memory = None
    for observations in shown:
        _, discrete, memory = policy.step([observations.astype(np.float32)], None, True, memory)
    assert discrete[:, 0].tolist() == [0, 1]


def test_without_memory_it_stays_a_guess(tmp_path):
    result = train(tmp_path, None, env_steps=8_000)
    assert result.stop_reason == "env_steps"
    assert result.best_mean_return < 0.5


def test_a_seed_repeats_and_a_sequence_may_be_longer_or_shorter_than_an_episode(tmp_path):
    for length in (2, 64):
        one, two = (train(tmp_path / f"{length}-{name}", Memory(8, length), 3, env_steps=3_000) for name in "ab")
        assert one.best_mean_return == two.best_mean_return
        files = [tmp_path / f"{length}-{name}" / "model" / "policies" / "Recall.onnx" for name in "ab"]
        assert files[0].read_bytes() == files[1].read_bytes()


def test_a_training_that_was_stopped_goes_on_with_its_memory(tmp_path):
    assert train(tmp_path, Memory(16, 8), stop_after=2).stop_reason == "stopped"
    assert train(tmp_path, Memory(16, 8)).stop_reason == "mean_return"
