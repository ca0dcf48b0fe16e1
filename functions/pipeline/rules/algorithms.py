"""Settings that an algorithm does not have, or cannot be trained with: refused before a job is paid for.

The training job refuses the same (`rl_src/training/settings/presets.py`), and what only the build's specs show.
"""

from collections.abc import Iterator, Mapping
from typing import Literal

from pipeline.contracts.job import BehaviorSettings, Hyperparameters, StopRule, TrainingJobConfig
from pipeline.contracts.problem import FieldProblem
from pipeline.contracts.validation import InvalidDocumentError

Algorithm = Literal["PPO", "APPO", "SAC", "poca"]

_ON_POLICY = (
    "entropy_schedule",
    "clip_schedule",
    "lambda_",
    "clip_param",
    "entropy_coeff",
    "vf_loss_coeff",
    "num_epochs",
)
_PPO = ("precision",)
_APPO = ("vtrace_clip_rho_threshold", "vtrace_clip_pg_rho_threshold", "learner_queue_size")
_SAC = ("replay_capacity", "tau", "initial_alpha", "updates_per_step", "learning_starts")

OF_OTHERS: Mapping[Algorithm, Mapping[Algorithm, tuple[str, ...]]] = {
    "PPO": {"APPO": _APPO, "SAC": _SAC},
    "APPO": {"SAC": _SAC},
    "SAC": {"PPO": (*_ON_POLICY, *_PPO), "APPO": _APPO},
    "poca": {"PPO": _PPO, "APPO": _APPO, "SAC": _SAC},
}
"""Hyperparameters that an algorithm does not have, by one that does."""

UNSUPPORTED: Mapping[Algorithm, tuple[str, ...]] = {
    "PPO": (),
    "APPO": ("environment.lockstep",),
    "SAC": ("self_play", "curiosity", "behavioral_cloning", "network.memory"),
    "poca": ("curiosity", "behavioral_cloning", "network.memory"),
}
"""What an algorithm is not trained together with."""


def check_algorithm(config: TrainingJobConfig) -> None:
    """Refuse settings that the algorithm has no use for, and those that contradict one another.

    Raises:
        InvalidDocumentError: one problem for each of them.
    """
    problems = [*_of_all(config)]
    for name, own in config.behaviors.items():
        problems += _of_one(own, config, f"behaviors.{name}.")
    if problems:
        raise InvalidDocumentError(problems)


def _of_all(config: TrainingJobConfig) -> Iterator[FieldProblem]:
    yield from _of_one(config, config, "")
    if config.environment.lockstep and "environment.lockstep" in UNSUPPORTED[config.algorithm]:
        yield _unsupported("environment.lockstep", config.algorithm)


def _of_one(
    own: TrainingJobConfig | BehaviorSettings, config: TrainingJobConfig, prefix: str
) -> Iterator[FieldProblem]:
    """`prefix`: of the field's path, for one behavior of several."""
    for other, names in OF_OTHERS[config.algorithm].items():
        for name in names:
            if getattr(own.hyperparameters, name) is not None:
                message = f"is {other}'s, and the algorithm is {config.algorithm}; leave it out, or choose {other}"
                yield FieldProblem(field=f"{prefix}hyperparameters.{name}", message=message)
    asked = {
        "self_play": own.self_play,
        "curiosity": own.curiosity,
        "behavioral_cloning": own.behavioral_cloning,
        "network.memory": own.network.memory,
    }
    for name in UNSUPPORTED[config.algorithm]:
        if asked.get(name) not in (None, "none"):
            yield _unsupported(f"{prefix}{name}", config.algorithm)
    yield from _batches(own.hyperparameters, config, f"{prefix}hyperparameters.minibatch_size")
    if own.stop == StopRule():
        yield FieldProblem(field=f"{prefix}stop", message="is empty, so training would never end; name a limit")


def _batches(own: Hyperparameters, config: TrainingJobConfig, field: str) -> Iterator[FieldProblem]:
    if config.algorithm == "SAC":
        return  # its minibatches come from all that it has kept
    batch = own.train_batch_size or config.hyperparameters.train_batch_size
    minibatch = own.minibatch_size or config.hyperparameters.minibatch_size
    if batch and minibatch and minibatch > batch:
        yield FieldProblem(field=field, message=f"is {minibatch}, larger than train_batch_size, which is {batch}")


def _unsupported(field: str, algorithm: Algorithm) -> FieldProblem:
    return FieldProblem(field=field, message=f"is not supported with {algorithm}; leave it out, or choose PPO")
