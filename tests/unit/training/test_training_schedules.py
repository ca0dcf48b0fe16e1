"""Schedules: straight lines from the value to its final fraction, over the limit on env steps."""

from dataclasses import replace
from pathlib import Path

import pytest

from rl_src.envs.specs import ActionSpec, BehaviorSpec, ObservationSpec
from rl_src.training.algorithms.schedules import Coefficients, coefficients, learning_rate
from rl_src.training.settings.config import Hyperparameters, StopRule, TrainingConfig
from rl_src.training.settings.presets import resolve

ANY = BehaviorSpec("Any?team=0", (ObservationSpec("state", (4,)),), ActionSpec(0, (2,)))
ASKED = Hyperparameters(lr=1e-3, entropy_coeff=0.02, clip_param=0.2, entropy_schedule="linear", clip_schedule="linear")
SETTINGS = resolve(
    TrainingConfig(Path("game"), hyperparameters=ASKED, stop=StopRule(env_steps=1)), ANY, 1
).hyperparameters


@pytest.mark.parametrize(
    ("env_steps", "entropy", "clip"), [(0, 0.02, 0.2), (500, 0.011, 0.15), (1000, 0.002, 0.1), (2000, 0.002, 0.1)]
)
def test_entropy_falls_to_a_tenth_and_clip_range_to_half(env_steps, entropy, clip):
    found = coefficients(SETTINGS, env_steps, 1000)
    assert (found.entropy, found.clip) == (pytest.approx(entropy), pytest.approx(clip))


def test_what_is_constant_or_has_no_limit_stays():
    assert coefficients(SETTINGS, 500, None) == Coefficients(0.02, 0.2)
    constant = replace(SETTINGS, entropy_schedule="constant", clip_schedule="constant", lr_schedule="constant")
    assert coefficients(constant, 500, 1000) == Coefficients(0.02, 0.2)
    assert learning_rate(constant, 1000) == learning_rate(SETTINGS, None) == 1e-3


def test_the_learning_rate_falls_to_a_tenth():
    assert learning_rate(SETTINGS, 1000) == [[0, 1e-3], [1000, pytest.approx(1e-4)]]
