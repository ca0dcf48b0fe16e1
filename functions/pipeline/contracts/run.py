"""The run record: one item in the runs table, and the answer of `GET /training-runs/{run_id}`."""

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from pipeline.contracts.base import Contract, PolicyName, RunId
from pipeline.contracts.cost import CostEstimate
from pipeline.contracts.evaluation import EvaluationWarning, ReturnDifference
from pipeline.contracts.notes import SettingNote
from pipeline.contracts.request import RunOptions


class RunStatus(StrEnum):
    """RUNNING until the run is over. KEPT: evaluation held the policy back, which is a decision, not a failure."""

    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    KEPT = "KEPT"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def is_final(self) -> bool:
        """True once the outcome is written."""
        return self is not RunStatus.RUNNING


class Progress(Contract):
    """The training job's latest metrics; None until the first iteration has ended."""

    env_steps: int | None = None
    env_steps_limit: int | None = None
    mean_return: float | None = None
    episodes: int | None = None
    iteration: int | None = None
    env_steps_per_second: float | None = None


class JobRecord(Contract):
    """One SageMaker job of the run."""

    name: str
    status: str
    secondary_status: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None


class EvaluationSummary(Contract):
    """The report's headline."""

    mean_return: float
    ci95_low: float
    ci95_high: float
    episodes: int
    warnings: tuple[EvaluationWarning, ...] = Field(default=(), description="the report's, the first of them")


class PromotionDecision(Contract):
    """Whether the policy is deployed, and why."""

    promote: bool
    reasons: tuple[str, ...] = Field(min_length=1)
    compared_with: RunId | None = Field(default=None, description="the run whose policy was in service")
    difference: ReturnDifference | None = Field(
        default=None, description="on the same seeds; None: the two were not played side by side"
    )


class EndpointRecord(Contract):
    """The endpoint that serves the policy, or will: it is written down before SageMaker is asked for it."""

    name: str
    config_name: str
    status: str
    previous_config_name: str | None = Field(default=None, description="to return to; None: there was no endpoint")


class Failure(Contract):
    """Why a run failed, in words that a game developer understands, and what to do about it."""

    code: str = Field(description="stable; an error class of `pipeline.errors` without its Error suffix")
    state: str
    cause: str
    remedy: str
    retryable: bool = False


class HistoryEntry(Contract):
    """One state that the run entered."""

    state: str
    at: datetime


class EarlierAttempt(Contract):
    """How the run went before it was redriven."""

    execution_arn: str
    status: RunStatus
    state: str
    finished_at: datetime | None = None
    failure: Failure | None = None
    history: tuple[HistoryEntry, ...] = ()


class RunRecord(Contract):
    """Everything known about a run."""

    run_id: RunId
    policy: PolicyName
    status: RunStatus
    state: str = Field(description="the state machine's present state")
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None = None
    execution_arn: str
    source_key: str = Field(description="the uploaded object")
    build_sha256: str | None = Field(default=None, description="of the zip, in hexadecimal")
    build_key: str
    options: RunOptions
    notes: tuple[SettingNote, ...] = Field(default=(), description="on settings of an ML-Agents trainer file")
    executable: str | None = None
    estimate: CostEstimate | None = Field(default=None, description="known once the build was inspected")
    progress: Progress = Progress()
    training_job: JobRecord | None = None
    evaluation_job: JobRecord | None = None
    artifacts: dict[str, str] = Field(default_factory=dict, description="artifact name to S3 key")
    artifact_sha256: str | None = Field(default=None, description="of model.tar.gz, in hexadecimal, as the job left it")
    evaluation: EvaluationSummary | None = None
    promotion: PromotionDecision | None = None
    endpoint: EndpointRecord | None = None
    failure: Failure | None = None
    notified: bool = Field(default=False, description="the outcome was published")
    cleanup_pending: bool = Field(
        default=False, description="the outcome stands, but something is still to be taken back or told"
    )
    history: tuple[HistoryEntry, ...] = ()
    serves: RunId | None = Field(
        default=None, description="the version that a rollback or a wake brings into service again; it trains nothing"
    )
    earlier: tuple[EarlierAttempt, ...] = Field(default=(), description="attempts before this one, oldest first")

    @property
    def version(self) -> str:
        """The version that the run puts into service."""
        return self.serves or self.run_id

    @property
    def attempt(self) -> int:
        """From 1 on; a redrive is the next one."""
        return len(self.earlier) + 1

    @property
    def is_open(self) -> bool:
        """Whether something is still to be done for this run."""
        return self.cleanup_pending or not self.status.is_final


class RunPage(Contract):
    """The answer of `GET /training-runs`, newest first."""

    runs: tuple[RunRecord, ...]
    next_token: str | None = None
