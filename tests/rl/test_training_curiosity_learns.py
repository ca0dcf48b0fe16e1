"""Curiosity in training: it finds a reward that chance does not, is told of, repeats, and is kept in checkpoints."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file

from rl_src.envs.specs import ActionSpec, BehaviorSpec, ObservationSpec
from rl_src.training.curiosity.bonus import statistic_names
from rl_src.training.errors import InvalidCheckpointError
from rl_src.training.result import TrainingResult
from rl_src.training.sampling.scenes import Scenes
from rl_src.training.settings.config import (
    CuriositySettings,
    Hyperparameters,
    Memory,
    Network,
    StopRule,
    TrainingConfig,
)
from rl_src.training.trainer import train_on
from tests.fakes.unity_scenes import FakeScene

PLACES, STEPS = 16, 60
ONWARD = np.random.default_rng(0).integers(3, size=PLACES)
"""The action that leads on, by place."""

FASTER = Hyperparameters(lr=3e-3, train_batch_size=512, minibatch_size=128, num_epochs=4)
SMALL = Hyperparameters(train_batch_size=128, minibatch_size=32)
TIMES = ("env_steps_per_second", "sampling_seconds", "build_seconds", "learning_seconds", "wall_time_seconds")
KINDS = ["icm", "rnd"]


class CorridorScene(FakeScene):
    """A long corridor: +1 at the far end, where it ends, and nothing else within 60 steps.

    At each place one of the three actions leads on and the others lead back, so that no habit leads far. By chance, one
    walk from the first step on in 2^15 - 1 comes to the end before it is back at the beginning (gambler's ruin).
    """

    behavior = BehaviorSpec("Corridor?team=0", (ObservationSpec("place", (PLACES,)),), ActionSpec(0, (3,)))

    def begin(self) -> tuple[int, int]:
        return 0, 0

    def observe(self, state: tuple[int, int]) -> np.ndarray:
        return np.eye(PLACES, dtype=np.float32)[state[0]]

    def advance(
        self, state: tuple[int, int], continuous: np.ndarray, discrete: np.ndarray
    ) -> tuple[tuple[int, int], float, str]:
        place, steps = state[0], state[1] + 1
        place = place + 1 if discrete[0] == ONWARD[place] else max(0, place - 1)
        if place == PLACES - 1:
            return (place, steps), 1.0, "terminated"
        return (place, steps), 0.0, "truncated" if steps == STEPS else ""


def curious(kind: str) -> CuriositySettings:
    """The inverse model needs a larger learning rate to come to rest within such a short training."""
    return CuriositySettings(kind=kind, strength=0.01, lr=1e-3 if kind == "rnd" else 3e-3)


def train(place, lines: list, stop_after: int | None = None, **settings) -> TrainingResult:
    return train_on(
        Scenes(lambda index, _: CorridorScene(agents=8), 1),
        TrainingConfig(place / "Game.x86_64", **settings),
        model_dir=place / "model",
        checkpoint_dir=place / "checkpoints",
        report=lines.append,
        stop_requested=lambda: stop_after is not None and len(lines) >= stop_after,
    )


@pytest.mark.parametrize("kind", [None, *KINDS])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_it_finds_the_far_end_that_chance_does_not(tmp_path, kind, seed):
    settings = {"seed": seed, "hyperparameters": FASTER, "stop": StopRule(env_steps=20_000, mean_return=0.9)}
    result = train(tmp_path, [], curiosity=curious(kind) if kind else None, **settings)
    if kind:
        assert result.stop_reason == "mean_return"
    else:
        assert result.stop_reason == "env_steps"
        assert result.best_mean_return < 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_progress_lines_tell_of_it_and_returns_are_the_build_s(tmp_path, kind):
    lines: list = []
    settings = CuriositySettings(kind=kind, strength=5.0)
    train(tmp_path, lines, curiosity=settings, hyperparameters=SMALL, stop=StopRule(env_steps=2000))
    learned = [line for line in lines if line["policy_loss"] is not None]
    names = statistic_names(settings)
    assert all(np.isfinite(line[name]) for line in learned for name in names)
    assert all(name in line for line in lines for name in names)
    assert learned[0]["intrinsic_reward"] > 1.0
    assert {line["mean_return"] for line in lines} <= {None, 0.0}  # nobody came to the end


def test_without_it_lines_have_nothing_of_it(tmp_path):
    lines: list = []
    train(tmp_path, lines, hyperparameters=SMALL, stop=StopRule(env_steps=500))
    assert not any(name in line for line in lines for name in statistic_names(curious("icm")))


def numbers(lines: list) -> list[dict]:
    return [{name: value for name, value in line.items() if name not in (*TIMES, "limited_by")} for line in lines]


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_repeats_with_it(tmp_path, kind):
    runs: list[list] = [[], [], []]
    for i, (lines, seed) in enumerate(zip(runs, (3, 3, 4), strict=True)):
        place = tmp_path / str(i)
        train(place, lines, seed=seed, curiosity=curious(kind), hyperparameters=SMALL, stop=StopRule(env_steps=1000))
    assert numbers(runs[0]) == numbers(runs[1])
    assert numbers(runs[0]) != numbers(runs[2])


def test_a_policy_with_memory_can_be_curious(tmp_path):
    lines: list = []
    network = Network(memory=Memory(size=8, sequence_length=8))
    stop = StopRule(env_steps=500)
    train(tmp_path, lines, curiosity=curious("icm"), network=network, hyperparameters=SMALL, stop=stop)
    assert lines[0]["intrinsic_reward"] > 0
    assert lines[0]["curiosity_inverse_loss"] > 0


@pytest.mark.parametrize("kind", KINDS)
def test_it_goes_on_from_a_checkpoint_as_it_was(tmp_path, kind):
    settings = {"curiosity": curious(kind), "hyperparameters": SMALL, "stop": StopRule(env_steps=2000)}
    train(tmp_path, [], stop_after=3, **settings)
    before = load_file(
        shutil.copytree(tmp_path / "model/checkpoint", tmp_path / "b") / "Corridor/optimizer.safetensors"
    )
    assert any(name.startswith("curiosity.") for name in before)
    train(tmp_path, [], stop_after=0, **settings)  # restores and saves again
    after = load_file(tmp_path / "model/checkpoint/Corridor/optimizer.safetensors")
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    with pytest.raises(InvalidCheckpointError, match="curiosity does not fit"):
        train(tmp_path, [], **{**settings, "curiosity": CuriositySettings(kind=kind, hidden_sizes=(8,))})


def test_the_effective_configuration_shows_it(tmp_path):
    train(tmp_path, [], curiosity=curious("rnd"), hyperparameters=SMALL, stop=StopRule(env_steps=200))
    document = json.loads((tmp_path / "model/config.json").read_text())
    assert document["behaviors"]["Corridor"]["curiosity"]["kind"] == "rnd"
