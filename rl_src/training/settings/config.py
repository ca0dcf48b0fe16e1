"""What a training is told. A field that is None is derived by `presets.resolve` from the behavior's name and specs."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from rl_src.envs.player import PlayerUser
from rl_src.training.errors import InvalidTrainingConfigError
from rl_src.training.self_play.past_selves import SelfPlaySettings
from rl_src.training.settings.curriculum import Parameter
from rl_src.training.settings.curriculum_form import read_parameters

Algorithm = Literal["PPO", "APPO", "SAC", "poca"]
Activation = Literal["tanh", "relu", "silu"]
GoalConditioning = Literal["hyper", "none"]
ImageEncoderName = Literal["simple", "nature_cnn", "resnet", "match3"]
Schedule = Literal["linear", "constant"]
DeviceChoice = Literal["auto", "cpu", "cuda"]
Device = Literal["cpu", "cuda"]
Precision = Literal["float32", "bfloat16"]
Nothing = Literal["none"]
"""Of what a preset may have: without it."""


@dataclass(frozen=True)
class Hyperparameters:
    """By RLlib's names where it has one; counts are agent decisions.

    `ON_POLICY_ONLY` are PPO's, APPO's and poca's, `PPO_ONLY` PPO's and APPO's, `APPO_ONLY` APPO's, `SAC_ONLY` SAC's.

    Schedules: "linear" falls until the limit on env_steps, where there is one (`schedules`). `device`: where it is
    learned, "auto" on a GPU where there is one. `precision`: of the networks' products while learning.
    """

    device: DeviceChoice | None = None
    precision: Precision | None = None
    lr: float | None = None
    lr_schedule: Schedule | None = None
    entropy_schedule: Schedule | None = None
    clip_schedule: Schedule | None = None
    gamma: float | None = None
    lambda_: float | None = None
    clip_param: float | None = None
    entropy_coeff: float | None = None
    vf_loss_coeff: float | None = None
    grad_clip: float | None = None
    train_batch_size: int | None = None
    minibatch_size: int | None = None
    num_epochs: int | None = None
    vtrace_clip_rho_threshold: float | None = None
    vtrace_clip_pg_rho_threshold: float | None = None
    learner_queue_size: int | None = None
    replay_capacity: int | None = None
    tau: float | None = None
    initial_alpha: float | None = None
    updates_per_step: float | None = None
    learning_starts: int | None = None


ON_POLICY_ONLY = (
    "entropy_schedule",
    "clip_schedule",
    "lambda_",
    "clip_param",
    "entropy_coeff",
    "vf_loss_coeff",
    "num_epochs",
)
PPO_ONLY = ("precision",)
APPO_ONLY = ("vtrace_clip_rho_threshold", "vtrace_clip_pg_rho_threshold", "learner_queue_size")
SAC_ONLY = ("replay_capacity", "tau", "initial_alpha", "updates_per_step", "learning_starts")


@dataclass(frozen=True)
class Memory:
    """An LSTM behind the hidden layers. `size`: its units; `sequence_length`: decisions learned through at once."""

    size: int = 128
    sequence_length: int = 64


@dataclass(frozen=True)
class Network:
    """The hidden layers of policy and value function, which share none but a memory and what lies before it."""

    hidden_sizes: tuple[int, ...] | None = None
    activation: Activation | None = None
    normalize_observations: bool | None = None
    goal_conditioning: GoalConditioning | None = None
    image_encoder: ImageEncoderName | None = None
    memory: Memory | Nothing | None = None


@dataclass(frozen=True)
class CuriositySettings:
    """An intrinsic reward for what is new: ICM (arXiv:1705.05363) or RND (arXiv:1810.12894)."""

    kind: Literal["icm", "rnd"] = "rnd"
    strength: float = 0.01
    lr: float = 1e-3
    hidden_sizes: tuple[int, ...] = (128,)


@dataclass(frozen=True)
class CloningSettings:
    """A warm start from recordings. `demo`: a .demo file or a folder of them, in the build; `steps`: until it ends.

    `pairing`: an observation's action is its own record's, or the next one's (`demonstrations`).
    """

    demo: str
    strength: float = 0.5
    steps: int = 50_000
    batch_size: int | None = None
    pairing: Literal["own", "next"] = "own"


@dataclass(frozen=True)
class StopRule:
    """Training ends when any of these holds; a rule given replaces the default rule whole.

    `patience`: iterations in a row that must reach `mean_return`. `no_improvement_env_steps`: without a better mean
    return. `budget_usd`: spent on the job's instances, at `usd_per_hour` each.
    """

    env_steps: int | None = None
    mean_return: float | None = None
    patience: int = 1
    no_improvement_env_steps: int | None = None
    wall_time_seconds: float | None = None
    budget_usd: float | None = None
    usd_per_hour: float | None = None


@dataclass(frozen=True)
class BehaviorSettings:
    """What is set otherwise for one behavior of several; what is left open here is as for all."""

    hyperparameters: Hyperparameters = Hyperparameters()
    network: Network = Network()
    stop: StopRule | None = None
    self_play: SelfPlaySettings | Nothing | None = None
    curiosity: CuriositySettings | None = None
    behavioral_cloning: CloningSettings | None = None


@dataclass(frozen=True)
class EnvironmentSettings:
    """How the build is started and what it is told over its side channels.

    `lockstep`: several builds wait for each other in every step, so that a seed gives the same numbers again.
    """

    arguments: tuple[str, ...] = ()
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    time_scale: float = 20.0
    num_builds: int | None = None
    lockstep: bool = False
    startup_timeout_seconds: float = 120.0
    step_timeout_seconds: float = 60.0
    graphics: bool | None = None


@dataclass(frozen=True)
class TrainingConfig:
    """One training. Counts and limits are of each behavior; `behaviors`: by behavior name, without team.

    `executable` is the unpacked build's program; `run_as` the user that it is dropped to, which needs root. The
    instances are those that this training runs on, for a budget. `start_from`: a folder that
    `checkpoint.write_checkpoint` wrote, whose policies are what this training begins with. `learns_in` a process of its
    own is quicker, if there is a core for it (`presets.learner_place`); the numbers are the same.
    """

    executable: Path
    algorithm: Algorithm = "PPO"
    hyperparameters: Hyperparameters = Hyperparameters()
    network: Network = Network()
    stop: StopRule | None = None
    self_play: SelfPlaySettings | Nothing | None = None
    curiosity: CuriositySettings | None = None
    behavioral_cloning: CloningSettings | None = None
    behaviors: Mapping[str, BehaviorSettings] = field(default_factory=dict)
    environment: EnvironmentSettings = EnvironmentSettings()
    seed: int = 0
    checkpoint_interval_seconds: float = 60.0
    run_as: PlayerUser | None = None
    start_from: Path | None = None
    instance_count: int = 1
    learns_in: Literal["thread", "process"] = "thread"

    @classmethod
    def from_document(
        cls, executable: Path, document: Mapping[str, Any], *, run_as: PlayerUser | None = None
    ) -> "TrainingConfig":
        """Read the JSON form (`contracts.job.TrainingJobConfig`); `executable` was resolved by the caller.

        Raises:
            InvalidTrainingConfigError: a field that is not known here.
        """
        parts: dict[str, Any] = {
            "hyperparameters": Hyperparameters,
            "network": Network,
            "stop": StopRule,
            "self_play": SelfPlaySettings,
            "curiosity": CuriositySettings,
            "behavioral_cloning": CloningSettings,
            "environment": EnvironmentSettings,
        }
        values: dict[str, Any] = {}
        for name, value in document.items():
            if name in parts and value is not None:
                values[name] = _read(parts[name], name, value)
            elif name == "behaviors":
                values[name] = {behavior: _read_behavior(behavior, own, parts) for behavior, own in value.items()}
            elif name in {"algorithm", "seed", *parts}:
                values[name] = value
            else:
                raise InvalidTrainingConfigError(f"unknown setting {name!r}.")
        return cls(executable=executable, run_as=run_as, **values)


@dataclass(frozen=True)
class ResolvedHyperparameters:
    """`Hyperparameters` of PPO and poca with nothing left open."""

    device: Device = field(default="cpu", kw_only=True)
    precision: Precision = field(default="float32", kw_only=True)
    lr: float
    lr_schedule: Schedule
    entropy_schedule: Schedule
    clip_schedule: Schedule
    gamma: float
    lambda_: float
    clip_param: float
    entropy_coeff: float
    vf_loss_coeff: float
    grad_clip: float
    train_batch_size: int
    minibatch_size: int
    num_epochs: int


@dataclass(frozen=True)
class ResolvedAppo(ResolvedHyperparameters):
    """`Hyperparameters` of APPO with nothing left open. `learner_queue_size`: batches that may wait for the learner."""

    vtrace_clip_rho_threshold: float
    vtrace_clip_pg_rho_threshold: float
    learner_queue_size: int


@dataclass(frozen=True)
class ResolvedSac:
    """`Hyperparameters` of SAC with nothing left open."""

    device: Device = field(default="cpu", kw_only=True)
    lr: float
    lr_schedule: Schedule
    gamma: float
    grad_clip: float
    train_batch_size: int
    minibatch_size: int
    replay_capacity: int
    tau: float
    initial_alpha: float
    updates_per_step: float
    learning_starts: int


@dataclass(frozen=True)
class ResolvedNetwork:
    """`Network` with nothing left open.

    `squash`: the means of continuous actions stay within what Unity tells apart. `state_dependent_std`: their spread
    depends on the observation.
    """

    hidden_sizes: tuple[int, ...]
    activation: Activation
    normalize_observations: bool
    goal_conditioning: GoalConditioning = "none"
    image_encoder: ImageEncoderName = "simple"
    memory: Memory | None = None
    squash: bool = False
    state_dependent_std: bool = False


@dataclass(frozen=True)
class ResolvedBehavior:
    """The effective settings of one behavior. Of the stop rule, the wall time is the whole training's."""

    behavior: str
    preset: str | None
    algorithm: Algorithm
    hyperparameters: ResolvedHyperparameters | ResolvedSac
    network: ResolvedNetwork
    stop: StopRule
    self_play: SelfPlaySettings | None
    curiosity: CuriositySettings | None
    behavioral_cloning: CloningSettings | None
    seed: int

    @property
    def ppo(self) -> ResolvedHyperparameters:
        """Of a behavior that PPO, APPO or poca trains."""
        assert isinstance(self.hyperparameters, ResolvedHyperparameters)
        return self.hyperparameters

    @property
    def appo(self) -> ResolvedAppo:
        """Of a behavior that APPO trains."""
        assert isinstance(self.hyperparameters, ResolvedAppo)
        return self.hyperparameters

    @property
    def sac(self) -> ResolvedSac:
        """Of a behavior that SAC trains."""
        assert isinstance(self.hyperparameters, ResolvedSac)
        return self.hyperparameters


@dataclass(frozen=True)
class ResolvedConfig:
    """The effective configuration: what `config.json` in the artifact shows."""

    behaviors: Mapping[str, ResolvedBehavior]
    environment: EnvironmentSettings
    num_builds: int
    seed: int

    def to_document(self) -> dict[str, Any]:
        """As JSON takes it."""
        return asdict(self)


def _read_behavior(behavior: str, document: Mapping[str, Any], parts: Mapping[str, Any]) -> BehaviorSettings:
    known = [item.name for item in fields(BehaviorSettings)]
    if unknown := sorted(set(document) - set(known)):
        raise InvalidTrainingConfigError(
            f"unknown setting behaviors.{behavior}.{unknown[0]}; known: {', '.join(known)}."
        )
    read = {
        name: _read(parts[name], f"behaviors.{behavior}.{name}", value)
        for name, value in document.items()
        if value is not None
    }
    return BehaviorSettings(**read)


def _read(kind: Any, name: str, document: Any) -> Any:
    if document == "none" and kind in (SelfPlaySettings, Memory):
        return document
    known = {item.name for item in fields(kind)} | {"executable"}
    if unknown := sorted(set(document) - known):
        raise InvalidTrainingConfigError(f"unknown setting {name}.{unknown[0]}; known: {', '.join(sorted(known))}.")
    values = {key: value for key, value in document.items() if key != "executable"}
    for key in ("hidden_sizes", "arguments"):
        if values.get(key) is not None:
            values[key] = tuple(values[key])
    if values.get("memory") is not None:
        values["memory"] = _read(Memory, f"{name}.memory", values["memory"])
    if "parameters" in values:
        values["parameters"] = read_parameters(values["parameters"])
    return kind(**values)
