"""ML-Agents trainer files in the form of a request's options."""

import pytest
import yaml

from pipeline.contracts.request import RunOptions
from pipeline.contracts.validation import InvalidDocumentError, read_document
from pipeline.rules.mlagents_settings import read_trainer_file

BASIC = """
behaviors:
  Basic:
    trainer_type: ppo
    hyperparameters:
      batch_size: 32
      buffer_size: 256
      learning_rate: 3e-4
      beta: 0.005
      epsilon: 0.2
      lambd: 0.95
      num_epoch: 3
      learning_rate_schedule: linear
    network_settings:
      normalize: false
      hidden_units: 20
      num_layers: 1
      vis_encode_type: simple
    reward_signals:
      extrinsic:
        gamma: 0.9
        strength: 1.0
    keep_checkpoints: 5
    max_steps: 5.0e5
    time_horizon: 3
    summary_freq: 2000
"""


def read(text: str):
    options, notes = read_trainer_file(yaml.safe_load(text))
    return read_document(RunOptions, options), {note.setting: note.note for note in notes}


def behavior(text: str) -> str:
    return "behaviors:\n  Ball:\n" + "\n".join(f"    {line}" for line in text.strip().splitlines())


def problems(text: str) -> dict[str, str]:
    with pytest.raises(InvalidDocumentError) as caught:
        read(text)
    return {problem.field: problem.message for problem in caught.value.problems}


def test_the_file_of_an_example_environment():
    options, notes = read(BASIC)
    told = options.hyperparameters
    assert (told.minibatch_size, told.train_batch_size, told.num_epochs) == (32, 256, 3)
    assert (told.lr, told.entropy_coeff, told.clip_param, told.lambda_, told.gamma) == (3e-4, 0.005, 0.2, 0.95, 0.9)
    assert options.network.hidden_sizes == (20,)
    assert options.network.image_encoder == "simple"
    assert options.stop is not None
    assert options.stop.env_steps == 500_000
    assert set(notes) == {f"behaviors.Basic.{name}" for name in ("keep_checkpoints", "time_horizon", "summary_freq")}


def test_a_silent_file_has_the_defaults_of_ml_agents():
    options, notes = read("behaviors: {Ball: {trainer_type: ppo}}")
    told, network = options.hyperparameters, options.network
    assert told.model_dump(exclude_none=True) == {
        "lr": 3e-4,
        "lr_schedule": "linear",
        "entropy_schedule": "linear",
        "clip_schedule": "linear",
        "gamma": 0.99,
        "lambda_": 0.95,
        "clip_param": 0.2,
        "entropy_coeff": 5e-3,
        "vf_loss_coeff": 0.5,
        "train_batch_size": 10_240,
        "minibatch_size": 1024,
        "num_epochs": 3,
    }
    assert network.hidden_sizes == (128, 128)
    assert network.activation == "silu"
    assert network.normalize_observations is False
    assert (network.memory, options.self_play) == ("none", "none"), "no preset of ours fills them"
    assert options.stop is not None
    assert options.stop.env_steps == 500_000
    assert notes == {}


@pytest.mark.parametrize(
    ("written", "entropy", "clip"),
    [
        ("learning_rate_schedule: constant", "constant", "constant"),
        ("{learning_rate_schedule: constant, beta_schedule: linear}", "linear", "constant"),
        ("beta_schedule: constant", "constant", "linear"),
    ],
)
def test_schedules_that_are_not_given_follow_the_learning_rates(written, entropy, clip):
    document = {"behaviors": {"Ball": {"hyperparameters": yaml.safe_load(written)}}}
    options, _ = read_trainer_file(document)
    assert options["hyperparameters"]["entropy_schedule"] == entropy
    assert options["hyperparameters"]["clip_schedule"] == clip


def test_memory_counts_hidden_and_cell_state_together():
    options, _ = read(behavior("network_settings:\n  memory: {memory_size: 256, sequence_length: 32}"))
    assert options.network.memory is not None
    assert (options.network.memory.size, options.network.memory.sequence_length) == (128, 32)


def test_a_goal_conditions_as_it_is_told_to():
    options, notes = read(behavior("network_settings: {goal_conditioning_type: hyper}"))
    assert (options.network.goal_conditioning, notes) == ("hyper", {})
    options, notes = read(behavior("network_settings: {goal_conditioning_type: none}"))
    assert (options.network.goal_conditioning, notes) == ("none", {})


def test_self_play():
    options, _ = read(behavior("self_play: {save_steps: 50000, swap_steps: 2000, window: 10}"))
    assert options.self_play is not None
    assert (options.self_play.save_steps, options.self_play.team_change) == (50_000, 250_000)


@pytest.mark.parametrize(("signal", "kind", "lr"), [("curiosity", "icm", 3e-4), ("rnd", "rnd", 1e-4)])
def test_curiosity_is_in_relation_to_the_games_reward(signal, kind, lr):
    options, notes = read(
        behavior(
            f"reward_signals:\n  extrinsic: {{strength: 2, gamma: 0.9}}\n  {signal}: {{strength: 0.02, gamma: 0.9}}"
        )
    )
    assert options.curiosity is not None
    assert (options.curiosity.kind, options.curiosity.lr) == (kind, lr)
    assert options.curiosity.strength == pytest.approx(0.01)
    assert options.curiosity.hidden_sizes == (128, 128)
    assert set(notes) == {"behaviors.Ball.reward_signals.extrinsic.strength"}


def test_another_discount_for_curiosity_is_told():
    _, notes = read(behavior("reward_signals:\n  extrinsic: {gamma: 0.9}\n  rnd: {strength: 0.1}\n"))
    _, other = read(behavior("reward_signals:\n  extrinsic: {gamma: 0.9}\n  rnd: {strength: 0.1, gamma: 0.99}\n"))
    assert notes == {}
    assert set(other) == {"behaviors.Ball.reward_signals.rnd.gamma"}


def test_behavioral_cloning_names_the_file():
    text = "behavioral_cloning: {demo_path: Project/Assets/Demos/Expert.demo, steps: 50000, strength: 0.5}"
    options, notes = read(behavior(text))
    assert options.behavioral_cloning is not None
    assert options.behavioral_cloning.demo == "Expert.demo"
    assert (options.behavioral_cloning.steps, options.behavioral_cloning.strength) == (50_000, 0.5)
    assert notes == {}


def test_behavioral_cloning_without_an_end_lasts_to_the_end():
    options, notes = read(behavior("max_steps: 7000\nbehavioral_cloning: {demo_path: a.demo, steps: 0}"))
    assert options.behavioral_cloning is not None
    assert options.behavioral_cloning.steps == 7000
    assert "behaviors.Ball.behavioral_cloning.steps" in notes


def test_several_behaviors_stand_below_their_names():
    options, _ = read("behaviors: {Striker: {max_steps: 10}, Goalie: {hyperparameters: {learning_rate: 1.0e-3}}}")
    assert set(options.behaviors) == {"Striker", "Goalie"}
    assert options.behaviors["Goalie"].hyperparameters.lr == 1e-3
    assert options.behaviors["Striker"].stop is not None
    assert options.behaviors["Striker"].stop.env_steps == 10
    assert options.hyperparameters.lr is None


def test_default_settings_are_for_all_and_lie_under_each():
    options, notes = read(
        """
        default_settings:
          hyperparameters: {batch_size: 64, learning_rate_schedule: constant}
          summary_freq: 100
        behaviors:
          Ball:
            hyperparameters: {learning_rate: 0.001, learning_rate_schedule: linear}
        """
    )
    ball = options.behaviors["Ball"].hyperparameters
    assert (options.hyperparameters.minibatch_size, options.hyperparameters.lr) == (64, 3e-4)
    assert (ball.minibatch_size, ball.lr, ball.lr_schedule) == (64, 1e-3, "linear")
    assert ball.entropy_schedule == "constant"  # ML-Agents settles the defaults' schedules before
    assert set(notes) == {"default_settings.summary_freq"}


def test_default_settings_that_are_silent_have_schedules_all_the_same():
    options, _ = read("default_settings: {}\nbehaviors: {Ball: {hyperparameters: {learning_rate_schedule: constant}}}")
    ball = options.behaviors["Ball"].hyperparameters
    assert (ball.lr_schedule, ball.entropy_schedule, ball.clip_schedule) == ("constant", "linear", "linear")


def test_default_settings_settle_self_play_before_a_behavior_does():
    options, _ = read("default_settings: {self_play: {}}\nbehaviors: {Ball: {self_play: {save_steps: 100}}}")
    self_play = options.behaviors["Ball"].self_play
    assert self_play is not None
    assert (self_play.save_steps, self_play.team_change) == (100, 100_000)


def test_default_settings_bring_the_games_reward():
    options, _ = read("default_settings: {}\nbehaviors: {Ball: {reward_signals: {rnd: {}}}}")
    assert options.behaviors["Ball"].curiosity is not None
    found = problems("behaviors: {A: {}, B: {reward_signals: {rnd: {}}}}")
    assert "add extrinsic" in found["behaviors.B.reward_signals"]


@pytest.mark.parametrize(
    ("signal", "sizes"),
    [
        ("{encoding_size: 64}", (64, 64)),
        ("{encoding_size: 64, network_settings: {num_layers: 1}}", (128,)),
        ("{network_settings: {hidden_units: 32, num_layers: 3}}", (32, 32, 32)),
    ],
)
def test_the_size_of_curiositys_network(signal, sizes):
    options, _ = read(behavior(f"reward_signals:\n  extrinsic: {{}}\n  curiosity: {signal}"))
    assert options.curiosity is not None
    assert options.curiosity.hidden_sizes == sizes


def test_what_is_wrong_in_the_default_settings_is_said_once():
    text = "default_settings: {max_step: 5}\nbehaviors: {A: {}, B: {max_steps: no}}"
    assert set(problems(text)) == {"default_settings.max_step", "behaviors.B.max_steps"}


def test_what_one_behavior_takes_back_cannot_be_said_and_is_refused():
    text = (
        "default_settings: {behavioral_cloning: {demo_path: a.demo}}\nbehaviors: {A: {behavioral_cloning: null}, B: {}}"
    )
    assert "takes behavioral_cloning" in problems(text)["behaviors.A"]
    options, _ = read("default_settings: {self_play: {window: 5}}\nbehaviors: {A: {self_play: null}, B: {}}")
    assert options.behaviors["A"].self_play == "none"
    assert options.behaviors["B"].self_play.window == 5


def test_engine_and_environment_settings():
    options, notes = read(
        """
        behaviors: {Ball: {}}
        env_settings: {env_path: Ball.x86_64, env_args: [--level, 3], num_envs: 4, seed: 7,
                       timeout_wait: 90, base_port: 5004}
        engine_settings: {time_scale: 50, no_graphics: true, width: 84, capture_frame_rate: 60}
        """
    )
    environment = options.environment
    assert environment.arguments == ("--level", "3")
    assert (environment.num_builds, environment.time_scale, environment.graphics) == (4, 50.0, False)
    assert (environment.startup_timeout_seconds, environment.step_timeout_seconds) == (90.0, 90.0)
    assert options.seed == 7
    assert set(notes) == {
        "env_settings.env_path",
        "env_settings.base_port",
        "engine_settings.width",
    }


def test_sac_has_hyperparameters_and_defaults_of_its_own():
    text = "trainer_type: sac\nhyperparameters: {buffer_size: 9000, steps_per_update: 4, save_replay_buffer: true}"
    options, notes = read(behavior(text))
    told = options.hyperparameters
    assert options.algorithm == "SAC"
    assert (told.replay_capacity, told.updates_per_step, told.minibatch_size) == (9000, 0.25, 128)
    assert (told.lr, told.lr_schedule, told.tau, told.initial_alpha) == (3e-4, "constant", 0.005, 1.0)
    assert (told.num_epochs, told.clip_param, told.entropy_coeff, told.learning_starts) == (None, None, None, 0)
    assert "behaviors.Ball.hyperparameters.save_replay_buffer" in notes
    assert "behaviors.Ball.hyperparameters.beta" in problems(behavior("trainer_type: sac\nhyperparameters: {beta: 1}"))


def test_poca_has_the_hyperparameters_of_ppo_and_may_play_itself():
    text = "trainer_type: poca\nhyperparameters: {batch_size: 64, buffer_size: 640, beta: 0.01}\nself_play: {window: 5}"
    options, _ = read(behavior(text))
    told = options.hyperparameters
    assert options.algorithm == "poca"
    assert (told.minibatch_size, told.train_batch_size, told.entropy_coeff) == (64, 640, 0.01)
    assert (told.lambda_, told.clip_param, told.num_epochs, told.vf_loss_coeff) == (0.95, 0.2, 3, 0.5)
    assert (told.lr_schedule, told.entropy_schedule, told.clip_schedule) == ("linear", "linear", "linear")
    assert options.self_play.window == 5


def test_a_seed_to_be_drawn_is_left_to_us_and_told():
    options, notes = read("{behaviors: {Ball: {}}, env_settings: {seed: -1}}")
    assert options.seed == 0
    assert "env_settings.seed" in notes


@pytest.mark.parametrize(
    ("text", "field", "said"),
    [
        ("trainer_type: poca\nnetwork_settings: {memory: {}}", "network_settings.memory", "not supported with trainer"),
        ("trainer_type: poca\nreward_signals: {extrinsic: {}, rnd: {}}", "reward_signals", "curiosity and rnd"),
        ("trainer_type: poca\nbehavioral_cloning: {demo_path: a.demo}", "behavioral_cloning", "trainer_type: ppo"),
        ("trainer_type: poca\nhyperparameters: {shared_critic: true}", "hyperparameters.shared_critic", "unknown"),
        ("trainer_type: poca\nhyperparameters: {tau: 0.1}", "hyperparameters.tau", "unknown"),
        ("trainer_type: mine", "trainer_type", "of your own"),
        ("init_path: a/b", "init_path", "remove"),
        ("max_step: 10", "max_step", "did you mean 'max_steps'?"),
        ("max_steps: 1.5", "max_steps", "whole number"),
        ("max_steps: many", "max_steps", "must be a number"),
        ("hyperparameters: {learning_rat: 1}", "hyperparameters.learning_rat", "learning_rate"),
        ("hyperparameters: {learning_rate: -1}", "hyperparameters.learning_rate", "greater"),
        ("hyperparameters: {buffer_size: 512}", "hyperparameters.buffer_size", "multiple"),
        ("hyperparameters: 3", "hyperparameters", "mapping"),
        ("network_settings: {vis_encode_type: resnett}", "network_settings.vis_encode_type", "resnet"),
        ("network_settings: {vis_encode_type: fully_connected}", "network_settings.vis_encode_type", "simple"),
        ("network_settings: {num_layers: 0}", "network_settings.num_layers", "at least 1"),
        ("network_settings: {num_layers: 1.0e12}", "network_settings.num_layers", "at most 8"),
        ("network_settings: {hidden_units: 0}", "network_settings.hidden_units", "at least 1"),
        (
            "reward_signals: {extrinsic: {}, rnd: {network_settings: {num_layers: 0}}}",
            "reward_signals.rnd.network_settings.num_layers",
            "at least 1",
        ),
        ("network_settings: {normalize: 1}", "network_settings.normalize", "true or false"),
        ("network_settings: {deterministic: true}", "network_settings.deterministic", "explore"),
        ("network_settings: {memory: {memory_size: 9}}", "network_settings.memory.memory_size", "even"),
        ("network_settings: {memory: {sequence_length: 2000}}", "network_settings.memory.sequence_length", "1024"),
        ("reward_signals: {gail: {demo_path: a}, extrinsic: {}}", "reward_signals.gail", "behavioral_cloning"),
        ("reward_signals: {rnd: {}}", "reward_signals", "add extrinsic"),
        ("reward_signals: {extrinsic: {strength: 0}}", "reward_signals.extrinsic.strength", "above 0"),
        ("reward_signals: {extrinsic: {}, rnd: {}, curiosity: {}}", "reward_signals.rnd", "one kind"),
        ("behavioral_cloning: {steps: 5}", "behavioral_cloning.demo_path", "missing"),
    ],
)
def test_what_cannot_be_meant_of_a_behavior_is_refused_with_the_remedy(text, field, said):
    assert said in problems(behavior(text))[f"behaviors.Ball.{field}"]


@pytest.mark.parametrize(
    ("text", "field", "said"),
    [
        ("checkpoint_settings: {initialize_from: other}", "checkpoint_settings.initialize_from", "remove"),
        ("checkpoint_settings: {resume: true}", "checkpoint_settings.resume", "remove"),
        ("engine_settings: {time_scale: 500}", "engine_settings.time_scale", "100"),
        ("env_settings: {num_envs: 0}", "env_settings.num_envs", "1"),
        ("env_settings: {env_args: {a: 1}}", "env_settings.env_args", "list"),
        ("env_settings: {seed: 3.0e9}", "env_settings.seed", "less than"),
        ("env_setting: {}", "env_setting", "did you mean 'env_settings'?"),
        ("torch_settings: {devise: cpu}", "torch_settings.devise", "did you mean 'device'?"),
    ],
)
def test_what_cannot_be_meant_beside_the_behaviors_is_refused(text, field, said):
    assert said in problems("behaviors: {Ball: {}}\n" + text)[field]


@pytest.mark.parametrize(
    ("text", "field"),
    [("behaviors: {}", "behaviors"), ("behaviors: {A: 3}", "behaviors.A"), ("behaviors: 3", "behaviors")],
)
def test_behaviors_that_are_none_are_refused(text, field):
    assert set(problems(text)) == {field}


def test_everything_that_is_wrong_is_said_at_once():
    text = behavior("init_path: a\nmax_step: 1\nhyperparameters: {beta: x}\nnetwork_settings: {num_layer: 2}")
    wrong = ("init_path", "max_step", "hyperparameters.beta", "network_settings.num_layer")
    assert set(problems(text)) == {f"behaviors.Ball.{name}" for name in wrong}
