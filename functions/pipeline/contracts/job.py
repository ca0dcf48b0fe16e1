"""What a training or evaluation job is told, and how it travels as SageMaker hyperparameters.

SageMaker hyperparameters are a flat map of strings (botocore: `HyperParameters`, at most 100 entries; keep a value
within 256 characters). A nested field becomes a dotted name, a value its JSON text:
`{"hyperparameters": {"lr": 0.0003}}` travels as `{"hyperparameters.lr": "0.0003"}`.
"""

import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, TypeAdapter

from pipeline.contracts.base import Contract
from pipeline.contracts.problem import FieldProblem
from pipeline.contracts.validation import InvalidDocumentError, Model, read_document


class Hyperparameters(Contract):
    """PPO's hyperparameters by RLlib's names. A field left out is chosen by preset or from the build's specs."""

    lr: float | None = Field(default=None, gt=0, le=1)
    gamma: float | None = Field(default=None, ge=0, le=1)
    lambda_: float | None = Field(default=None, ge=0, le=1, description="lambda of generalised advantage estimation")
    clip_param: float | None = Field(default=None, gt=0, lt=1)
    entropy_coeff: float | None = Field(default=None, ge=0)
    vf_loss_coeff: float | None = Field(default=None, ge=0)
    grad_clip: float | None = Field(default=None, gt=0)
    train_batch_size: int | None = Field(default=None, ge=8, description="agent decisions per update")
    minibatch_size: int | None = Field(default=None, ge=1)
    num_epochs: int | None = Field(default=None, ge=1, le=100)


class Network(Contract):
    """The policy's and value function's networks. A field left out is chosen by preset or from the build's specs."""

    hidden_sizes: tuple[int, ...] | None = Field(default=None, min_length=1, max_length=8)
    activation: Literal["tanh", "relu", "silu"] | None = None
    normalize_observations: bool | None = None


class StopRule(Contract):
    """Training ends when any of these holds. A rule given by the user replaces the default rule whole."""

    env_steps: int | None = Field(default=None, ge=1, description="agent decisions of the learning behavior")
    mean_return: float | None = Field(default=None, description="mean episode return that is good enough")
    patience: int = Field(default=1, ge=1, description="updates in a row that must reach mean_return")
    no_improvement_env_steps: int | None = Field(
        default=None, ge=1, description="agent decisions without a better mean return"
    )
    wall_time_seconds: float | None = Field(default=None, gt=0)
    budget_usd: float | None = Field(default=None, gt=0, description="to be spent on the training job's instances")
    usd_per_hour: float | None = Field(default=None, gt=0, description="price of one instance, if not the list's")


class Environment(Contract):
    """How the Unity build is started and what is sent over its side channels."""

    executable: str | None = Field(default=None, description="path in the zip, needed when it holds several")
    arguments: tuple[str, ...] = Field(default=(), description="command line arguments for the build")
    parameters: dict[str, float] = Field(default_factory=dict, description="ML-Agents environment parameters")
    time_scale: float = Field(default=20.0, gt=0, le=100)
    num_builds: int | None = Field(default=None, ge=1, le=64, description="copies of the build played side by side")
    graphics: bool | None = Field(
        default=None, description="start with graphics, on a display; left out, if a sensor may be a camera"
    )
    startup_timeout_seconds: float = Field(default=120.0, gt=0)
    step_timeout_seconds: float = Field(default=60.0, gt=0)


class TrainingJobConfig(Contract):
    """Everything that shapes a training job."""

    algorithm: Literal["PPO"] = "PPO"
    hyperparameters: Hyperparameters = Hyperparameters()
    network: Network = Network()
    stop: StopRule | None = Field(default=None, description="left out: the default rule of the preset")
    environment: Environment = Environment()
    seed: int = Field(default=0, ge=0, lt=2**31)


class EvaluationJobConfig(Contract):
    """Everything that shapes an evaluation job."""

    episodes: int = Field(default=100, ge=1, le=100_000, description="episodes for each behavior")
    environment: Environment = Environment()
    seed: int = Field(default=1_000_003, ge=0, lt=2**31, description="not the training's seed")


def to_hyperparameters(config: Contract) -> dict[str, str]:
    """Flatten a job's configuration into SageMaker's map of strings; fields that are None are left out."""
    return {name: json.dumps(value) for name, value in _flatten(config.model_dump(mode="json", exclude_none=True))}


def from_hyperparameters(model: type[Model], hyperparameters: Mapping[str, str]) -> Model:
    """Read SageMaker's map of strings back into a job's configuration; the inverse of `to_hyperparameters`.

    A value that is no JSON (a bare word) is taken as the string that it is.

    Raises:
        InvalidDocumentError: an unknown name (with the nearest known one), or a value out of range.
    """
    document: dict[str, Any] = {}
    for name, text in hyperparameters.items():
        *parents, leaf = name.split(".")
        if parents[:2] == ["environment", "parameters"]:
            parents, leaf = parents[:2], name.removeprefix("environment.parameters.")
        target: Any = document
        for parent in parents:
            target = target.setdefault(parent, {}) if isinstance(target, dict) else None
        if not isinstance(target, dict) or leaf in target:
            raise InvalidDocumentError([FieldProblem(field=name, message="contradicts another hyperparameter's name")])
        target[leaf] = _value(text)
    return read_document(model, document)


def _flatten(document: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for name, value in document.items():
        if isinstance(value, dict):
            pairs += _flatten(value, f"{prefix}{name}.")
        else:
            pairs.append((f"{prefix}{name}", value))
    return pairs


def _value(text: str) -> Any:
    try:
        return _JSON.validate_json(text)
    except ValueError:
        return text


_JSON: TypeAdapter[Any] = TypeAdapter(Any)
