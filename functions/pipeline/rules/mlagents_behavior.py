"""One behavior of an ML-Agents trainer file, in the form of a request.

What the file leaves out has ML-Agents' own default here, not ours: the same file should train alike
(`mlagents/trainers/settings.py` and `trainers/ppo/optimizer_torch.py`, 1.1.0).
"""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from pipeline.rules.foreign_settings import Findings, Section, Setting, Settings

SUPPORTED: Final[Mapping[str, str]] = {"ppo": "PPO", "sac": "SAC", "poca": "poca"}
"""`trainer_type` to the request's `algorithm`; each needs a reader of its hyperparameters in `_HYPERPARAMETERS`."""

_NOT_WITH_POCA: Final[Mapping[str, tuple[str, str]]] = {
    "network.memory.size": ("network_settings.memory", "memory"),
    "curiosity.kind": ("reward_signals", "curiosity and rnd"),
    "behavioral_cloning.demo": ("behavioral_cloning", "behavioral_cloning"),
}
"""By the request's field: where the file has it, and how it is called there."""

_SAVE_STEPS = 20_000
_MAX_LAYERS = 8
"""As `contracts.job.Network` takes them."""
_MAX_UNITS = 4096

_SCHEDULES = {"linear": "linear", "constant": "constant"}
_ENCODERS = {name: name for name in ("simple", "nature_cnn", "resnet", "match3")}
_CONDITIONING = {"hyper": "hyper", "none": "none"}

_WITHOUT_COUNTERPART: Final[Mapping[str, str]] = {
    "summary_freq": "progress is told after every update",
    "checkpoint_interval": "checkpoints are written by time, at the end and at the best evaluation",
    "keep_checkpoints": "the latest and the best checkpoint are kept",
    "even_checkpoints": "checkpoints are written by time, at the end and at the best evaluation",
    "threaded": "sampling and learning always overlap, by one update",
    "time_horizon": "an agent's stretch of experience is as long as the batch allows, not cut at a horizon",
    "framework": "PyTorch is the only one",
}

_WITHOUT = "curiosity's network has no such setting"
_NOT_OF_CURIOSITY: Final[Mapping[str, tuple[object, str]]] = {
    "normalize": (False, _WITHOUT),
    "vis_encode_type": ("simple", _WITHOUT),
    "memory": (None, _WITHOUT),
    "goal_conditioning_type": ("hyper", _WITHOUT),
    "deterministic": (False, _WITHOUT),
}
"""By name: ML-Agents' default, and what to say of anything else."""


def read_behavior(document: Mapping[Any, Any], path: str, findings: Findings) -> Settings:
    """The settings of `BehaviorSettings` (and `algorithm`), each with the setting of the file that it comes from.

    Args:
        document: what stands below the behavior's name, merged over the file's default settings.
        path: where it stands.
        findings: takes problems and notes.
    """
    section = Section(document, path, findings)
    for name, note in _WITHOUT_COUNTERPART.items():
        section.note(name, note)
    if section.has("init_path"):
        section.refuse("init_path", "training cannot begin from ML-Agents' own checkpoints; remove the setting")
    limit = section.whole("max_steps", 500_000)
    settings: Settings = {"stop": Setting({"env_steps": limit}, section.path("max_steps"))}
    algorithm = _algorithm(section)
    hyperparameters = section.section("hyperparameters") or Section({}, section.path("hyperparameters"), findings)
    if algorithm:
        settings |= _HYPERPARAMETERS[algorithm](hyperparameters)
        settings["algorithm"] = Setting(algorithm, section.path("trainer_type"))
    settings |= _network(section, settings)
    settings |= _reward_signals(section)
    settings |= _self_play(section)
    settings |= _behavioral_cloning(section.section("behavioral_cloning"), limit)
    if algorithm == "poca":
        _refuse_with_poca(settings, section)
    section.close()
    return settings


def _algorithm(section: Section) -> str | None:
    name = str(section.value("trainer_type") or "ppo")
    if name in SUPPORTED:
        return SUPPORTED[name]
    message = f"{name!r} is a trainer of your own, which does not run here; write trainer_type: ppo"
    section.refuse("trainer_type", message)
    return None


def _refuse_with_poca(settings: Settings, behavior: Section) -> None:
    """What the job would refuse, before anything is paid for."""
    for field in sorted(settings.keys() & _NOT_WITH_POCA.keys()):
        name, called = _NOT_WITH_POCA[field]
        behavior.refuse(name, f"{called}: not supported with trainer_type poca; remove it, or write trainer_type: ppo")


def _ppo(section: Section) -> Settings:
    section.note("shared_critic", "policy and value function have networks of their own", unless=False)
    return _on_policy(section)


def _on_policy(section: Section) -> Settings:
    batch, buffer = section.whole("batch_size", 1024), section.whole("buffer_size", 10_240)
    if buffer < batch:
        section.refuse("buffer_size", f"{buffer} is less than batch_size ({batch}); make it a multiple of batch_size")
    # A schedule that is not given follows the learning rate's, where that is given (`check_hyperparam_schedules`).
    follows = str(section.value("learning_rate_schedule"))
    default = follows if follows in _SCHEDULES else "linear"
    values: dict[str, tuple[str, Any]] = {
        "minibatch_size": ("batch_size", batch),
        "train_batch_size": ("buffer_size", buffer),
        "lr": ("learning_rate", section.number("learning_rate", 3.0e-4)),
        "lr_schedule": ("learning_rate_schedule", section.choice("learning_rate_schedule", _SCHEDULES, "linear")),
        "entropy_coeff": ("beta", section.number("beta", 5.0e-3)),
        "entropy_schedule": ("beta_schedule", section.choice("beta_schedule", _SCHEDULES, default)),
        "clip_param": ("epsilon", section.number("epsilon", 0.2)),
        "clip_schedule": ("epsilon_schedule", section.choice("epsilon_schedule", _SCHEDULES, default)),
        "lambda_": ("lambd", section.number("lambd", 0.95)),
        "num_epochs": ("num_epoch", section.whole("num_epoch", 3)),
    }
    section.close()
    settings = {f"hyperparameters.{ours}": Setting(value, section.path(name)) for ours, (name, value) in values.items()}
    # The weight of the value loss is a constant of ML-Agents' PPO loss.
    return settings | {"hyperparameters.vf_loss_coeff": Setting(0.5, section.path(""))}


def _sac(section: Section) -> Settings:
    every = section.number("steps_per_update", 1.0)
    if every < _LEAST_STEPS_PER_UPDATE:
        section.refuse("steps_per_update", f"{every:g} is less than {_LEAST_STEPS_PER_UPDATE:g}, which is the least")
        every = _LEAST_STEPS_PER_UPDATE
    section.note("save_replay_buffer", "checkpoints always have the replay buffer")
    section.note("reward_signal_steps_per_update", "rewards are those of the build alone")
    values: dict[str, tuple[str, Any]] = {
        "minibatch_size": ("batch_size", section.whole("batch_size", 128)),
        "replay_capacity": ("buffer_size", section.whole("buffer_size", 50_000)),
        "learning_starts": ("buffer_init_steps", section.whole("buffer_init_steps", 0)),
        "lr": ("learning_rate", section.number("learning_rate", 3.0e-4)),
        "lr_schedule": ("learning_rate_schedule", section.choice("learning_rate_schedule", _SCHEDULES, "constant")),
        "tau": ("tau", section.number("tau", 0.005)),
        "initial_alpha": ("init_entcoef", section.number("init_entcoef", 1.0)),
        "updates_per_step": ("steps_per_update", 1.0 / every),
    }
    section.close()
    return {f"hyperparameters.{ours}": Setting(value, section.path(name)) for ours, (name, value) in values.items()}


_LEAST_STEPS_PER_UPDATE = 0.05
"""As `contracts.job.Hyperparameters` takes its inverse."""

_HYPERPARAMETERS: Final = {"PPO": _ppo, "SAC": _sac, "poca": _on_policy}


def _network(behavior: Section, settings: Settings) -> Settings:
    section = behavior.section("network_settings") or Section({}, behavior.path("network_settings"), behavior.findings)
    if section.value("deterministic") is True:
        section.refuse("deterministic", "an agent that does not explore does not learn; remove the setting")
    if section.has("deterministic"):
        section.flag("deterministic", False)
    found = {
        "network.hidden_sizes": Setting(_sizes(section, 128), section.path("hidden_units")),
        "network.activation": Setting("silu", section.path("")),
        "network.normalize_observations": Setting(section.flag("normalize", False), section.path("normalize")),
        "network.image_encoder": Setting(_encoder(section), section.path("vis_encode_type")),
    }
    if section.has("goal_conditioning_type"):
        conditioning = section.choice("goal_conditioning_type", _CONDITIONING, "hyper")
        found["network.goal_conditioning"] = Setting(conditioning, section.path("goal_conditioning_type"))
    found |= _memory(section, settings)
    section.close()
    return found


def _sizes(section: Section, default_units: int) -> list[int]:
    """Of the hidden layers; no list is made of a number of layers that nobody would train."""
    layers = _bounded(section, "num_layers", 2, _MAX_LAYERS)
    return [_bounded(section, "hidden_units", default_units, _MAX_UNITS)] * layers


def _bounded(section: Section, name: str, default: int, most: int) -> int:
    found = section.whole(name, default)
    if 1 <= found <= most:
        return found
    section.refuse(name, f"must be at least 1 and at most {most}, not {found}")
    return 1


def _encoder(section: Section) -> str:
    if section.value("vis_encode_type") == "fully_connected":
        section.refuse("vis_encode_type", "images are read by convolutions only; write vis_encode_type: simple")
        return "simple"
    return section.choice("vis_encode_type", _ENCODERS, "simple")


def _memory(network: Section, settings: Settings) -> Settings:
    section = network.section("memory")
    if section is None:  # what a preset of ours may have, ML-Agents' own defaults have not
        return {"network.memory": Setting("none", network.path("memory"))}
    # ML-Agents counts the LSTM's hidden and cell state together (`torch_entities/layers.py`, class LSTM).
    both, length = section.whole("memory_size", 128), section.whole("sequence_length", 64)
    if both % 2:
        section.refuse(
            "memory_size", f"must be even, not {both}: one half of it is the hidden state, one the cell state"
        )
    batch = settings.get("hyperparameters.minibatch_size")
    if batch is not None and length > batch.value:
        section.refuse("sequence_length", f"{length} is more than batch_size ({batch.value})")
    section.close()
    return {
        "network.memory.size": Setting(both // 2, section.path("memory_size")),
        "network.memory.sequence_length": Setting(length, section.path("sequence_length")),
    }


def _reward_signals(behavior: Section) -> Settings:
    section = behavior.section("reward_signals")
    gamma = Setting(0.99, behavior.path("reward_signals"))
    if section is None:
        return {"hyperparameters.gamma": gamma}
    if section.has("gail"):
        section.refuse("gail", "GAIL is not supported; remove it, and give the recording to behavioral_cloning")
    settings: Settings = {}
    strength = 1.0
    extrinsic = section.section("extrinsic")
    if extrinsic is None:
        section.refuse("", "without the signal extrinsic the game's own reward would not count; add extrinsic")
    else:
        gamma = Setting(extrinsic.number("gamma", 0.99), extrinsic.path("gamma"))
        strength = _extrinsic_strength(extrinsic)
    settings["hyperparameters.gamma"] = gamma
    return settings | _curiosity(section, strength, gamma.value)


def _extrinsic_strength(section: Section) -> float:
    strength = section.number("strength", 1.0)
    section.note("network_settings", "the game's reward comes from the game; no network is made for it")
    if strength <= 0:
        section.refuse("strength", "must be above 0, or the game's own reward would not count")
        strength = 1.0
    elif strength != 1:
        section.note("strength", "returns are told as the game gives them; a curiosity's strength was divided by it")
    section.close()
    return strength


def _curiosity(signals: Section, extrinsic_strength: float, gamma: float) -> Settings:
    """Intrinsic reward; its strength is in relation to the game's reward, which we do not scale."""
    kinds = [
        (name, kind, lr) for name, kind, lr in (("curiosity", "icm", 3e-4), ("rnd", "rnd", 1e-4)) if signals.has(name)
    ]
    signals.close()
    if len(kinds) > 1:
        signals.refuse("rnd", "one kind of curiosity at a time; remove curiosity or rnd")
    if not kinds or (section := signals.section(kinds[0][0])) is None:
        return {}
    _, kind, lr = kinds[0]
    strength = section.number("strength", 1.0) / extrinsic_strength
    if section.number("gamma", 0.99) != gamma:
        section.note("gamma", f"all rewards are discounted alike, by extrinsic.gamma ({gamma:g})")
    rate = section.number("learning_rate", lr)
    units = section.whole("encoding_size", 128)  # an older name, which network_settings overrules
    if section.has("network_settings"):
        units = 128
    network = section.section("network_settings") or Section({}, section.path("network_settings"), signals.findings)
    sizes = _sizes(network, units)
    network.note_each(_NOT_OF_CURIOSITY)
    network.close()
    section.close()
    if strength == 0:
        section.note("strength", "0: no curiosity")
        return {}
    return {
        "curiosity.kind": Setting(kind, signals.path(kinds[0][0])),
        "curiosity.strength": Setting(strength, section.path("strength")),
        "curiosity.lr": Setting(rate, section.path("learning_rate")),
        "curiosity.hidden_sizes": Setting(sizes, network.path("hidden_units")),
    }


def default_team_change(save_steps: object) -> int:
    """Of a self-play that saves this often; of what is no number, as if nothing were said."""
    return 5 * (save_steps if isinstance(save_steps, int) else _SAVE_STEPS)


def _self_play(behavior: Section) -> Settings:
    section = behavior.section("self_play")
    if section is None:
        return {"self_play": Setting("none", behavior.path("self_play"))}
    save_steps = section.whole("save_steps", _SAVE_STEPS)
    values = {
        "save_steps": save_steps,
        "team_change": section.whole("team_change", default_team_change(save_steps)),
        "swap_steps": section.whole("swap_steps", 2_000),
        "window": section.whole("window", 10),
        "play_against_latest_model_ratio": section.number("play_against_latest_model_ratio", 0.5),
        "initial_elo": section.number("initial_elo", 1200.0),
    }
    section.close()
    return {f"self_play.{name}": Setting(value, section.path(name)) for name, value in values.items()}


def _behavioral_cloning(section: Section | None, limit: int) -> Settings:
    if section is None:
        return {}
    path = section.value("demo_path")
    if not isinstance(path, str) or not path.strip():
        section.refuse("demo_path", "is missing; name the recording, a .demo file or a folder of them in the zip")
        path = "missing"
    steps = section.whole("steps", 0)
    if steps == 0:
        section.note("steps", "0: imitation goes on to the end (max_steps), and its weight falls as it goes")
    section.note("num_epoch", "every update imitates as often as it learns from the batch")
    section.note("samples_per_update", "every update imitates as often as it learns from the batch")
    settings = {
        "behavioral_cloning.demo": Setting(PurePosixPath(path.replace("\\", "/")).name, section.path("demo_path")),
        "behavioral_cloning.strength": Setting(section.number("strength", 1.0), section.path("strength")),
        "behavioral_cloning.steps": Setting(steps or limit, section.path("steps")),
    }
    if section.has("batch_size"):
        settings["behavioral_cloning.batch_size"] = Setting(section.whole("batch_size", 1), section.path("batch_size"))
    section.close()
    return settings
