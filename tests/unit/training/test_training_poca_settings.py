"""What POCA is told: PPO's settings and presets, and what is refused by name."""

from pathlib import Path

import pytest

from pipeline.contracts.job import TrainingJobConfig
from rl_src.envs.specs import ActionSpec, BehaviorSpec, ObservationSpec
from rl_src.training.errors import InvalidTrainingConfigError
from rl_src.training.settings.config import (
    BehaviorSettings,
    CloningSettings,
    CuriositySettings,
    Hyperparameters,
    Memory,
    Network,
    TrainingConfig,
)
from rl_src.training.settings.presets import PRESETS, resolve, self_play_of

GAME = Path("Game.x86_64")
SOCCER = BehaviorSpec("SoccerTwos?team=0", (ObservationSpec("rays", (264,)),), ActionSpec(0, (3, 3, 3)))
HALLWAY = BehaviorSpec("Hallway?team=0", (ObservationSpec("rays", (70,)),), ActionSpec(0, (5,)))


def poca(**settings) -> TrainingConfig:
    return TrainingConfig(GAME, algorithm="poca", **settings)


def test_presets_of_ppo_are_pocas_with_their_self_play_and_without_memory():
    preset = PRESETS["SoccerTwos"]
    resolved = resolve(poca(hyperparameters=Hyperparameters(lambda_=0.9)), SOCCER, agents=4)
    assert resolved.ppo.train_batch_size == preset.hyperparameters.train_batch_size
    assert resolved.ppo.lambda_ == 0.9
    assert resolved.self_play == preset.self_play == self_play_of(poca(), "SoccerTwos")
    assert (resolved.network.squash, resolved.network.state_dependent_std) == (False, False)
    assert resolve(poca(), HALLWAY, agents=1).network.memory is None


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("curiosity", {"curiosity": CuriositySettings()}),
        ("behavioral_cloning", {"behavioral_cloning": CloningSettings("demo")}),
        ("network.memory", {"network": Network(memory=Memory())}),
        ("curiosity", {"behaviors": {"SoccerTwos": BehaviorSettings(curiosity=CuriositySettings())}}),
    ],
)
def test_what_poca_cannot_do_is_refused_by_name(name, settings):
    with pytest.raises(
        InvalidTrainingConfigError, match=rf"{name} is not supported with algorithm poca.*Remedy: .*PPO"
    ):
        resolve(poca(**settings), SOCCER, agents=1)


def test_a_request_for_poca_is_understood():
    document = TrainingJobConfig.model_validate({"algorithm": "poca", "self_play": "none"}).model_dump(mode="json")
    resolved = resolve(TrainingConfig.from_document(GAME, document), SOCCER, agents=1)
    assert (resolved.algorithm, resolved.self_play) == ("poca", None)
