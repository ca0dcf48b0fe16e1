"""POCA on real builds, over the wire: group ids and rewards as ML-Agents sends them, and agents that keep no time."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from rl_src.training.self_play.past_selves import SelfPlaySettings
from rl_src.training.settings.config import (
    BehaviorSettings,
    EnvironmentSettings,
    Hyperparameters,
    StopRule,
    TrainingConfig,
)
from rl_src.training.trainer import train
from tests.fakes.sample_players import unpacked, use_this_interpreter

SMALL = Hyperparameters(train_batch_size=128, minibatch_size=32)


@pytest.fixture(autouse=True)
def _interpreter(monkeypatch):
    use_this_interpreter(monkeypatch)


def trained(build: str, place: Path, **settings: Any) -> tuple[Any, list[dict[str, Any]]]:
    lines: list[dict[str, Any]] = []
    result = train(
        TrainingConfig(unpacked(build, place), algorithm="poca", hyperparameters=SMALL, **settings),
        model_dir=place / "model",
        checkpoint_dir=place / "checkpoints",
        work_dir=place / "work",
        report=lines.append,
        stop_requested=lambda: False,
    )
    return result, lines


def test_groups_whose_agents_skip_decisions_and_come_and_go_are_learned_from(tmp_path):
    """Half of the agents are in a group; builds at their own pace, a batch ends wherever they are."""
    actions = {"continuous": 1, "branches": [3]}
    walker = {"name": "Walker?team=0", "observations": [[3]], **actions, "agents": 8, "from_step": 0}
    environment = EnvironmentSettings(arguments=("--spec", json.dumps([walker])), num_builds=2)
    result, lines = trained("Chaos", tmp_path, environment=environment, stop=StopRule(env_steps=1500))
    assert result.stop_reason == "env_steps"
    learned = [line for line in lines if line["baseline_loss"] is not None]
    assert len(learned) > 5
    assert all(math.isfinite(line[name]) for line in learned for name in ("vf_loss", "baseline_loss", "policy_loss"))


def test_teams_of_two_play_themselves(tmp_path):
    own = BehaviorSettings(self_play=SelfPlaySettings(save_steps=200, team_change=400, swap_steps=100))
    result, lines = trained("SoccerTwos", tmp_path, behaviors={"SoccerTwos": own}, stop=StopRule(env_steps=600))
    assert result.stop_reason == "env_steps"
    assert "elo" in lines[-1]
    assert (tmp_path / "model/policies/SoccerTwos.onnx").exists()
