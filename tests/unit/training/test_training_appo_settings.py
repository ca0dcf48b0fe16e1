"""What APPO is told: PPO's settings and presets, its own, and what is refused by name."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.contracts.job import TrainingJobConfig
from rl_src.envs.specs import ActionSpec, BehaviorSpec, ObservationSpec
from rl_src.training.errors import InvalidTrainingConfigError
from rl_src.training.settings.config import (
    EnvironmentSettings,
    Hyperparameters,
    ResolvedAppo,
    TrainingConfig,
)
from rl_src.training.settings.presets import PRESETS, resolve

GAME = Path("Game.x86_64")
HALLWAY = BehaviorSpec("Hallway?team=0", (ObservationSpec("rays", (70,)),), ActionSpec(0, (5,)))
MINE = BehaviorSpec("Mine?team=0", (ObservationSpec("seen", (4,)),), ActionSpec(2, ()))


def appo(**settings) -> TrainingConfig:
    return TrainingConfig(GAME, algorithm="APPO", **settings)


def test_presets_of_ppo_are_appos_with_their_memory():
    preset = PRESETS["Hallway"]
    resolved = resolve(appo(), HALLWAY, agents=4)
    assert resolved.appo.train_batch_size == preset.hyperparameters.train_batch_size
    assert resolved.network.memory == preset.network.memory is not None
    assert (resolved.network.squash, resolved.network.state_dependent_std) == (False, False)


def test_what_is_left_open_is_ppos_with_the_papers_thresholds():
    own, ppos = resolve(appo(), MINE, agents=4).appo, resolve(TrainingConfig(GAME), MINE, agents=4).ppo
    assert vars(ppos).items() <= vars(own).items()
    assert (own.vtrace_clip_rho_threshold, own.vtrace_clip_pg_rho_threshold, own.learner_queue_size) == (1.0, 1.0, 1)


def test_lockstep_which_promises_that_a_seed_repeats_is_refused_by_name():
    settings = appo(environment=EnvironmentSettings(num_builds=2, lockstep=True))
    with pytest.raises(
        InvalidTrainingConfigError, match=r"environment\.lockstep is not supported with algorithm APPO.*Remedy: .*PPO"
    ):
        resolve(settings, MINE, agents=1)
    for algorithm in ("PPO", "SAC", "poca"):
        resolve(TrainingConfig(GAME, algorithm=algorithm, environment=settings.environment), MINE, agents=1)


def test_a_request_for_appo_is_understood():
    own = {"vtrace_clip_rho_threshold": 2.0, "vtrace_clip_pg_rho_threshold": 0.5, "learner_queue_size": 4}
    document = TrainingJobConfig.model_validate({"algorithm": "APPO", "hyperparameters": own}).model_dump(mode="json")
    resolved = resolve(TrainingConfig.from_document(GAME, document), MINE, agents=1)
    assert isinstance(resolved.hyperparameters, ResolvedAppo)
    assert {name: getattr(resolved.appo, name) for name in own} == own


@pytest.mark.parametrize(
    ("name", "value"),
    [("vtrace_clip_rho_threshold", 0.5), ("vtrace_clip_pg_rho_threshold", 0.0), ("learner_queue_size", 0)],
)
def test_thresholds_that_vtrace_is_not_defined_for_are_refused(name, value):
    with pytest.raises(ValidationError, match=name):
        TrainingJobConfig.model_validate({"algorithm": "APPO", "hyperparameters": {name: value}})


def test_ppo_is_told_that_these_are_appos():
    asked = Hyperparameters(learner_queue_size=4)
    with pytest.raises(
        InvalidTrainingConfigError, match=r"hyperparameters\.learner_queue_size is APPO's.*Remedy: .*algorithm APPO"
    ):
        resolve(TrainingConfig(GAME, hyperparameters=asked), MINE, agents=1)
