"""Small requests and answers of the control API; run records and training requests have their own files."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from pipeline.contracts.base import Contract, PolicyName, RunId
from pipeline.contracts.cost import CostEstimate
from pipeline.contracts.policy import CurrentPolicy, PolicySpec, ServedVersion, TrainingWarning
from pipeline.contracts.run import Progress, RunStatus

MAX_BUILD_BYTES = 100 * 1024**3
"""A build that is larger does not fit beside anything else on a training job's disk."""

TrafficWindow = Literal["1h", "24h", "7d"]

BuildId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]


class RunQuery(Contract):
    """The query parameters of `GET /training-runs`."""

    policy: PolicyName | None = Field(default=None, description="runs for this policy alone")
    status: RunStatus | None = Field(default=None, description="runs that stand so")
    build_sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$", description="of the zip")
    limit: int = Field(default=20, ge=1, le=100, description="at most so many in one answer")
    next_token: str | None = Field(default=None, min_length=1, description="of the page before")


class AcceptedRun(Contract):
    """The answer of `POST /training-runs`. `links` are paths of this API."""

    run_id: RunId
    policy: PolicyName
    status: RunStatus
    estimate: CostEstimate
    links: dict[str, str]


class ArtifactLinks(Contract):
    """The answer of `GET /training-runs/{run_id}/artifacts`: artifact name to presigned URL."""

    artifacts: dict[str, str]
    expires_in_seconds: int


class MetricsQuery(Contract):
    """The query parameters of `GET /training-runs/{run_id}/metrics`."""

    behavior: str | None = Field(default=None, min_length=1, description="this behavior alone")
    metrics: str | None = Field(
        default=None, min_length=1, description="these alone, by commas: mean_return,entropy; left out: all"
    )
    points: int = Field(default=500, ge=2, le=2000, description="at most so many for each behavior, evenly chosen")


class BehaviorSeries(Contract):
    """What one behavior's training told: the i-th entry of every column is of the same iteration."""

    behavior: str
    iterations: int = Field(ge=0, description="that were told of, of which the columns hold some")
    columns: dict[str, tuple[int | float | None, ...]] = Field(description="null: it was not told there")
    warnings: tuple[TrainingWarning, ...] = Field(
        default=(), description="what is not well with it: each kind once, as it was told last"
    )


class MetricsSeries(Contract):
    """The answer of `GET /training-runs/{run_id}/metrics`: how a training went, or goes."""

    run_id: RunId
    status: RunStatus
    progress: Progress = Field(description="the latest metrics")
    behaviors: tuple[BehaviorSeries, ...]


JobKind = Literal["training", "evaluation"]


class LogQuery(Contract):
    """The query parameters of `GET /training-runs/{run_id}/logs`."""

    job: JobKind | None = Field(default=None, description="this job alone; left out: the one that began last")
    limit: int = Field(default=200, ge=1, le=500, description="at most so many lines in one answer")
    next_token: str | None = Field(
        default=None, min_length=1, description="of the answer before: what has come since; left out: the newest lines"
    )


class LogLine(Contract):
    """One line that a job's first host has printed."""

    at: datetime
    job: JobKind
    text: str = Field(description="secrets and control characters are made unreadable, a long line is cut")


class LogPage(Contract):
    """The answer of `GET /training-runs/{run_id}/logs`, oldest first.

    With `next_token`, what is printed later is asked for; an answer without lines means that nothing has come yet.
    """

    run_id: RunId
    status: RunStatus = Field(description="of the run: once it is final, an answer without lines is the end")
    lines: tuple[LogLine, ...]
    next_token: str | None = Field(default=None, description="none: no job has printed anything yet")


class UploadRequest(Contract):
    """The body of `POST /builds`."""

    file_name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._ ()-]{0,199}\.(zip|ZIP)$",
        description="the zip's name without folders, for example MyGame.zip",
    )
    size_bytes: int | None = Field(
        default=None,
        ge=1,
        le=MAX_BUILD_BYTES,
        description="of the zip; given: it is sent in parts, as a zip of more than 5 GB must be",
    )


class UploadTicket(Contract):
    """The answer of `POST /builds`: where to send the zip as a whole. `key` is what a training request then names."""

    build_id: BuildId
    key: str
    upload_url: str
    method: Literal["PUT"] = "PUT"
    expires_in_seconds: int


class UploadPart(Contract):
    """Where to PUT one part of a zip: `part_size_bytes` of it, the last one what is left."""

    number: int = Field(ge=1, le=10_000, description="from 1 on")
    upload_url: str


class MultipartTicket(Contract):
    """The answer of `POST /builds` with `size_bytes`: where to send the first parts, side by side if wanted."""

    build_id: BuildId
    key: str
    method: Literal["MULTIPART"] = "MULTIPART"
    part_size_bytes: int = Field(description="of every part but the last, which may be smaller")
    part_count: int
    parts: tuple[UploadPart, ...]
    expires_in_seconds: int


class PartsRequest(Contract):
    """The body of `POST /builds/{build_id}/parts`."""

    first: int = Field(default=1, ge=1, le=10_000, description="number of the first part")
    count: int = Field(default=100, ge=1, le=1000, description="so many from there on")


class PartUrls(Contract):
    """The answer of `POST /builds/{build_id}/parts`."""

    parts: tuple[UploadPart, ...]
    expires_in_seconds: int


class CompleteRequest(Contract):
    """The body of `POST /builds/{build_id}/complete`."""

    size_bytes: int = Field(ge=1, le=MAX_BUILD_BYTES, description="of the whole zip: what the parts must add up to")


class Build(Contract):
    """A zip below `uploads/`. One that is UPLOADING is in parts: `size_bytes` is what has come of it so far."""

    build_id: BuildId | None = Field(default=None, description="none: it was not uploaded by way of this API")
    key: str
    size_bytes: int
    status: Literal["READY", "UPLOADING"] = "READY"
    uploaded_at: datetime | None = Field(default=None, description="none while it is in parts")
    parts: tuple[int, ...] = Field(default=(), description="the numbers that have come so far, while it is in parts")


class BuildQuery(Contract):
    """The query parameters of `GET /builds`."""

    limit: int = Field(default=100, ge=1, le=1000, description="at most so many in one answer")
    next_token: str | None = Field(default=None, min_length=1, description="of the page before")


class BuildPage(Contract):
    """The answer of `GET /builds`, by key."""

    builds: tuple[Build, ...]
    next_token: str | None = None


class DeletedBuild(Contract):
    """The answer of `DELETE /builds/{build_id}`."""

    build_id: BuildId


class RollbackRequest(Contract):
    """The body of `POST /policies/{policy}/rollback`."""

    version: RunId | None = Field(default=None, description="left out: the one that was in service before")


class PolicyHistory(Contract):
    """The answer of `GET /policies/{policy}/history`, newest first."""

    versions: tuple[ServedVersion, ...]


class TrafficQuery(Contract):
    """The query parameters of `GET /policies/{policy}/traffic`."""

    window: TrafficWindow = Field(default="1h", description="how far back from now")


class TrafficSums(Contract):
    """Of the whole window."""

    invocations: int = Field(ge=0)
    errors_4xx: int = Field(ge=0, description="that the model's container refused")
    errors_5xx: int = Field(ge=0, description="that failed on the endpoint's side")


class PolicyTraffic(Contract):
    """The answer of `GET /policies/{policy}/traffic`: how often its endpoint was asked, and how fast it was.

    The i-th entry of every column is of the `period_seconds` from `starts[i]` on; the last period has not ended yet.
    """

    policy: PolicyName
    endpoint_name: str
    window: TrafficWindow
    period_seconds: int
    starts: tuple[datetime, ...]
    columns: dict[str, tuple[float | None, ...]] = Field(
        description="invocations, errors_4xx and errors_5xx count; latency_ms_mean, latency_ms_p50 and latency_ms_p99 "
        "are the model's, in milliseconds, null where nobody asked"
    )
    total: TrafficSums


class DeletedPolicy(Contract):
    """The answer of `DELETE /policies/{policy}`: the versions that can no longer be rolled back to."""

    policy: PolicyName
    versions: tuple[RunId, ...]


class PolicyList(Contract):
    """The answer of `GET /policies`: what is in service, by name."""

    policies: tuple[CurrentPolicy, ...]


class PolicyDescription(CurrentPolicy):
    """The answer of `GET /policies/{policy}`."""

    spec: PolicySpec


class Health(Contract):
    """The answer of `GET /health` of both APIs: the code that answers, and where it is deployed."""

    status: Literal["ok"] = "ok"
    api: Literal["control", "predict"]
    version: str
    stage: str
