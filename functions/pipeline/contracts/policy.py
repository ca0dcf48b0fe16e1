"""What a policy observes and does, and the manifest of its artifact.

An artifact holds no pickles. The training job's `model.tar.gz`:

    manifest.json             ArtifactManifest: format version and the hash of every other file
    policy_spec.json          PolicySpec
    config.json               the effective training configuration
    training_summary.json     TrainingSummary
    progress.jsonl            one JSON object an iteration
    learning_curve.png
    policies/<behavior>.onnx  Unity's format
    checkpoint/...            weights (safetensors) and JSON, to continue training from

The serving artifact (`policies/<policy>/<version>/model.tar.gz`) holds manifest.json, policies/, policy_spec.json, and
config.json, training_summary.json and progress.jsonl for the evaluation's report.
"""

import math
from datetime import datetime
from typing import Literal

from pydantic import Field

from pipeline.contracts.base import Contract, PolicyName, RunId

ARTIFACT_FORMAT_VERSION = 1


class ObservationSpec(Contract):
    """One sensor's observation for one agent, float32; images are CHW."""

    name: str
    shape: tuple[int, ...] = Field(min_length=1)

    @property
    def size(self) -> int:
        """Number of values in one observation."""
        return math.prod(self.shape)


class ActionSpec(Contract):
    """Continuous actions are float32 [continuous_size]; discrete ones int [number of branches], index < branch size."""

    continuous_size: int = Field(default=0, ge=0)
    discrete_branches: tuple[int, ...] = ()


class BehaviorSpec(Contract):
    """One behavior (ML-Agents' name, without the team suffix), its ONNX file and what goes in and out of it."""

    name: str
    onnx: str = Field(description="path of the model inside the artifact")
    observations: tuple[ObservationSpec, ...] = Field(min_length=1, description="in sensor order")
    actions: ActionSpec
    memory_size: int = Field(default=0, ge=0)


class PolicySpec(Contract):
    """Everything that a client or server must know to ask the policy."""

    format_version: Literal[1] = 1
    policy: PolicyName
    version: RunId = Field(description="the run that made it")
    behaviors: tuple[BehaviorSpec, ...] = Field(min_length=1)


class ArtifactFile(Contract):
    """Size and hash of one file."""

    size_bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class ArtifactManifest(Contract):
    """`manifest.json`: every other file of the artifact by its path."""

    format_version: Literal[1] = 1
    run_id: RunId
    files: dict[str, ArtifactFile]


class BehaviorSummary(Contract):
    """How far one behavior came. `stop_reason` is None when the training ended before its limits."""

    stop_reason: str | None
    iterations: int = Field(ge=0)
    env_steps: int = Field(ge=0, description="agent decisions")
    episodes: int = Field(ge=0)
    best_mean_return: float | None
    best_iteration: int | None


class TrainingWarning(Contract):
    """What was not well with a training, told once until it had cleared."""

    behavior: str
    code: str
    cause: str
    remedy: str


class TrainingSummary(Contract):
    """How a training job ended; counts of all behaviors together."""

    stop_reason: str
    iterations: int = Field(ge=0)
    env_steps: int = Field(ge=0, description="agent decisions")
    episodes: int = Field(ge=0)
    best_mean_return: float | None = Field(description="mean of the behaviors' best")
    wall_time_seconds: float = Field(ge=0)
    env_steps_per_second: float = Field(ge=0)
    behaviors: dict[str, BehaviorSummary]
    warnings: tuple[TrainingWarning, ...] = ()
    limited_by: Literal["learning", "builds", "inference"] | None = Field(
        default=None, description="what most updates took longest for"
    )
    advice: str | None = Field(default=None, description="what would make such a training faster")


class CurrentPolicy(Contract):
    """`policies/<policy>/current.json`: what is in service. Predict reads it instead of a database."""

    policy: PolicyName
    version: RunId
    endpoint_name: str
    spec_key: str
    asleep: bool = Field(default=False, description="its idle endpoint was taken down; a wake brings it back")


class ServedVersion(Contract):
    """One entry of a policy's history: what came into service when, and by which run."""

    version: RunId
    run_id: RunId
    at: datetime
    endpoint_name: str
    config_name: str
    asleep_since: datetime | None = Field(default=None, description="its idle endpoint was taken down then")


class PolicyNotice(Contract):
    """What is told of a policy beside its runs' outcomes."""

    policy: PolicyName
    version: RunId
    status: Literal["ASLEEP"] = "ASLEEP"
    at: datetime
    cause: str
    remedy: str
