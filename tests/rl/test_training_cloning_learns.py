"""Recordings give a training a head start, which is told of while it lasts, repeats, and is kept in checkpoints."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from rl_src.training.errors import InvalidCheckpointError, InvalidDemonstrationError, UnsupportedBehaviorError
from rl_src.training.result import TrainingResult
from rl_src.training.sampling.scenes import Scenes
from rl_src.training.settings.config import CloningSettings, Hyperparameters, Memory, Network, StopRule, TrainingConfig
from rl_src.training.trainer import train_on
from tests.fakes.demo_recordings import Moment, basic_going_right, write_demo
from tests.fakes.unity_scenes import BasicScene, FakeScene, TargetScene

CLONING = CloningSettings("Right.demo", strength=0.5, steps=4000)
SMALL = Hyperparameters(train_batch_size=128, minibatch_size=32)
TIMES = ("env_steps_per_second", "sampling_seconds", "build_seconds", "learning_seconds", "wall_time_seconds")


def train(
    place: Path, lines: list, scene: type[FakeScene] = BasicScene, stop_after: int | None = None, **settings
) -> TrainingResult:
    place.mkdir(exist_ok=True)
    if scene is BasicScene:
        basic_going_right(place / "Right.demo", BasicScene.behavior, episodes=3)
    return train_on(
        Scenes(lambda index, _: scene(), 1),
        TrainingConfig(place / "Game.x86_64", **settings),
        model_dir=place / "model",
        checkpoint_dir=place / "checkpoints",
        report=lines.append,
        stop_requested=lambda: stop_after is not None and len(lines) >= stop_after,
    )


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_first_iterations_are_far_better_with_it(tmp_path, seed):
    """Seven moves to the right are 0.93; means are over the last 100 episodes, which are nearly all."""
    means = []
    for name, cloning in (("without", None), ("with", CLONING)):
        lines: list = []
        train(tmp_path / name, lines, seed=seed, behavioral_cloning=cloning, stop=StopRule(env_steps=3072))
        means.append([line["mean_return"] for line in lines])
    without, imitating = means
    assert len(without) == len(imitating) == 6
    assert without[:2] == imitating[:2]  # what plays first has learned nothing yet
    assert imitating[5] > without[5] + 0.25
    assert imitating[5] > 0.6


def test_a_continuous_policy_is_drawn_to_what_was_recorded_and_goes_on_exploring(tmp_path):
    """The recorded player does the opposite of what is rewarded, so that only imitation can have taught it."""
    moments = [Moment((np.array([x]),), continuous=[-x]) for x in np.linspace(-0.8, 0.8, 33)]
    write_demo(tmp_path / "Opposite.demo", TargetScene.behavior, moments)
    lines: list = []
    train(
        tmp_path,
        lines,
        TargetScene,
        behavioral_cloning=CloningSettings("Opposite.demo", strength=1.0, steps=100_000),
        hyperparameters=Hyperparameters(lr=3e-3, train_batch_size=512, minibatch_size=64),
        network=Network(normalize_observations=False),
        stop=StopRule(env_steps=4096),
    )
    assert lines[0]["cloning_loss"] > 0.6
    assert lines[-2]["cloning_loss"] < 0.2
    assert lines[-2]["entropy"] > lines[0]["entropy"] - 0.5


def test_progress_lines_tell_of_it_until_it_ends(tmp_path):
    lines: list = []
    train(
        tmp_path,
        lines,
        behavioral_cloning=CloningSettings("Right.demo", steps=300),
        hyperparameters=SMALL,
        stop=StopRule(env_steps=640),
    )
    losses = [line["cloning_loss"] for line in lines]
    # Batches of 128 begin at 0, 128, 256, 384 and 512.
    assert [loss is not None for loss in losses] == [True, True, True, False, False]
    assert losses[0] == pytest.approx(np.log(3), rel=0.15)
    assert losses[2] < losses[0]


def test_without_it_lines_have_nothing_of_it(tmp_path):
    lines: list = []
    train(tmp_path, lines, hyperparameters=SMALL, stop=StopRule(env_steps=300))
    assert not any("cloning_loss" in line for line in lines)


def numbers(lines: list) -> list[dict]:
    return [{name: value for name, value in line.items() if name not in (*TIMES, "limited_by")} for line in lines]


def test_a_seed_repeats_with_it(tmp_path):
    runs: list[list] = [[], [], []]
    for i, (lines, seed) in enumerate(zip(runs, (3, 3, 4), strict=True)):
        train(
            tmp_path / str(i),
            lines,
            seed=seed,
            behavioral_cloning=CLONING,
            hyperparameters=SMALL,
            stop=StopRule(env_steps=512),
        )
    assert numbers(runs[0]) == numbers(runs[1])
    assert numbers(runs[0]) != numbers(runs[2])


def test_it_goes_on_from_a_checkpoint_as_it_was(tmp_path):
    settings = {"behavioral_cloning": CLONING, "hyperparameters": SMALL, "stop": StopRule(env_steps=2000)}
    train(tmp_path, [], stop_after=3, **settings)
    saved = "model/checkpoint/Basic/optimizer.safetensors"
    before = load_file(shutil.copy(tmp_path / saved, tmp_path / "before"))
    assert {"cloning.shuffling", "cloning.order", "cloning.position"} <= before.keys()
    train(tmp_path, [], stop_after=0, **settings)  # restores and saves again
    after = load_file(tmp_path / saved)
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    moment = Moment((np.eye(20)[10],), discrete=[2])
    write_demo(tmp_path / "Short.demo", BasicScene.behavior, [moment])
    with pytest.raises(InvalidCheckpointError, match="behavioral cloning does not fit"):
        train(tmp_path, [], **{**settings, "behavioral_cloning": CloningSettings("Short.demo")})


def test_a_policy_with_memory_is_refused(tmp_path):
    with pytest.raises(UnsupportedBehaviorError, match="policies with memory"):
        train(tmp_path, [], behavioral_cloning=CLONING, network=Network(memory=Memory(size=8, sequence_length=8)))


def test_a_missing_recording_ends_the_training_before_it_begins(tmp_path):
    with pytest.raises(InvalidDemonstrationError, match=r"no recording Left\.demo; recordings there: Right\.demo"):
        train(tmp_path, [], behavioral_cloning=CloningSettings("Left.demo"))


def test_a_recording_of_another_behavior_ends_the_training_before_it_begins(tmp_path):
    (tmp_path / "Right.demo").touch()
    write_demo(tmp_path / "Other.demo", TargetScene.behavior, [Moment((np.zeros(1),), continuous=[0.0])])
    with pytest.raises(InvalidDemonstrationError, match=r"Other\.demo is of another behavior than Basic"):
        train(tmp_path, [], behavioral_cloning=CloningSettings("Other.demo"))
