"""What SAC is told: what is derived for it, and what is refused by name."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from pipeline.contracts.job import TrainingJobConfig
from rl_src.envs.specs import ActionSpec, BehaviorSpec, ObservationSpec
from rl_src.training.algorithms.sac import STATISTICS
from rl_src.training.errors import InvalidTrainingConfigError
from rl_src.training.progress.health import HealthMonitor
from rl_src.training.self_play.past_selves import SelfPlaySettings
from rl_src.training.settings.config import (
    APPO_ONLY,
    ON_POLICY_ONLY,
    PPO_ONLY,
    SAC_ONLY,
    BehaviorSettings,
    CloningSettings,
    CuriositySettings,
    Hyperparameters,
    Memory,
    Network,
    ResolvedAppo,
    ResolvedHyperparameters,
    ResolvedSac,
    TrainingConfig,
)
from rl_src.training.settings.presets import PRESETS, REPLAY_BYTES, resolve

GAME = Path("Game.x86_64")
BALL = BehaviorSpec("3DBall?team=0", (ObservationSpec("ball", (8,)),), ActionSpec(2, ()))
CAMERA = BehaviorSpec("Mine?team=0", (ObservationSpec("camera", (3, 84, 84)),), ActionSpec(0, (3,)))


def sac(**settings) -> TrainingConfig:
    return TrainingConfig(GAME, algorithm="SAC", **settings)


def test_of_a_preset_what_describes_the_game_is_taken_and_what_is_ppos_is_not():
    resolved = resolve(sac(hyperparameters=Hyperparameters(tau=0.01)), BALL, agents=12)
    preset = PRESETS["3DBall"]
    assert resolved.sac.gamma == preset.hyperparameters.gamma
    assert resolved.sac.tau == 0.01
    assert resolved.sac.train_batch_size == 256
    assert resolved.network.hidden_sizes == preset.network.hidden_sizes
    assert (resolved.network.squash, resolved.network.state_dependent_std) == (True, True)
    assert resolved.stop == preset.stop
    assert None not in vars(resolved.sac).values()


def test_the_replay_buffer_of_large_observations_is_small():
    row = 4 * 3 * 84 * 84
    capacity = resolve(sac(), CAMERA, agents=1).sac.replay_capacity
    assert capacity == max(10_000, REPLAY_BYTES // row)
    assert resolve(sac(), BALL, agents=1).sac.replay_capacity == 200_000


def test_many_agents_get_stretches_of_several_decisions():
    assert resolve(sac(), BALL, agents=100).sac.train_batch_size == 1024


def test_a_minibatch_may_be_larger_than_what_is_played_between_updates():
    asked = Hyperparameters(train_batch_size=16, minibatch_size=128)
    chosen = resolve(sac(hyperparameters=asked), BALL, agents=1).sac
    assert (chosen.train_batch_size, chosen.minibatch_size) == (16, 128)


def test_ppo_stays_as_it_was():
    network = resolve(TrainingConfig(GAME), BALL, agents=12).network
    assert (network.squash, network.state_dependent_std, network.activation) == (False, False, "tanh")


@pytest.mark.parametrize(
    ("algorithm", "names"),
    [
        ("PPO", (*SAC_ONLY, *APPO_ONLY)),
        ("APPO", SAC_ONLY),
        ("SAC", (*ON_POLICY_ONLY, *APPO_ONLY)),
        ("poca", (*SAC_ONLY, *APPO_ONLY)),
    ],
)
def test_the_other_algorithms_settings_are_refused_by_name(algorithm, names):
    for name in names:
        asked = Hyperparameters(**{name: "constant" if "schedule" in name else 1})
        for settings in ({"hyperparameters": asked}, {"behaviors": {"3DBall": BehaviorSettings(asked)}}):
            with pytest.raises(InvalidTrainingConfigError, match=f"hyperparameters.{name} is .*{algorithm}"):
                resolve(TrainingConfig(GAME, algorithm=algorithm, **settings), BALL, agents=1)


def test_every_setting_is_some_algorithms():
    names = {item.name for item in fields(Hyperparameters)}
    assert {item.name for item in fields(ResolvedAppo)} == names - set(SAC_ONLY)
    assert {item.name for item in fields(ResolvedHyperparameters)} == names - set(SAC_ONLY) - set(APPO_ONLY)
    assert {item.name for item in fields(ResolvedSac)} == names - {*ON_POLICY_ONLY, *PPO_ONLY, *APPO_ONLY}


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("self_play", {"self_play": SelfPlaySettings()}),
        ("curiosity", {"curiosity": CuriositySettings()}),
        ("behavioral_cloning", {"behavioral_cloning": CloningSettings("demo")}),
        ("network.memory", {"network": Network(memory=Memory())}),
    ],
)
def test_what_sac_cannot_do_is_refused_by_name(name, settings):
    with pytest.raises(InvalidTrainingConfigError, match=f"{name} is not supported with algorithm SAC"):
        resolve(sac(**settings), BALL, agents=1)


def test_a_request_for_sac_is_understood():
    own = {"replay_capacity": 5000, "tau": 0.5, "initial_alpha": 1.0, "updates_per_step": 2.0, "learning_starts": 0}
    document = TrainingJobConfig.model_validate({"algorithm": "SAC", "hyperparameters": own}).model_dump(mode="json")
    config = TrainingConfig.from_document(GAME, document)
    chosen = resolve(config, BALL, agents=1).sac
    assert {name: getattr(chosen, name) for name in own} == own


def line(number: int) -> dict[str, Any]:
    known = {"behavior": "3DBall", "env_steps": 256 * number, "env_steps_limit": 10_000, "episodes": 30 * number}
    returns = {"mean_return": 1.0, "min_return": 0.0, "max_return": 2.0, "mean_episode_length": 5.0}
    return {**known, **returns, **dict.fromkeys(STATISTICS), "entropy": -20.0}


def test_warnings_name_settings_that_sac_has():
    monitor = HealthMonitor(BALL.actions, target_return=100.0)
    told = {warning.code: warning.remedy for i in range(1, 60) for warning in monitor.observe(line(i))}
    assert told.keys() == {"FlatReturn", "EntropyCollapse"}
    for remedy in told.values():
        assert "initial_alpha" in remedy
        assert not any(name in remedy for name in ON_POLICY_ONLY)
