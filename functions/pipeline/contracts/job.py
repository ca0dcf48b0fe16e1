"""What a training or evaluation job is told, and how it travels as SageMaker hyperparameters.

SageMaker hyperparameters are a flat map of strings (botocore: `HyperParameters`, at most 100 entries; keep a value
within 256 characters). A nested field becomes a dotted name, a value its JSON text:
`{"hyperparameters": {"lr": 0.0003}}` travels as `{"hyperparameters.lr": "0.0003"}`.
"""

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Discriminator, Field, Tag, TypeAdapter

from pipeline.contracts.base import Contract
from pipeline.contracts.parameters import EnvironmentParameter
from pipeline.contracts.problem import FieldProblem
from pipeline.contracts.validation import InvalidDocumentError, Model, read_document

MAX_VALUE_CHARACTERS = 256
"""What SageMaker is known to take as one value."""

Schedule = Literal["linear", "constant"]
"""Linear: falls until the limit on env_steps, to a tenth (the clip range: to half); without a limit it is constant."""


Settings = TypeVar("Settings", bound=Contract)

OrNothing = Annotated[
    Annotated[Settings, Tag("form:settings")] | Annotated[Literal["none"], Tag("form:none")],
    Discriminator(lambda value: "form:none" if isinstance(value, str) else "form:settings"),
]
"""Settings of what a preset may have, or "none": without it."""


class Memory(Contract):
    """An LSTM behind the hidden layers."""

    size: int = Field(default=128, ge=4, le=2048, description="units; half of ML-Agents' memory_size")
    sequence_length: int = Field(default=64, ge=2, le=1024, description="decisions that are learned through at once")


class Hyperparameters(Contract):
    """By RLlib's names where it has one. A field left out is chosen by preset or from the build's specs.

    The last five are SAC's, the three before them APPO's; schedules of entropy and clipping, lambda_, clip_param,
    entropy_coeff, vf_loss_coeff and num_epochs are PPO's, APPO's and poca's; precision is PPO's and APPO's. One that is
    not the chosen algorithm's is refused.
    """

    device: Literal["auto", "cpu", "cuda"] | None = Field(
        default=None, description="where it is learned; auto, or left out: on a GPU where the instance has one"
    )
    precision: Literal["float32", "bfloat16"] | None = Field(
        default=None, description="of the networks' products while learning; bfloat16 is for large networks on a GPU"
    )
    lr: float | None = Field(default=None, gt=0, le=1)
    lr_schedule: Schedule | None = None
    entropy_schedule: Schedule | None = None
    clip_schedule: Schedule | None = None
    gamma: float | None = Field(default=None, ge=0, le=1)
    lambda_: float | None = Field(default=None, ge=0, le=1, description="lambda of generalised advantage estimation")
    clip_param: float | None = Field(default=None, gt=0, lt=1)
    entropy_coeff: float | None = Field(default=None, ge=0)
    vf_loss_coeff: float | None = Field(default=None, ge=0)
    grad_clip: float | None = Field(default=None, gt=0)
    train_batch_size: int | None = Field(default=None, ge=8, description="agent decisions per update")
    minibatch_size: int | None = Field(default=None, ge=1)
    num_epochs: int | None = Field(default=None, ge=1, le=100)
    vtrace_clip_rho_threshold: float | None = Field(
        default=None, ge=1, le=1000, description="APPO: most that an old decision counts in a value's target"
    )
    vtrace_clip_pg_rho_threshold: float | None = Field(
        default=None, gt=0, le=1000, description="APPO: most that an old decision counts in the policy's loss"
    )
    learner_queue_size: int | None = Field(
        default=None, ge=1, le=64, description="APPO: train batches that may wait for the learner"
    )
    replay_capacity: int | None = Field(default=None, ge=1000, le=10_000_000, description="agent decisions kept by SAC")
    tau: float | None = Field(default=None, gt=0, le=1, description="how fast SAC's target networks follow")
    initial_alpha: float | None = Field(default=None, gt=0, description="SAC's temperatures at first; then learned")
    updates_per_step: float | None = Field(default=None, gt=0, le=20, description="SAC's updates for each decision")
    learning_starts: int | None = Field(default=None, ge=0, description="decisions before SAC's first update")


class Network(Contract):
    """The policy's and value function's networks. A field left out is chosen by preset or from the build's specs."""

    hidden_sizes: tuple[int, ...] | None = Field(default=None, min_length=1, max_length=8)
    activation: Literal["tanh", "relu", "silu"] | None = None
    normalize_observations: bool | None = None
    goal_conditioning: Literal["hyper", "none"] | None = Field(
        default=None, description="hyper: goal signals make the last hidden layer's weights, if there are any"
    )
    image_encoder: Literal["simple", "nature_cnn", "resnet", "match3"] | None = Field(
        default=None, description="by ML-Agents' vis_encode_type; left out, by the size of the image"
    )
    memory: OrNothing[Memory] | None = Field(
        default=None, description="left out: as a preset says, or none: the policy remembers nothing"
    )


class Curiosity(Contract):
    """An intrinsic reward for what is new: ICM (arXiv:1705.05363) or RND (arXiv:1810.12894)."""

    kind: Literal["icm", "rnd"] = "rnd"
    strength: float = Field(default=0.01, gt=0)
    lr: float = Field(default=1e-3, gt=0, le=1)
    hidden_sizes: tuple[int, ...] = Field(default=(128,), min_length=1, max_length=8)


class BehavioralCloning(Contract):
    """A warm start from ML-Agents recordings, whose weight falls in a straight line to nothing."""

    demo: str = Field(min_length=1, description="a .demo file, or a folder of them, in the build's zip")
    strength: float = Field(default=0.5, gt=0, le=1)
    steps: int = Field(default=50_000, ge=1, description="agent decisions until it ends")
    batch_size: int | None = Field(default=None, ge=1, description="left out: the minibatch's size")
    pairing: Literal["own", "next"] = Field(
        default="own", description="whose action answers an observation: its own record's, or the next record's"
    )


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


class SelfPlay(Contract):
    """Teams play past selves, by ML-Agents' names. Steps are agent decisions; team_change: left out, 5 x save_steps."""

    save_steps: int = Field(default=20_000, ge=1)
    team_change: int | None = Field(default=None, ge=1)
    swap_steps: int = Field(default=2_000, ge=1)
    window: int = Field(default=10, ge=1, le=100)
    play_against_latest_model_ratio: float = Field(default=0.5, ge=0, le=1)
    initial_elo: float = 1200.0
    k_factor: float = Field(default=1.0, gt=0)


class BehaviorSettings(Contract):
    """What is set otherwise for one behavior of several; what is left out is as for all."""

    hyperparameters: Hyperparameters = Hyperparameters()
    network: Network = Network()
    stop: StopRule | None = None
    self_play: OrNothing[SelfPlay] | None = None
    curiosity: Curiosity | None = None
    behavioral_cloning: BehavioralCloning | None = None


class Environment(Contract):
    """How the Unity build is started and what is sent over its side channels."""

    executable: str | None = Field(default=None, description="path in the zip, needed when it holds several")
    arguments: tuple[str, ...] = Field(default=(), description="command line arguments for the build")
    parameters: dict[str, EnvironmentParameter] = Field(
        default_factory=dict, description="ML-Agents environment parameters: numbers, samplers, curricula"
    )
    time_scale: float = Field(default=20.0, gt=0, le=100)
    num_builds: int | None = Field(
        default=None, ge=1, le=64, description="copies of the build played side by side, on each host of the job"
    )
    lockstep: bool = Field(
        default=False, description="several builds wait for each other in every step, so that a seed repeats"
    )
    graphics: bool | None = Field(
        default=None, description="start with graphics, on a display; left out, if a sensor may be a camera"
    )
    startup_timeout_seconds: float = Field(default=120.0, gt=0)
    step_timeout_seconds: float = Field(default=60.0, gt=0)


class TrainingJobConfig(Contract):
    """Everything that shapes a training job."""

    algorithm: Literal["PPO", "APPO", "SAC", "poca"] = Field(
        default="PPO",
        description="APPO: PPO whose builds never wait for the learner; SAC: fewer decisions, more learning for each; "
        "poca: MA-POCA, for agents rewarded as a group",
    )
    hyperparameters: Hyperparameters = Hyperparameters()
    network: Network = Network()
    stop: StopRule | None = Field(default=None, description="left out: the default rule of the preset")
    self_play: OrNothing[SelfPlay] | None = Field(
        default=None, description="left out: all teams learn, unless a preset says otherwise; none: they do"
    )
    curiosity: Curiosity | None = None
    behavioral_cloning: BehavioralCloning | None = None
    behaviors: dict[str, BehaviorSettings] = Field(default_factory=dict, description="by behavior name, without team")
    environment: Environment = Environment()
    seed: int = Field(default=0, ge=0, lt=2**31)


class TrainingJobInput(TrainingJobConfig):
    """What a training job is told: its configuration, and what the artifact that it begins with has to be."""

    initial_sha256: str | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{64}$",
        description="of the archive in the channel `initial`, as the run that made it recorded it",
    )

    def config(self) -> TrainingJobConfig:
        """What shapes the training."""
        return TrainingJobConfig.model_validate({name: getattr(self, name) for name in TrainingJobConfig.model_fields})


class EvaluationJobConfig(Contract):
    """Everything that shapes an evaluation job."""

    episodes: int = Field(default=100, ge=1, le=100_000, description="episodes for each behavior")
    environment: Environment = Environment()
    seed: int = Field(default=1_000_003, ge=0, lt=2**31, description="not the training's seed")
    success_return: float | None = Field(default=None, description="least return of an episode that is a success")
    replay_episodes: int = Field(default=3, ge=0, le=10, description="episodes of each behavior that are recorded")


def to_hyperparameters(config: Contract) -> dict[str, str]:
    """Flatten a job's configuration into SageMaker's map of strings; fields that are None are left out.

    A text of more than 256 characters is cut: `behaviors` travels as `behaviors#0`, `behaviors#1`, ...
    """
    document = config.model_dump(mode="json", exclude_none=True)
    return dict(part for name, value in _flatten(document) for part in _parts(name, json.dumps(value)))


def from_hyperparameters(model: type[Model], hyperparameters: Mapping[str, str]) -> Model:
    """Read SageMaker's map of strings back into a job's configuration; the inverse of `to_hyperparameters`.

    A value that is no JSON (a bare word) is taken as the string that it is.

    Raises:
        InvalidDocumentError: an unknown name (with the nearest known one), or a value out of range.
    """
    document: dict[str, Any] = {}
    for name, text in _joined(hyperparameters).items():
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
    """Below names that users make (of behaviors and environment parameters) nothing is flattened."""
    pairs: list[tuple[str, Any]] = []
    for name, value in document.items():
        path = f"{prefix}{name}"
        if isinstance(value, dict) and path != "behaviors" and prefix != "environment.parameters.":
            pairs += _flatten(value, f"{path}.")
        elif value != {}:
            pairs.append((path, value))
    return pairs


def _parts(name: str, text: str) -> list[tuple[str, str]]:
    if len(text) <= MAX_VALUE_CHARACTERS:
        return [(name, text)]
    starts = range(0, len(text), MAX_VALUE_CHARACTERS)
    return [(f"{name}#{number}", text[at : at + MAX_VALUE_CHARACTERS]) for number, at in enumerate(starts)]


def _joined(hyperparameters: Mapping[str, str]) -> dict[str, str]:
    """The inverse of `_parts`, in whatever order the parts come."""
    found: dict[str, dict[int, str]] = {}
    for name, text in hyperparameters.items():
        part = _PART.search(name)
        whole, number = (name[: part.start()], int(part[1])) if part else (name, 0)
        found.setdefault(whole, {})[number] = text
    return {name: "".join(text for _, text in sorted(parts.items())) for name, parts in found.items()}


def _value(text: str) -> Any:
    try:
        return _JSON.validate_json(text)
    except ValueError:
        return text


_JSON: TypeAdapter[Any] = TypeAdapter(Any)
_PART = re.compile(r"#(\d+)$")
