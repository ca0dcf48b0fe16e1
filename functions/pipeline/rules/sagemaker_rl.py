"""Hyperparameters as SageMaker RL's Ray container takes them, in the form of a request.

That container hands `rl.training.config.*` to RLlib, `rl.training.stop.*` to Tune's stop rule and `rl.training.run` to
the choice of the algorithm (sagemaker-rl-container, `sagemaker_rl/ray_launcher.py`). Names of RLlib's old and new API
stack mean the same here.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from pipeline.contracts.validation import InvalidDocumentError
from pipeline.rules.foreign_settings import Findings, Section, Setting, Settings, nest

PREFIX: Final = "rl.training."

_ALGORITHMS: Final = {"PPO": "PPO", "APPO": "APPO", "SAC": "SAC"}
_ACTIVATIONS: Final = {"tanh": "tanh", "relu": "relu", "silu": "silu", "swish": "silu"}
_FILTERS: Final = {"MeanStdFilter": "yes", "NoFilter": "no"}
_LSTM: Final = ("config.model.use_lstm", "config.model.lstm_cell_size", "config.model.max_seq_len")

_NEEDLESS: Final[Mapping[str, str]] = {
    "env": "the environment is the build",
    "config.env": "the environment is the build",
    "config.framework": "PyTorch is the only one",
    "config.use_pytorch": "PyTorch is the only one",
    "config.num_gpus": "learning is on the GPU where the instance has one",
    "config.num_learners": "one learner trains each behavior",
    "config.log_level": "the log is always detailed",
    "checkpoint_freq": "checkpoints are written by time, at the end and at the best evaluation",
    "checkpoint_at_end": "checkpoints are written by time, at the end and at the best evaluation",
    "local_dir": "artifacts lie below the run's own prefix in the bucket",
    "upload_dir": "artifacts lie below the run's own prefix in the bucket",
}
"""What changes nothing here; refused all the same, for nobody would see a note on it."""


def expand(document: Mapping[str, Any]) -> dict[str, Any]:
    """The request with SageMaker RL's names in `hyperparameters` replaced by our fields; without any, as it is.

    Raises:
        InvalidDocumentError: with every name that is unknown or contradicts another field, and every wrong value.
    """
    given = document.get("hyperparameters")
    if not isinstance(given, Mapping) or not any(str(name).startswith(PREFIX) for name in given):
        return dict(document)
    flat = {name: value for name, value in given.items() if name.startswith(PREFIX)}
    rest = {**document, "hyperparameters": {name: value for name, value in given.items() if name not in flat}}
    findings = Findings()
    section = Section({name.removeprefix(PREFIX): value for name, value in flat.items()}, _SHOWN_PREFIX, findings)
    settings = _settings(section)
    _refuse_needless(section)
    section.close()
    for name, setting in settings.items():
        if _has(rest, name):
            section.refuse(setting.origin.removeprefix(f"{_SHOWN_PREFIX}."), f"the request sets {name} too; remove one")
    if findings.problems:
        raise InvalidDocumentError(findings.problems)
    return _joined(rest, nest(settings))


_SHOWN_PREFIX: Final = f"hyperparameters.{PREFIX.removesuffix('.')}"

_Read = Callable[[Section, str], Any]


def _float(section: Section, name: str) -> float:
    return section.number(name, 1.0)


def _int(section: Section, name: str) -> int:
    return section.whole(name, 1)


def _builds(section: Section, name: str) -> int:
    """RLlib's 0 workers: it samples in the learner's own process, from one environment."""
    return max(1, section.whole(name, 1))


def _sizes(section: Section, name: str) -> list[int]:
    """A list, or the JSON text of one, as SageMaker's map of texts needs it."""
    found = section.value(name)
    try:
        values = json.loads(found) if isinstance(found, str) else found
        if isinstance(values, list) and all(type(value) is int for value in values):
            return values
    except ValueError:
        pass
    section.refuse(name, f"must be a list of whole numbers, not {found!r}")
    return [1]


_FIELDS: Final[tuple[tuple[str, _Read, tuple[str, ...]], ...]] = (
    ("hyperparameters.lr", _float, ("config.lr",)),
    ("hyperparameters.gamma", _float, ("config.gamma",)),
    ("hyperparameters.lambda_", _float, ("config.lambda", "config.lambda_")),
    ("hyperparameters.clip_param", _float, ("config.clip_param",)),
    ("hyperparameters.entropy_coeff", _float, ("config.entropy_coeff",)),
    ("hyperparameters.vf_loss_coeff", _float, ("config.vf_loss_coeff",)),
    ("hyperparameters.grad_clip", _float, ("config.grad_clip",)),
    ("hyperparameters.train_batch_size", _int, ("config.train_batch_size", "config.train_batch_size_per_learner")),
    ("hyperparameters.minibatch_size", _int, ("config.sgd_minibatch_size", "config.minibatch_size")),
    ("hyperparameters.num_epochs", _int, ("config.num_sgd_iter", "config.num_epochs")),
    ("hyperparameters.vtrace_clip_rho_threshold", _float, ("config.vtrace_clip_rho_threshold",)),
    ("hyperparameters.vtrace_clip_pg_rho_threshold", _float, ("config.vtrace_clip_pg_rho_threshold",)),
    ("hyperparameters.learner_queue_size", _int, ("config.learner_queue_size",)),
    ("network.hidden_sizes", _sizes, ("config.model.fcnet_hiddens",)),
    ("environment.num_builds", _builds, ("config.num_workers", "config.num_env_runners")),
    ("seed", _int, ("config.seed",)),
    ("stop.env_steps", _int, ("stop.timesteps_total", "stop.num_env_steps_sampled_lifetime")),
    (
        "stop.mean_return",
        _float,
        ("stop.episode_reward_mean", "stop.episode_return_mean", "stop.env_runners/episode_return_mean"),
    ),
    ("stop.wall_time_seconds", _float, ("stop.time_total_s",)),
)
"""Our field, how its value is read, and RLlib's names for it."""


def _settings(section: Section) -> Settings:
    settings: Settings = {}
    for ours, read, names in _FIELDS:
        given = [name for name in names if section.has(name)]
        if len(given) > 1:
            section.refuse(given[1], f"means the same as {given[0]}; remove one")
        if given:
            settings[ours] = Setting(read(section, given[0]), section.path(given[0]))
    if section.has("run"):
        settings["algorithm"] = Setting(section.choice("run", _ALGORITHMS, "PPO"), section.path("run"))
    if section.has(name := "config.model.fcnet_activation"):
        settings["network.activation"] = Setting(section.choice(name, _ACTIVATIONS, "tanh"), section.path(name))
    if section.has(name := "config.observation_filter"):
        normalized = section.choice(name, _FILTERS, "NoFilter") == "yes"
        settings["network.normalize_observations"] = Setting(normalized, section.path(name))
    return settings | _memory(section)


def _memory(section: Section) -> Settings:
    """RLlib's own sizes where nothing else is said (`rllib/models/catalog.py`: 256 units, sequences of 20)."""
    use, size, length = _LSTM
    given = [name for name in _LSTM if section.has(name)]
    wanted = section.value(use) in (True, "true", "True")
    if given and not wanted:
        section.refuse(given[-1], "has no meaning without config.model.use_lstm: true; remove it")
    if not wanted:
        return {}
    return {
        "network.memory.size": Setting(section.whole(size, 256), section.path(size)),
        "network.memory.sequence_length": Setting(section.whole(length, 20), section.path(length)),
    }


def _refuse_needless(section: Section) -> None:
    for name, why in _NEEDLESS.items():
        if section.has(name):
            section.refuse(name, f"changes nothing, for {why}; remove it")


def _has(document: Mapping[str, Any], name: str) -> bool:
    found: Any = document
    for part in name.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return False
        found = found[part]
    return True


def _joined(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(first)
    for name, value in second.items():
        known = result.get(name)
        result[name] = _joined(known, value) if isinstance(known, Mapping) and isinstance(value, Mapping) else value
    return result
