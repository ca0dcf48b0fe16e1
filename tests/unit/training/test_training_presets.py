"""Configuration: what is given wins over the preset, the preset over what is derived; contradictions are refused."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.contracts.job import TrainingJobConfig
from rl_src.envs.side_channels import Uniform
from rl_src.envs.specs import ActionSpec, BehaviorSpec, ObservationSpec
from rl_src.training.errors import InvalidTrainingConfigError
from rl_src.training.settings.config import Hyperparameters, Network, StopRule, TrainingConfig
from rl_src.training.settings.curriculum import final_values
from rl_src.training.settings.presets import DEFAULT_STOP, PRESETS, resolve

GAME = Path("Game.x86_64")
BASIC = BehaviorSpec("Basic?team=0", (ObservationSpec("position", (20,)),), ActionSpec(0, (3,)))
UNKNOWN = BehaviorSpec("Mine?team=0", (ObservationSpec("rays", (40,)),), ActionSpec(2, ()))


def test_given_over_preset_over_derived():
    config = TrainingConfig(GAME, hyperparameters=Hyperparameters(gamma=0.5), network=Network(activation="relu"))
    resolved = resolve(config, BASIC, agents=1)
    assert resolved.preset == "Basic"
    assert resolved.hyperparameters.gamma == 0.5
    assert resolved.hyperparameters.lr == PRESETS["Basic"].hyperparameters.lr
    assert resolved.hyperparameters.clip_param == 0.2
    assert (resolved.network.hidden_sizes, resolved.network.activation) == ((20,), "relu")


def test_without_a_preset_everything_follows_from_the_specs():
    resolved = resolve(TrainingConfig(GAME), UNKNOWN, agents=12)
    assert resolved.preset is None
    assert resolved.stop == DEFAULT_STOP
    assert resolved.network.normalize_observations  # continuous control
    assert not resolve(TrainingConfig(GAME), BASIC, agents=1).network.normalize_observations


def test_the_users_stop_rule_replaces_the_default_rule_whole():
    resolved = resolve(TrainingConfig(GAME, stop=StopRule(wall_time_seconds=5)), BASIC, agents=1)
    assert resolved.stop == StopRule(env_steps=None, mean_return=None, wall_time_seconds=5)


def test_a_rule_that_never_stops_is_refused():
    with pytest.raises(InvalidTrainingConfigError, match="never end"):
        resolve(TrainingConfig(GAME, stop=StopRule()), BASIC, agents=1)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (Hyperparameters(train_batch_size=16), (16, 16)),
        (Hyperparameters(minibatch_size=4096), (4096, 4096)),
        (Hyperparameters(train_batch_size=1000, minibatch_size=100), (1000, 100)),
    ],
)
def test_a_batch_given_alone_bends_the_other(asked, expected):
    chosen = resolve(TrainingConfig(GAME, hyperparameters=asked), BASIC, agents=1).hyperparameters
    assert (chosen.train_batch_size, chosen.minibatch_size) == expected


def test_contradicting_batches_are_refused():
    asked = Hyperparameters(train_batch_size=16, minibatch_size=17)
    with pytest.raises(
        InvalidTrainingConfigError, match=r"minibatch_size \(17\) is larger than train_batch_size \(16\)"
    ):
        resolve(TrainingConfig(GAME, hyperparameters=asked), BASIC, agents=1)


sizes = st.integers(1, 300)
behaviors = st.builds(
    lambda sensors, continuous, branches: BehaviorSpec(
        "Any?team=0",
        tuple(ObservationSpec(f"sensor {i}", (size,)) for i, size in enumerate(sensors)),
        ActionSpec(continuous, tuple(branches)),
    ),
    st.lists(sizes, min_size=1, max_size=3),
    st.integers(0, 20),
    st.lists(st.integers(2, 5), max_size=3),
)


@given(behaviors, st.integers(1, 500))
def test_what_is_derived_is_consistent_for_any_behavior(behavior, agents):
    resolved = resolve(TrainingConfig(GAME), behavior, agents)
    chosen = resolved.hyperparameters
    assert 1 <= chosen.minibatch_size <= chosen.train_batch_size <= 16_384
    assert None not in vars(chosen).values()
    assert None not in [value for name, value in vars(resolved.network).items() if name != "memory"]


def test_every_setting_of_the_job_contract_is_understood():
    document = TrainingJobConfig.model_validate(
        {
            "hyperparameters": dict.fromkeys(
                ("lr", "gamma", "lambda_", "clip_param", "entropy_coeff", "vf_loss_coeff", "grad_clip"), 0.5
            )
            | {"train_batch_size": 64, "minibatch_size": 32, "num_epochs": 2},
            "network": {"hidden_sizes": (8, 4), "activation": "silu", "normalize_observations": True},
            "stop": {
                "env_steps": 10,
                "mean_return": 1.5,
                "patience": 2,
                "no_improvement_env_steps": 5,
                "wall_time_seconds": 3.0,
                "budget_usd": 1.0,
                "usd_per_hour": 0.5,
            },
            "environment": {
                "executable": "Game.x86_64",
                "arguments": ("--level", "2"),
                "parameters": {"gravity": 9.8},
                "time_scale": 5.0,
                "num_builds": 2,
                "startup_timeout_seconds": 7.0,
                "step_timeout_seconds": 8.0,
            },
            "seed": 3,
        }
    ).model_dump(mode="json")
    config = TrainingConfig.from_document(GAME, document)
    assert vars(config.hyperparameters) == document["hyperparameters"]
    assert config.network == Network((8, 4), "silu", True)
    assert vars(config.stop) == document["stop"]
    assert (config.environment.arguments, config.environment.num_builds) == (("--level", "2"), 2)
    assert dict(config.environment.parameters) == {"gravity": 9.8}
    assert config.seed == 3


def test_what_is_set_for_one_behavior_and_for_the_scene_is_understood():
    lesson = {"name": "easy", "value": 1.0, "completion_criteria": {"behavior": "Basic", "threshold": 0.5}}
    uniform = {"sampler_type": "uniform", "sampler_parameters": {"min_value": 1.0, "max_value": 3.0}}
    document = TrainingJobConfig.model_validate(
        {
            "self_play": {"window": 5},
            "behaviors": {
                "Mine": {"hyperparameters": {"lr": 0.5}, "stop": {"env_steps": 7}, "self_play": {"window": 3}}
            },
            "environment": {
                "parameters": {"size": {"curriculum": [lesson, {"name": "hard", "value": uniform}]}, "mass": uniform}
            },
        }
    ).model_dump(exclude_none=True)
    config = TrainingConfig.from_document(GAME, document)
    mine, basic = resolve(config, UNKNOWN, agents=1), resolve(config, BASIC, agents=1)
    assert (mine.hyperparameters.lr, mine.stop.env_steps, mine.self_play.window) == (0.5, 7, 3)
    assert (basic.hyperparameters.lr, basic.self_play.window) == (PRESETS["Basic"].hyperparameters.lr, 5)
    assert config.environment.parameters["mass"] == Uniform(1.0, 3.0)
    assert final_values(config.environment.parameters) == {"size": Uniform(1.0, 3.0), "mass": Uniform(1.0, 3.0)}


def test_the_defaults_of_the_job_contract_leave_everything_open():
    config = TrainingConfig.from_document(GAME, TrainingJobConfig().model_dump(mode="json"))
    assert config == TrainingConfig(GAME)


@pytest.mark.parametrize("document", [{"lr": 1}, {"hyperparameters": {"learning_rate": 1}}, {"environment": {"x": 1}}])
def test_unknown_settings_are_refused_by_name(document):
    with pytest.raises(
        InvalidTrainingConfigError, match=r"unknown setting '?(lr|hyperparameters.learning_rate|environ)"
    ):
        TrainingConfig.from_document(GAME, document)


def test_what_a_preset_has_can_be_done_without():
    soccer = replace(UNKNOWN, name="SoccerTwos?team=0")
    hallway = replace(UNKNOWN, name="Hallway?team=0")
    assert resolve(TrainingConfig(GAME), soccer, 1).self_play is not None
    assert resolve(TrainingConfig(GAME), hallway, 1).network.memory is not None
    document = TrainingJobConfig.model_validate({"self_play": "none", "network": {"memory": "none"}})
    config = TrainingConfig.from_document(GAME, document.model_dump(exclude_none=True))
    assert resolve(config, soccer, 1).self_play is None
    assert resolve(config, hallway, 1).network.memory is None
    soft = TrainingConfig(GAME, algorithm="SAC")  # which trains neither: a preset's are left out
    assert resolve(soft, soccer, 1).self_play is None
    assert resolve(soft, hallway, 1).network.memory is None
