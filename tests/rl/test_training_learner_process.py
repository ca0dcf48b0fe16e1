"""Learning in a process of its own: the same numbers, the same errors, and nothing left of it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from rl_src.training.algorithms.learner_process import LearnerProcess
from rl_src.training.algorithms.remote_learner import RemoteLearner
from rl_src.training.errors import InvalidCheckpointError, LearnerLostError, TrainingDivergedError, TrainingError
from rl_src.training.result import TrainingResult
from rl_src.training.sampling.scenes import Scenes
from rl_src.training.settings.config import BehaviorSettings, Hyperparameters, StopRule, TrainingConfig
from rl_src.training.settings.presets import resolve
from rl_src.training.trainer import train_on
from tests.fakes.group_scenes import DragonScene
from tests.fakes.running_processes import is_there, words_of
from tests.fakes.unity_scenes import BasicScene, CombinedScene, MatchScene, RecallScene, TargetScene

SMALL = Hyperparameters(train_batch_size=128, minibatch_size=32)


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "serve(" in " ".join(words_of(child))]


def play(place: Path, scene: Any, lines: list[dict[str, Any]], **settings: Any) -> TrainingResult:
    settings = {"hyperparameters": SMALL, "stop": StopRule(env_steps=600), "learns_in": "process", **settings}
    return train_on(
        Scenes(lambda *_: scene, 1),
        TrainingConfig(place / "Game.x86_64", **settings),
        model_dir=place / "model",
        checkpoint_dir=place / "checkpoints",
        report=lines.append,
        stop_requested=lambda: False,
    )


def numbers(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    timed = ("seconds", "per_second", "limited_by")
    return [{name: value for name, value in line.items() if not name.endswith(timed)} for line in lines]


@pytest.mark.parametrize(
    ("make_scene", "settings"),
    [
        (lambda: CombinedScene(BasicScene(), TargetScene(), late={"Target?team=0": 100}), {}),
        (RecallScene, {}),
        (
            MatchScene,
            {"algorithm": "SAC", "hyperparameters": Hyperparameters(minibatch_size=32, learning_starts=100)},
        ),
        (DragonScene, {"algorithm": "poca"}),
    ],
    ids=["PPO, two behaviors", "memory", "SAC", "poca"],
)
def test_the_numbers_are_those_of_learning_in_a_thread(tmp_path, make_scene, settings):
    here: list[dict[str, Any]] = []
    there: list[dict[str, Any]] = []
    play(tmp_path / "thread", make_scene(), here, learns_in="thread", **settings)
    play(tmp_path / "process", make_scene(), there, **settings)
    assert numbers(there) == numbers(here)
    assert len(there) > 2
    assert not children()


def test_a_checkpoint_goes_on_in_either_place(tmp_path):
    told = []
    for first, second in (("process", "thread"), ("thread", "process")):
        lines: list[dict[str, Any]] = []
        for steps, where in ((640, first), (1280, second)):
            play(tmp_path / first, BasicScene(), lines, stop=StopRule(env_steps=steps), learns_in=where)
        told.append(numbers(lines))
    assert told[0] == told[1]
    assert [line["env_steps"] for line in told[0]] == list(range(128, 1281, 128))


def test_what_goes_wrong_there_is_raised_here(tmp_path):
    class Poisoned(BasicScene):
        def step(self, actions: Any) -> Any:
            steps = super().step(actions)
            for step in steps.values():
                step.decisions.rewards[:] = np.nan
            return steps

    with pytest.raises(TrainingDivergedError, match=r"not finite.*Remedy: .*rewards") as caught:
        play(tmp_path, Poisoned(), [])
    assert any("In the learner's process" in note for note in caught.value.__notes__)
    assert not children()


def test_a_learner_that_is_killed_ends_the_training_with_its_cause(tmp_path):
    lines: list[dict[str, Any]] = []

    class Killing(BasicScene):
        def step(self, actions: Any) -> Any:
            if len(lines) == 2:
                for child in children():
                    child.kill()
            return super().step(actions)

    with pytest.raises(LearnerLostError, match=r"signal SIGKILL.*Remedy: .*memory"):
        play(tmp_path, Killing(), lines)
    assert not children()


def test_it_ends_with_a_parent_that_was_killed(tmp_path):
    program = (
        "import sys, time; from rl_src.training.algorithms.learner_process import LearnerProcess\n"
        "process = LearnerProcess(); print(process.pid, flush=True); time.sleep(300)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        learner = psutil.Process(int(parent.stdout.readline()))
        assert is_there(learner)
        parent.kill()
    until = time.monotonic() + 60
    while is_there(learner):
        assert time.monotonic() < until, "the learner outlived its parent"
        time.sleep(0.05)


def test_a_signal_to_the_whole_group_is_left_to_the_parent():
    config = TrainingConfig(Path("Game.x86_64"), behaviors={"Basic": BehaviorSettings()})
    behavior = BasicScene.behavior
    with LearnerProcess() as process:
        learner = RemoteLearner(process, resolve(config, behavior, 1), behavior, None)
        os.kill(process.pid, signal.SIGINT)
        os.kill(process.pid, signal.SIGTERM)
        weights = learner.weights()
        with pytest.raises(InvalidCheckpointError, match="another network"):
            learner.set_weights({name: value for name, value in weights.items() if "head" not in name})
        learner.set_weights({name: value + 1 for name, value in weights.items()})
        changed = learner.weights()
        assert all((changed[name] == weights[name] + 1).all() for name in weights)
    assert not children()


@pytest.mark.parametrize("kind", TrainingError.__subclasses__())
def test_errors_travel_whole(kind):
    import pickle

    error = kind("The cause.", "The remedy.")
    error.add_note("a note")
    travelled = pickle.loads(pickle.dumps(error))
    assert (type(travelled), travelled.cause, travelled.remedy, str(travelled), travelled.__notes__) == (
        kind, "The cause.", "The remedy.", str(error), ["a note"],
    )  # fmt: skip
