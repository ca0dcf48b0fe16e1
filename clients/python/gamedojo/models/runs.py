"""Training runs."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

RUNNING = "RUNNING"
FAILED = "FAILED"
CANCELLED = "CANCELLED"
FINAL_STATUSES = frozenset({"SUCCEEDED", "KEPT", FAILED, CANCELLED})


@dataclass(frozen=True)
class Progress:
    """The training job's latest metrics; None until the first iteration has ended."""

    env_steps: int | None = None
    env_steps_limit: int | None = None
    mean_return: float | None = None
    episodes: int | None = None
    iteration: int | None = None
    env_steps_per_second: float | None = None


@dataclass(frozen=True)
class Job:
    """One SageMaker job of the run."""

    name: str
    status: str = ""
    secondary_status: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True)
class EvaluationWarning:
    """Something of the evaluation that is worth a look."""

    behavior: str
    code: str
    cause: str
    remedy: str = ""


@dataclass(frozen=True)
class EvaluationSummary:
    """The evaluation report's headline; the interval is the mean's 95 % confidence interval."""

    mean_return: float
    ci95_low: float | None = None
    ci95_high: float | None = None
    episodes: int | None = None
    warnings: tuple[EvaluationWarning, ...] = ()


@dataclass(frozen=True)
class ReturnDifference:
    """Mean return of the new policy minus that of the policy in service, with its 95 % confidence interval."""

    mean: float
    ci95_low: float
    ci95_high: float


@dataclass(frozen=True)
class Promotion:
    """Whether the policy is deployed, and why; `difference` where the two have played the same seeds."""

    promote: bool
    reasons: tuple[str, ...] = ()
    compared_with: str | None = None
    difference: ReturnDifference | None = None


@dataclass(frozen=True)
class Endpoint:
    """The endpoint that serves the policy."""

    name: str
    config_name: str = ""
    status: str = ""


@dataclass(frozen=True)
class Failure:
    """Why a run failed, and what to do about it."""

    code: str
    cause: str
    remedy: str = ""
    state: str = ""
    retryable: bool = False


@dataclass(frozen=True)
class HistoryEntry:
    """One state that the run entered."""

    state: str
    at: datetime


@dataclass(frozen=True)
class SettingNote:
    """A setting of the request or of a trainer file that was taken otherwise than written, or not at all."""

    setting: str
    note: str


@dataclass(frozen=True)
class JobCost:
    """The most that one job can be billed for. Without a price in the list, prices are None."""

    instance_type: str
    instance_count: int
    spot: bool
    max_seconds: int
    usd_per_hour: float | None = None
    max_usd: float | None = None


@dataclass(frozen=True)
class CostEstimate:
    """The most that training and evaluation can cost, in USD; None where a price is not known."""

    training: JobCost
    evaluation: JobCost
    max_usd: float | None = None
    prices: str = ""


@dataclass(frozen=True)
class StopRule:
    """What ends a training; None: this does not."""

    env_steps: int | None = None
    mean_return: float | None = None
    wall_time_seconds: float | None = None
    budget_usd: float | None = None
    usd_per_hour: float | None = None


@dataclass(frozen=True)
class Options:
    """What was asked for, as far as this client looks at it; the record's `document` has all of it.

    Without a `stop` rule of its own, a run has its preset's.
    """

    algorithm: str = ""
    seed: int = 0
    stop: StopRule | None = None


@dataclass(frozen=True)
class Run:
    """Everything known about a run. `document` is the API's answer as it came."""

    run_id: str
    policy: str
    status: str
    state: str = ""
    created_at: datetime | None = None
    updated_at: datetime | None = None
    finished_at: datetime | None = None
    source_key: str = ""
    build_sha256: str | None = None
    artifact_sha256: str | None = None
    executable: str | None = None
    options: Options = Options()
    notes: tuple[SettingNote, ...] = ()
    estimate: CostEstimate | None = None
    progress: Progress = Progress()
    training_job: Job | None = None
    evaluation_job: Job | None = None
    artifacts: dict[str, str] = field(default_factory=dict)
    evaluation: EvaluationSummary | None = None
    promotion: Promotion | None = None
    endpoint: Endpoint | None = None
    failure: Failure | None = None
    history: tuple[HistoryEntry, ...] = ()
    serves: str | None = None
    """The version that this run brings back into service, without training; None: it trains."""
    document: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def is_final(self) -> bool:
        """True once the outcome is written. KEPT is final too: evaluation held the policy back."""
        return self.status in FINAL_STATUSES or self.finished_at is not None

    @property
    def has_failed(self) -> bool:
        """True when the run failed; `failure` says why."""
        return self.status == FAILED

    @property
    def was_cancelled(self) -> bool:
        """True when somebody ended the run."""
        return self.status == CANCELLED

    def elapsed_seconds(self, now: datetime | None = None) -> float:
        """Seconds from the run's creation to its end, or to `now`; never negative, whatever the clocks say."""
        if self.created_at is None:
            return 0.0
        end = self.finished_at or now or datetime.now(UTC)
        return max(0.0, (end - self.created_at).total_seconds())


@dataclass(frozen=True)
class RunPage:
    """Some runs, newest first; `next_token` asks for older ones."""

    runs: tuple[Run, ...]
    next_token: str | None = None


@dataclass(frozen=True)
class CreatedRun:
    """The answer to a training request."""

    run_id: str
    policy: str = ""
    status: str = ""
    estimate: CostEstimate | None = None
    links: dict[str, str] = field(default_factory=dict)
