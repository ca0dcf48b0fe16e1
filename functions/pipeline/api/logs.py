"""What a run's jobs print, read out of CloudWatch Logs while they run and afterwards. Nothing is kept for it."""

import base64
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pipeline.api.runs import Runs
from pipeline.aws import job_logs
from pipeline.contracts.api import JobKind, LogLine, LogPage, LogQuery
from pipeline.contracts.run import RunRecord
from pipeline.errors import InvalidRequestError
from pipeline.rules.redaction import redact_lines

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

_MOST_LOOKS = 6
"""At CloudWatch Logs for one answer; pages may be empty before the end is reached."""


@dataclass(frozen=True)
class _Place:
    """Where a reader has got to. `position`: in the stream; None: before its first event."""

    job: JobKind
    stream: str
    position: str | None = None

    @property
    def token(self) -> str:
        return base64.urlsafe_b64encode(json.dumps([self.stream, self.position]).encode()).decode()


@dataclass(frozen=True)
class Logs:
    """The logs of the stack's runs."""

    runs: Runs
    logs: "CloudWatchLogsClient"

    def read(self, run_id: str, query: LogQuery) -> LogPage:
        """The newest lines, or those since the answer that `next_token` is of.

        Raises:
            RunNotFoundError: no run has this id.
            NotYetConsistentError: it was accepted, and is not visible yet.
            InvalidRequestError: the token is none of ours, or of other jobs.
            ThrottledError, ServiceUnavailableError: CloudWatch Logs cannot answer.
        """
        record = self.runs.get(run_id)
        jobs = _jobs(record, query.job)
        lines: list[LogLine] = []
        place: _Place | None
        if query.next_token is None:
            place = self._newest(jobs, query.limit, lines)
        else:
            place = self._later(jobs, _place(query.next_token, jobs), query.limit, lines)
        return LogPage(
            run_id=record.run_id, status=record.status, lines=tuple(lines), next_token=place.token if place else None
        )

    def _newest(self, jobs: dict[JobKind, str], limit: int, lines: list[LogLine]) -> _Place | None:
        """Adds the newest lines of the last job that has printed any."""
        for kind, name in reversed(jobs.items()):
            for stream in job_logs.streams(self.logs, name)[-1:]:
                page = job_logs.newest(self.logs, stream, limit)
                lines += _lines(kind, page)
                return _Place(kind, stream, page.position)
        return None

    def _later(self, jobs: dict[JobKind, str], place: _Place, limit: int, lines: list[LogLine]) -> _Place:
        """Adds what comes behind the place, in this stream and in those after it."""
        for _ in range(_MOST_LOOKS):
            page = job_logs.after(self.logs, place.stream, place.position, limit - len(lines))
            lines += _lines(place.job, page)
            at_end = page.position == place.position or (place.position is None and not page.events)
            place = _Place(place.job, place.stream, page.position)
            following = self._following(jobs, place) if at_end else place
            if following is None or len(lines) == limit:
                break
            place = following
        return place

    def _following(self, jobs: dict[JobKind, str], place: _Place) -> _Place | None:
        """The beginning of the next stream: of the same job on another machine, or of the job after it."""
        kinds = list(jobs)
        for kind in kinds[kinds.index(place.job) :]:
            found = job_logs.streams(self.logs, jobs[kind])
            for stream in found if kind != place.job else (one for one in found if one > place.stream):
                return _Place(kind, stream)
        return None


def _jobs(record: RunRecord, wanted: JobKind | None) -> dict[JobKind, str]:
    """Names of the run's jobs, in their order."""
    known: dict[JobKind, str] = {}
    if record.training_job is not None and wanted in (None, "training"):
        known["training"] = record.training_job.name
    if record.evaluation_job is not None and wanted in (None, "evaluation"):
        known["evaluation"] = record.evaluation_job.name
    return known


def _lines(kind: JobKind, page: job_logs.Page) -> list[LogLine]:
    texts = redact_lines([event.message for event in page.events])
    return [
        LogLine(at=datetime.fromtimestamp(event.epoch_milliseconds / 1000, UTC), job=kind, text=text)
        for event, text in zip(page.events, texts, strict=True)
    ]


def _place(token: str, jobs: dict[JobKind, str]) -> _Place:
    """The place whose token it is; only a stream of these jobs is read."""
    try:
        stream, position = json.loads(base64.urlsafe_b64decode(token))
        if isinstance(position, str | None) and f"{stream}{position}".isascii():
            for kind, name in jobs.items():
                if stream.startswith(f"{name}/"):
                    return _Place(kind, stream, position)
    except (ValueError, TypeError, AttributeError, RecursionError):  # no base64, no JSON, no pair, no text
        pass
    raise InvalidRequestError(
        "next_token is none that this API gave for this run and job.",
        "Repeat the query that gave the token, or leave the token out for the newest lines.",
    )
