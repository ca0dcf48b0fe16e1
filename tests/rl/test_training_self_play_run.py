"""Self-play in the training loop: who learns, whom it plays, and that it becomes stronger."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import onnxruntime
import pytest
from safetensors.numpy import load_file

from rl_src.training.result import TrainingResult
from rl_src.training.sampling.scenes import Scenes
from rl_src.training.self_play.past_selves import SelfPlaySettings
from rl_src.training.settings.config import BehaviorSettings, Hyperparameters, StopRule, TrainingConfig
from rl_src.training.trainer import train_on
from tests.fakes.unity_scenes import DuelScene

OFTEN = SelfPlaySettings(save_steps=500, team_change=1000, swap_steps=250, window=4, k_factor=4.0)
QUICK = Hyperparameters(lr=3e-3, train_batch_size=256, minibatch_size=64)


def play(place, scene: Any, stop_after: int | None = None, **settings) -> tuple[TrainingResult, list[dict]]:
    lines: list[dict] = []
    settings.setdefault("self_play", OFTEN)
    settings.setdefault("stop", StopRule(env_steps=6000))
    result = train_on(
        Scenes(lambda index, _: scene, 1),
        TrainingConfig(place / "Duel.x86_64", hyperparameters=QUICK, **settings),
        model_dir=place / "model",
        checkpoint_dir=place / "checkpoints",
        report=lines.append,
        stop_requested=lambda: stop_after is not None and len(lines) >= stop_after,
    )
    return result, lines


def choice(place, result: TrainingResult, behavior: str) -> int:
    session = onnxruntime.InferenceSession(str(place / "model" / result.onnx_files[behavior]))
    feed = {"obs_0": np.ones((1, 1), np.float32), "action_masks": np.ones((1, 3), np.float32)}
    return int(session.run(["deterministic_discrete_actions"], feed)[0][0, 0])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_learner_becomes_stronger_than_its_past(tmp_path, seed):
    scene = DuelScene()
    result, lines = play(tmp_path, scene, seed=seed)
    assert choice(tmp_path, result, "Duel") == 2
    assert lines[0]["elo"] != lines[-1]["elo"]
    assert max(line["elo"] for line in lines) > 1215
    assert result.results["Duel"].env_steps == 6000  # of the learning team alone
    assert scene.resets == 1 + 5  # a team change every 1000 decisions; the last one has nothing left to learn


def test_in_an_asymmetric_game_behaviors_take_turns(tmp_path):
    scene = DuelScene(names=("Hunter?team=0", "Prey?team=1"))
    own = {name: BehaviorSettings(self_play=OFTEN) for name in ("Hunter", "Prey")}
    result, lines = play(tmp_path, scene, self_play=None, behaviors=own)
    assert {choice(tmp_path, result, name) for name in ("Hunter", "Prey")} == {2}
    order = [line["behavior"] for line in lines]
    assert order[:2] == ["Hunter"] * 2
    # 6,000 decisions each, 1,000 a turn; the lines of an update come with the batch after it.
    assert 4 <= sum(one != other for one, other in pairwise(order)) <= 16


def test_the_same_seed_repeats_and_a_checkpoint_keeps_pool_and_rating(tmp_path):
    both = [play(tmp_path / str(i), DuelScene(), stop_after=8)[1] for i in range(2)]
    kept = ("mean_return", "elo", "entropy", "env_steps")
    assert [[line[name] for name in kept] for line in both[0]] == [[line[name] for name in kept] for line in both[1]]
    before = load_file(tmp_path / "0/model/checkpoint/self_play.safetensors")
    _, after = play(tmp_path / "0", DuelScene(), stop_after=1)
    assert len(before) > 4
    assert after[0]["elo"] == pytest.approx(both[0][-1]["elo"], abs=40)
    assert after[0]["elo"] != 1200


def test_without_self_play_all_teams_learn(tmp_path):
    result, lines = play(tmp_path, DuelScene(), self_play=None, stop=StopRule(env_steps=1024))
    assert "elo" not in lines[0]
    assert result.env_steps == 1024


def test_teams_that_name_their_sensors_otherwise_share_a_policy(tmp_path):
    scene = DuelScene()
    purple = scene.specs["Duel?team=1"]
    scene.specs["Duel?team=1"] = replace(purple, observations=(replace(purple.observations[0], name="purple"),))
    result, _ = play(tmp_path, scene, stop=StopRule(env_steps=512))
    assert result.results.keys() == {"Duel"}
