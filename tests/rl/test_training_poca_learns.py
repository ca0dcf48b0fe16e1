"""POCA learns what PPO cannot: to leave early for what the group gets later. And what PPO learns, it learns too."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from rl_src.training.progress.tensorboard import scalars
from rl_src.training.result import TrainingResult
from rl_src.training.sampling.scenes import Scenes
from rl_src.training.self_play.past_selves import SelfPlaySettings
from rl_src.training.settings.config import Hyperparameters, StopRule, TrainingConfig
from rl_src.training.trainer import train_on
from tests.fakes.group_scenes import ATTACK, EXIT, DragonScene, TeamDuelScene
from tests.fakes.unity_scenes import BasicScene, HybridScene, MatchScene

FAST = Hyperparameters(lr=1e-3, train_batch_size=1024, minibatch_size=128)
SMALL = Hyperparameters(train_batch_size=256, minibatch_size=64)


class Run:
    """One call of the trainer, with what it reported."""

    def __init__(self, place: Path, scene: Any, *, algorithm: str = "poca", **settings: Any) -> None:
        self.lines: list[dict[str, Any]] = []
        self.model = place / "model"
        self.result: TrainingResult = train_on(
            Scenes(lambda *_: scene, 1),
            TrainingConfig(place / "Game.x86_64", algorithm=algorithm, **settings),
            model_dir=self.model,
            checkpoint_dir=place / "checkpoints",
            report=self.lines.append,
            stop_requested=lambda: False,
        )

    def policy(self, *outputs: str, **inputs: np.ndarray) -> list[np.ndarray]:
        (path,) = self.result.onnx_files.values()
        session = onnxruntime.InferenceSession(str(self.model / path), providers=["CPUExecutionProvider"])
        return session.run(list(outputs), {name: value.astype(np.float32) for name, value in inputs.items()})


def escaped(scene: DragonScene) -> float:
    """Share of the last groups."""
    return float(np.mean(scene.escapes[-100:]))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_one_learns_to_die_for_the_others_and_ppo_unlearns_it(tmp_path, seed):
    scenes = {algorithm: DragonScene(seed=seed) for algorithm in ("poca", "PPO")}
    stop = StopRule(env_steps=16_000)
    runs = {
        name: Run(tmp_path / name, scene, algorithm=name, seed=seed, hyperparameters=FAST, stop=stop)
        for name, scene in scenes.items()
    }
    assert escaped(scenes["poca"]) > 0.95
    assert escaped(scenes["PPO"]) < 0.3
    seen = np.array([[1, 1, 1, 0, 0, 0], [0, 1, 1, 0, 0, 0], [0, 0, 1, 0, 0, 0], [0, 0, 0, 0, 1, 0]])
    (chosen,) = runs["poca"].policy("deterministic_discrete_actions", obs_0=seen, action_masks=np.ones((4, 3)))
    assert chosen[0, 0] == ATTACK
    assert chosen[1, 0] != ATTACK
    assert chosen[2:, 0].tolist() == [EXIT, EXIT]


def test_returns_are_the_groups_and_the_rule_to_stop_goes_by_them(tmp_path):
    run = Run(tmp_path, DragonScene(), hyperparameters=FAST, stop=StopRule(env_steps=40_000, mean_return=0.95))
    assert run.result.stop_reason == "mean_return"
    told = run.lines[-2]  # the last but one has been learned from whole
    assert told["max_return"] == 1.0  # an agent that escapes, and one that dies for it, count as one group
    assert "Losses/Baseline Loss" in scalars(told)
    document = json.loads((run.model / "config.json").read_text())["behaviors"]["Dragon"]
    assert (document["algorithm"], document["hyperparameters"]["num_epochs"]) == ("poca", 3)


@pytest.mark.parametrize(
    ("make_scene", "target"),
    [(BasicScene, 0.92), (lambda: MatchScene(agents=8), 1.95), (lambda: HybridScene(agents=8), 0.9)],
    ids=["Basic", "masks", "hybrid"],
)
def test_agents_without_a_group_learn_as_with_ppo(tmp_path, make_scene, target):
    settings = {} if make_scene is BasicScene else {"hyperparameters": Hyperparameters(lr=3e-3)}
    run = Run(tmp_path, make_scene(), stop=StopRule(env_steps=20_000, mean_return=target), **settings)
    assert run.result.stop_reason == "mean_return"


def test_teams_of_groups_play_their_past_selves(tmp_path):
    play = SelfPlaySettings(save_steps=500, team_change=2000, swap_steps=250, window=5)
    run = Run(tmp_path, TeamDuelScene(duels=8), self_play=play, hyperparameters=SMALL, stop=StopRule(env_steps=8000))
    assert run.result.stop_reason == "env_steps"
    assert run.lines[-1]["elo"] > 1200.0
    (chosen,) = run.policy("deterministic_discrete_actions", obs_0=np.ones((1, 1)), action_masks=np.ones((1, 3)))
    assert chosen.tolist() == [[2]]


def test_a_seed_gives_the_same_numbers(tmp_path):
    lines = [
        Run(tmp_path / name, DragonScene(), seed=3, hyperparameters=SMALL, stop=StopRule(env_steps=1024)).lines
        for name in ("first", "second")
    ]
    for name in ("mean_return", "vf_loss", "baseline_loss", "policy_loss"):
        assert [line[name] for line in lines[0]] == [line[name] for line in lines[1]], name


def test_a_training_that_goes_on_repeats_too(tmp_path):
    """The scene begins anew, so two that go on from the same checkpoint are held against each other."""
    told = []
    for name in ("first", "second"):
        lines: list[dict[str, Any]] = []
        for steps in (768, 2048):
            stop = StopRule(env_steps=steps)
            lines += Run(tmp_path / name, DragonScene(), hyperparameters=SMALL, stop=stop).lines
        told.append([{key: line[key] for key in ("env_steps", "mean_return", "vf_loss", "kl")} for line in lines])
    assert told[0] == told[1]
    assert told[0][-1]["env_steps"] >= 2048
    assert [line["env_steps"] for line in told[0]] == sorted(line["env_steps"] for line in told[0])
