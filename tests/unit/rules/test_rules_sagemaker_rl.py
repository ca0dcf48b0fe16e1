"""SageMaker RL's flat hyperparameters in the form of a request."""

import json

import pytest

from pipeline.contracts.request import RunOptions
from pipeline.contracts.validation import InvalidDocumentError, read_document
from pipeline.rules.sagemaker_rl import expand


def read(hyperparameters, **others) -> RunOptions:
    return read_document(RunOptions, expand({"hyperparameters": hyperparameters, **others}))


def problems(hyperparameters, **others) -> dict[str, str]:
    with pytest.raises(InvalidDocumentError) as caught:
        read(hyperparameters, **others)
    return {
        problem.field.removeprefix("hyperparameters.rl.training."): problem.message for problem in caught.value.problems
    }


OLD = {
    "rl.training.run": "PPO",
    "rl.training.config.lr": 0.0003,
    "rl.training.config.gamma": 0.98,
    "rl.training.config.lambda": 0.9,
    "rl.training.config.clip_param": 0.3,
    "rl.training.config.entropy_coeff": 0.01,
    "rl.training.config.vf_loss_coeff": 1.0,
    "rl.training.config.grad_clip": 0.5,
    "rl.training.config.train_batch_size": 4000,
    "rl.training.config.sgd_minibatch_size": 128,
    "rl.training.config.num_sgd_iter": 10,
    "rl.training.config.model.fcnet_hiddens": [64, 32],
    "rl.training.config.model.fcnet_activation": "swish",
    "rl.training.config.num_workers": 4,
    "rl.training.config.seed": 3,
    "rl.training.stop.timesteps_total": 100000,
    "rl.training.stop.episode_reward_mean": 200,
    "rl.training.stop.time_total_s": 600,
}
NEW = {
    "config.lambda": "config.lambda_",
    "config.sgd_minibatch_size": "config.minibatch_size",
    "config.num_sgd_iter": "config.num_epochs",
    "config.num_workers": "config.num_env_runners",
    "stop.timesteps_total": "stop.num_env_steps_sampled_lifetime",
    "stop.episode_reward_mean": "stop.env_runners/episode_return_mean",
}
OURS = {
    "algorithm": "PPO",
    "hyperparameters": {
        "lr": 0.0003,
        "gamma": 0.98,
        "lambda_": 0.9,
        "clip_param": 0.3,
        "entropy_coeff": 0.01,
        "vf_loss_coeff": 1.0,
        "grad_clip": 0.5,
        "train_batch_size": 4000,
        "minibatch_size": 128,
        "num_epochs": 10,
    },
    "network": {"hidden_sizes": [64, 32], "activation": "silu"},
    "environment": {"num_builds": 4},
    "seed": 3,
    "stop": {"env_steps": 100_000, "mean_return": 200.0, "wall_time_seconds": 600.0},
}


def test_names_of_rllibs_old_stack():
    assert read(OLD) == read_document(RunOptions, OURS)


def test_appo_with_its_settings():
    own = {"vtrace_clip_rho_threshold": 2.0, "vtrace_clip_pg_rho_threshold": 1.5, "learner_queue_size": 3}
    given = {"rl.training.run": "APPO", **{f"rl.training.config.{name}": value for name, value in own.items()}}
    assert read(given) == read_document(RunOptions, {"algorithm": "APPO", "hyperparameters": own})


def test_names_of_rllibs_new_stack_mean_the_same():
    renamed = {
        f"rl.training.{NEW.get(name.removeprefix('rl.training.'), name.removeprefix('rl.training.'))}": value
        for name, value in OLD.items()
    }
    assert renamed.keys() != OLD.keys()
    assert read(renamed) == read(OLD)


def test_texts_as_sagemaker_passes_them_on():
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in OLD.items()}
    assert read(texts) == read(OLD)


def test_whole_numbers_for_floats_become_floats():
    found = expand({"hyperparameters": {"rl.training.config.lr": 1, "rl.training.stop.episode_reward_mean": 5}})
    assert type(found["hyperparameters"]["lr"]) is float
    assert type(found["stop"]["mean_return"]) is float


def test_a_request_by_our_own_names_is_left_as_it_is():
    document = {"hyperparameters": {"lr": 1e-3}, "seed": 4}
    assert expand(document) == document
    assert expand({"seed": 4}) == {"seed": 4}


def test_both_names_may_stand_together():
    options = read({"rl.training.config.lr": 0.1, "gamma": 0.5}, network={"activation": "relu"})
    assert (options.hyperparameters.lr, options.hyperparameters.gamma) == (0.1, 0.5)
    assert options.network.activation == "relu"


def test_memory():
    options = read({"rl.training.config.model.use_lstm": True, "rl.training.config.model.lstm_cell_size": 64})
    assert options.network.memory is not None
    assert (options.network.memory.size, options.network.memory.sequence_length) == (64, 20)


@pytest.mark.parametrize(("name", "value"), [("MeanStdFilter", True), ("NoFilter", False)])
def test_normalisation(name, value):
    assert read({"rl.training.config.observation_filter": name}).network.normalize_observations is value


def test_no_workers_is_one_build():
    assert read({"rl.training.config.num_workers": 0}).environment.num_builds == 1


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("config.lrr", 1, "did you mean 'config.lr'?"),
        ("config.model.fcnet_hidden", [1], "did you mean 'config.model.fcnet_hiddens'?"),
        ("stop.timestep_total", 1, "did you mean 'stop.timesteps_total'?"),
        ("config.lr", "fast", "must be a number"),
        ("config.train_batch_size", 1.5, "whole number"),
        ("config.model.fcnet_hiddens", "64", "list of whole numbers"),
        ("config.model.fcnet_hiddens", "[64", "list of whole numbers"),
        ("config.model.fcnet_activation", "elu", "'relu'"),
        ("config.model.lstm_cell_size", 64, "use_lstm"),
        ("run", "DQN", "unknown"),
        ("config.framework", "torch", "changes nothing"),
    ],
)
def test_what_is_refused(name, value, said):
    assert said in problems({f"rl.training.{name}": value})[name]


def test_two_names_of_one_setting_are_refused():
    found = problems({"rl.training.config.num_sgd_iter": 3, "rl.training.config.num_epochs": 3})
    assert "config.num_sgd_iter" in found["config.num_epochs"]


def test_a_setting_that_the_request_makes_too_is_refused():
    assert "hyperparameters.lr" in problems({"rl.training.config.lr": 0.1, "lr": 0.2})["config.lr"]
    assert "seed" in problems({"rl.training.config.seed": 1}, seed=2)["config.seed"]
