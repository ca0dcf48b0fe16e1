"""The training loop: what it leaves, when it stops, how it goes on, and what ends it badly."""

import json
import shutil
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from rl_src.envs.specs import ActionSpec, BehaviorSpec, ObservationSpec
from rl_src.training.errors import (
    InvalidCheckpointError,
    InvalidTrainingConfigError,
    TrainingDivergedError,
    UnsupportedBehaviorError,
)
from rl_src.training.result import BehaviorResult, TrainingResult
from rl_src.training.sampling.scenes import Scenes
from rl_src.training.settings.config import (
    BehaviorSettings,
    EnvironmentSettings,
    Hyperparameters,
    Network,
    StopRule,
    TrainingConfig,
)
from rl_src.training.settings.curriculum_form import read_parameters
from rl_src.training.trainer import train_on
from tests.fakes.unity_scenes import BasicScene, CombinedScene, EndlessScene, FailingScene, TargetScene

SMALL = Hyperparameters(train_batch_size=128, minibatch_size=32)
TIMES = (
    "env_steps_per_second",
    "sampling_seconds",
    "build_seconds",
    "learning_seconds",
    "wall_time_seconds",
    "limited_by",
)


class Run:
    """One call of the trainer, with what it reported."""

    def __init__(self, place, scenes: list[Any] | None = None, stop_after: int | None = None, **settings) -> None:
        self.place, self.scenes, self.lines = place, scenes or [BasicScene()], []
        self.stop_requested = lambda: stop_after is not None and len(self.lines) >= stop_after
        settings.setdefault("hyperparameters", SMALL)
        settings.setdefault("stop", StopRule(env_steps=1000))
        self.config = TrainingConfig(place / "Game.x86_64", **settings)

    def play(self) -> TrainingResult:
        return train_on(
            Scenes(lambda index, _: self.scenes[index], len(self.scenes)),
            self.config,
            model_dir=self.place / "model",
            checkpoint_dir=self.place / "checkpoints",
            report=self.lines.append,
            stop_requested=self.stop_requested,
        )

    def basic(self, result: TrainingResult) -> BehaviorResult:
        return result.results["Basic"]

    def numbers(self) -> list[dict]:
        return [{name: value for name, value in line.items() if name not in TIMES} for line in self.lines]


def test_it_leaves_the_artifacts_files_and_says_how_it_went(tmp_path):
    run = Run(tmp_path)
    result = run.play()
    model = tmp_path / "model"
    files = {str(item.relative_to(model)) for item in model.rglob("*") if item.is_file()}
    (events,) = (name for name in files if name.startswith("tensorboard/Basic/events.out.tfevents."))
    assert files - {events} == {
        "config.json",
        "progress.jsonl",
        "learning_curve.png",
        "policies/Basic.onnx",
        *(f"checkpoint/{name}" for name in ("state.json", "progress.jsonl")),
        *(f"checkpoint/Basic/{name}.safetensors" for name in ("weights", "optimizer", "best")),
    }
    assert [json.loads(line) for line in (model / "progress.jsonl").read_text().splitlines()] == run.lines
    assert result.summary() == {
        "stop_reason": "env_steps",
        "iterations": 8,
        "env_steps": 1000,
        "episodes": run.lines[-1]["episodes"],
        "best_mean_return": result.best_mean_return,
        "wall_time_seconds": result.wall_time_seconds,
        "env_steps_per_second": 1000 / result.wall_time_seconds,
        "behaviors": {
            "Basic": {
                "stop_reason": "env_steps",
                "iterations": 8,
                "env_steps": 1000,
                "episodes": run.lines[-1]["episodes"],
                "best_mean_return": result.best_mean_return,
                "best_iteration": result.results["Basic"].best_iteration,
            }
        },
        "warnings": [],
        "limited_by": result.limited_by,
        "advice": None,  # after so few iterations
    }
    hyperparameters = json.loads((model / "config.json").read_text())["behaviors"]["Basic"]["hyperparameters"]
    assert hyperparameters["train_batch_size"] == 128
    assert hyperparameters["gamma"] == 0.9  # of the preset
    assert result.behaviors[0].behavior_name == "Basic"
    assert run.scenes[0].closed


def test_each_line_is_flat_json_with_the_metrics_numbers(tmp_path):
    run = Run(tmp_path)
    run.play()
    for iteration, line in enumerate(run.lines, 1):
        assert json.loads(json.dumps(line, allow_nan=False)) == line
        assert (line["iteration"], line["env_steps"]) == (iteration, min(1000, 128 * iteration))
        assert line["env_steps_limit"] == 1000
        assert line["env_steps_per_second"] > 0
        assert 0 < line["build_seconds"] <= line["sampling_seconds"]


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(tmp_path):
    runs = [Run(tmp_path / str(i), [BasicScene(agents=2)], seed=seed) for i, seed in enumerate((4, 4, 5))]
    for run in runs:
        run.play()
    assert runs[0].numbers() == runs[1].numbers()
    assert runs[0].numbers() != runs[2].numbers()


def test_asked_to_stop_it_saves_and_a_second_call_goes_on_to_the_same_limit(tmp_path):
    first = Run(tmp_path, stop_after=3)
    stopped = first.play()
    assert stopped.stop_reason == "stopped"
    assert first.lines[-1]["env_steps"] == stopped.env_steps
    assert (tmp_path / "model/policies/Basic.onnx").exists()
    second = Run(tmp_path)
    finished = second.play()
    assert finished.stop_reason == "env_steps"
    assert finished.env_steps == 1000
    assert [line["iteration"] for line in second.lines] == list(
        range(first.lines[-1]["iteration"] + 1, len(first.lines) + len(second.lines) + 1)
    )
    assert finished.results["Basic"].episodes > stopped.results["Basic"].episodes
    assert second.lines[0]["wall_time_seconds"] > first.lines[-1]["wall_time_seconds"]  # the clock goes on too
    lines = [json.loads(line) for line in (tmp_path / "model/progress.jsonl").read_text().splitlines()]
    assert lines == first.lines + second.lines


def test_what_is_restored_is_what_was_saved(tmp_path):
    Run(tmp_path, stop_after=7).play()
    before = shutil.copytree(tmp_path / "checkpoints/00000001", tmp_path / "before")
    Run(tmp_path, stop_after=0).play()  # restores and saves again
    after = tmp_path / "model/checkpoint"
    for name in ("weights", "optimizer", "best"):
        ours, theirs = load_file(before / f"Basic/{name}.safetensors"), load_file(after / f"Basic/{name}.safetensors")
        assert ours.keys() == theirs.keys()
        assert all(np.array_equal(ours[key], theirs[key]) for key in ours)
    states = [json.loads((place / "state.json").read_text()) for place in (before, after)]
    assert all(state.pop("wall_time_seconds") > 0 for state in states)
    assert [state.pop("number") for state in states] == [1, 2]
    assert states[0] == states[1]


def test_stopping_does_not_wait_for_the_batch_to_fill(tmp_path):
    scene = BasicScene()
    run = Run(tmp_path, [scene], hyperparameters=Hyperparameters(train_batch_size=100_000))
    run.stop_requested = lambda: scene.steps >= 50
    result = run.play()
    assert (result.stop_reason, result.env_steps, scene.steps) == ("stopped", 50, 50)


@pytest.mark.parametrize(
    ("stop", "reason"),
    [
        (StopRule(env_steps=100_000, mean_return=-5.0), "mean_return"),
        (StopRule(wall_time_seconds=1e-3), "wall_time_seconds"),
        (StopRule(env_steps=70), "env_steps"),
    ],
)
def test_whichever_limit_comes_first_stops_it(tmp_path, stop, reason):
    assert Run(tmp_path, stop=stop).play().stop_reason == reason


def test_the_time_limit_does_not_wait_for_the_batch_to_fill(tmp_path):
    never_full = Hyperparameters(train_batch_size=10**9)
    run = Run(tmp_path, hyperparameters=never_full, stop=StopRule(wall_time_seconds=0.5))
    assert run.play().stop_reason == "wall_time_seconds"


def test_without_any_ended_episode_there_is_a_policy_and_no_return(tmp_path):
    result = Run(tmp_path, stop=StopRule(env_steps=4)).play()
    assert result.best_mean_return is None
    assert (tmp_path / "model/policies/Basic.onnx").exists()


def test_truncated_episodes_are_worth_what_would_follow(tmp_path):
    """Reward 1 for ever is worth 1 / (1 - 0.9) = 10; were truncation taken for an end, it would be below 4.1."""
    fast = Hyperparameters(lr=0.01, gamma=0.9, train_batch_size=256, minibatch_size=64, num_epochs=8)
    Run(tmp_path, [EndlessScene(agents=4)], hyperparameters=fast, stop=StopRule(env_steps=12_000)).play()
    weights = load_file(tmp_path / "model/checkpoint/Fake/weights.safetensors")
    assert weights["network.critic.mean"][0] == pytest.approx(10.0, abs=0.7)


def test_a_training_may_begin_with_the_policy_of_an_earlier_one(tmp_path):
    Run(tmp_path / "first", stop=StopRule(env_steps=12_000, mean_return=0.9)).play()
    origin = tmp_path / "first" / "model" / "checkpoint"
    second = Run(tmp_path / "second", start_from=origin, stop=StopRule(env_steps=512))
    result = second.play()
    assert second.lines[0]["iteration"] == 1
    assert second.lines[0]["env_steps"] < 200  # counted from the beginning
    assert second.lines[0]["mean_return"] > 0.8  # as the first one ended
    again = Run(tmp_path / "second", start_from=origin, stop=StopRule(env_steps=1024))
    again.play()
    assert again.lines[0]["env_steps"] > result.results["Basic"].env_steps  # a checkpoint of its own comes first


def test_a_beginning_of_another_behavior_or_network_is_refused(tmp_path):
    Run(tmp_path / "first", stop=StopRule(env_steps=256)).play()
    origin = tmp_path / "first" / "model" / "checkpoint"
    with pytest.raises(InvalidCheckpointError, match="is of behavior Basic, the build's is Target"):
        Run(tmp_path / "other", [TargetScene()], start_from=origin).play()
    with pytest.raises(InvalidCheckpointError, match="of another network"):
        Run(tmp_path / "wider", start_from=origin, network=Network(hidden_sizes=(64,))).play()


def test_a_checkpoint_of_another_network_is_refused_by_cause(tmp_path):
    Run(tmp_path, stop_after=1).play()
    with pytest.raises(InvalidCheckpointError, match="another network"):
        Run(tmp_path, network=Network(hidden_sizes=(8, 8))).play()


def test_a_checkpoint_of_another_behavior_is_refused_by_name(tmp_path):
    Run(tmp_path, stop_after=1).play()
    with pytest.raises(InvalidCheckpointError, match="of behavior Basic, the build's is Target"):
        Run(tmp_path, [TargetScene()]).play()


def test_a_failing_build_ends_it_and_all_builds_are_closed(tmp_path):
    scenes = [BasicScene(), FailingScene(RuntimeError("the build is gone"), after=20)]
    with pytest.raises(RuntimeError, match="the build is gone"):
        Run(tmp_path, scenes).play()
    assert all(scene.closed for scene in scenes)


@pytest.mark.filterwarnings("ignore:overflow")
def test_rewards_beyond_float32_end_with_a_clear_error(tmp_path):
    scene = TargetScene(agents=4)
    scene.scale = 1e30
    with pytest.raises(TrainingDivergedError, match=r"not finite.*Remedy: .*rewards"):
        Run(tmp_path, [scene]).play()


def both(**late: int) -> CombinedScene:
    return CombinedScene(BasicScene(agents=2), TargetScene(agents=2), late={f"{k}?team=0": v for k, v in late.items()})


def test_several_behaviors_learn_side_by_side_each_to_its_own_limit(tmp_path):
    own = {"Target": BehaviorSettings(Hyperparameters(train_batch_size=64), stop=StopRule(env_steps=300))}
    run = Run(tmp_path, [both()], behaviors=own)
    result = run.play()
    assert {name: item.env_steps for name, item in result.results.items()} == {"Basic": 1000, "Target": 300}
    assert {name: item.stop_reason for name, item in result.results.items()} == dict.fromkeys(
        result.results, "env_steps"
    )
    assert result.onnx_files == {"Basic": "policies/Basic.onnx", "Target": "policies/Target.onnx"}
    assert all((tmp_path / "model" / path).exists() for path in result.onnx_files.values())
    for name, batch in (("Basic", 128), ("Target", 64)):
        steps = [line["env_steps"] for line in run.lines if line["behavior"] == name]
        assert steps[:3] == [batch, 2 * batch, 3 * batch]
        assert steps == sorted(steps)
    config = json.loads((tmp_path / "model/config.json").read_text())["behaviors"]
    assert config["Target"]["hyperparameters"]["train_batch_size"] == 64
    assert config["Basic"]["hyperparameters"]["train_batch_size"] == 128


def test_a_behavior_that_appears_late_is_trained_from_then_on(tmp_path):
    result = Run(tmp_path, [both(Target=200)]).play()
    assert {name: item.env_steps for name, item in result.results.items()} == {"Basic": 1000, "Target": 1000}


def test_several_behaviors_repeat_by_seed_and_go_on_from_a_checkpoint(tmp_path):
    runs = [Run(tmp_path / str(i), [both(Target=50)], seed=3) for i in range(2)]
    for run in runs:
        run.play()
    assert runs[0].numbers() == runs[1].numbers()
    first = Run(tmp_path / "c", [both(Target=100)], stop_after=2)
    stopped = first.play()
    assert stopped.results.keys() == {"Basic", "Target"}
    finished = Run(tmp_path / "c", [both(Target=100)]).play()
    assert {item.env_steps for item in finished.results.values()} == {1000}
    assert all(finished.results[name].episodes > stopped.results[name].episodes for name in finished.results)


def test_what_was_learned_of_a_behavior_that_has_not_come_up_again_is_kept(tmp_path):
    Run(tmp_path, [both()], stop_after=4).play()
    before = load_file(tmp_path / "model/checkpoint/Target/weights.safetensors")
    Run(tmp_path, [both(Target=10**9)], stop_after=0).play()
    after = load_file(tmp_path / "model/checkpoint/Target/weights.safetensors")
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_teams_that_differ_in_what_they_observe_are_refused_by_name(tmp_path):
    other = TargetScene()
    other.behavior = BehaviorSpec("Basic?team=1", (ObservationSpec("x", (1,)),), ActionSpec(1, ()))
    scene = CombinedScene(BasicScene(), other)
    with pytest.raises(UnsupportedBehaviorError, match=r"Basic\?team=0 and Basic\?team=1 observe or do different"):
        Run(tmp_path, [scene]).play()
    assert scene.closed


LESSONS = {
    "size": {
        "curriculum": [
            {
                "name": "small",
                "value": 1,
                "completion_criteria": {"behavior": "Basic", "measure": "progress", "threshold": 0.5},
            },
            {"name": "large", "value": 2},
        ]
    },
    "gravity": 9.8,
}


class RecordingScene(BasicScene):
    """Notes with which parameter each step was played, and its resets."""

    def __init__(self) -> None:
        super().__init__(agents=2)
        self.sizes: list[Any] = []
        self.resets = 0

    def reset(self, parameters: Any = None) -> Any:
        self.resets += 1
        return super().reset(parameters)

    def step(self, actions: Any) -> Any:
        self.sizes.append(self.parameters.get("size"))
        return super().step(actions)


@pytest.mark.parametrize("require_reset", [False, True])
def test_a_curriculum_goes_on_when_its_lesson_is_over(tmp_path, require_reset):
    lessons = json.loads(json.dumps(LESSONS))
    lessons["size"]["curriculum"][0]["completion_criteria"]["require_reset"] = require_reset
    scene = RecordingScene()
    run = Run(tmp_path, [scene], environment=EnvironmentSettings(parameters=read_parameters(lessons)))
    run.play()
    # 1000 decisions of 2 agents in batches of 128: the fourth is the first that ends beyond the half, at 512.
    assert scene.sizes == [None] * 256 + [2.0] * 244
    assert [line["lessons"]["size"] for line in run.lines] == [0, 0, 0, 0, 1, 1, 1, 1]
    assert scene.resets == (2 if require_reset else 1)


def test_a_resumed_training_is_in_the_lesson_that_it_had_reached(tmp_path):
    settings = EnvironmentSettings(parameters=read_parameters(LESSONS))
    Run(tmp_path, [RecordingScene()], environment=settings, stop_after=6).play()
    scene = RecordingScene()
    Run(tmp_path, [scene], environment=settings).play()
    assert set(scene.sizes) == {2.0}


def test_a_lesson_that_waits_for_progress_without_a_limit_is_refused(tmp_path):
    settings = EnvironmentSettings(parameters=read_parameters(LESSONS))
    with pytest.raises(InvalidTrainingConfigError, match="progress of Basic"):
        Run(tmp_path, environment=settings, stop=StopRule(wall_time_seconds=5)).play()


def test_a_training_that_is_not_well_says_so_once(tmp_path):
    run = Run(tmp_path, [EndlessScene(agents=2)], hyperparameters=Hyperparameters(train_batch_size=64), seed=1)
    run.config = replace(run.config, stop=StopRule(env_steps=6400, mean_return=100.0))
    result = run.play()
    told = [warning["code"] for line in run.lines for warning in line.get("warnings", ())]
    assert told.count("FlatReturn") == 1
    assert {warning["code"] for warning in result.summary()["warnings"]} == set(told)
    assert all(warning["cause"] and warning["remedy"] for warning in result.warnings)


def test_a_budget_ends_it_and_without_a_price_it_is_refused(tmp_path):
    enough_for_the_start = StopRule(budget_usd=0.25, usd_per_hour=5.0)
    assert Run(tmp_path, stop=enough_for_the_start).play().stop_reason == "budget_usd"
    with pytest.raises(InvalidTrainingConfigError, match="not what this machine costs"):
        Run(tmp_path / "b", stop=StopRule(budget_usd=1.0)).play()


def test_without_improvement_it_ends(tmp_path):
    run = Run(tmp_path, [EndlessScene(agents=4)], stop=StopRule(no_improvement_env_steps=512))
    result = run.play()
    assert result.stop_reason == "no_improvement"
    assert result.env_steps < 2000
