"""How a run's training went, or goes: the series of its progress lines.

Of a training that has ended they lie in the run's artifacts. While it goes on, its last checkpoint holds them, which
SageMaker copies to S3; what has come since, a minute's worth, is read out of the job's log. Nothing is kept for it.
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.api.runs import Runs
from pipeline.aws import job_logs
from pipeline.aws.objects import StoredObject
from pipeline.contracts.api import MetricsQuery, MetricsSeries
from pipeline.contracts.run import RunRecord
from pipeline.errors import BuildNotFoundError
from pipeline.rules import names
from pipeline.rules.series import Series

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

ARTIFACT = "progress.jsonl"

LOG_PAGES = 5
"""Of 1 MB: some 10,000 lines."""

_CHECKPOINT = re.compile(r"checkpoints/(\d{8})/progress\.jsonl")
_OVERLAP_MILLISECONDS = 300_000
"""A checkpoint is copied a while after it was written, and clocks differ; lines that come twice count once."""


@dataclass(frozen=True)
class Metrics:
    """The series of the stack's runs."""

    runs: Runs
    logs: "CloudWatchLogsClient"

    def read(self, run_id: str, query: MetricsQuery) -> MetricsSeries:
        """The series of one run; without behaviors before the first iteration has ended.

        Raises:
            RunNotFoundError: no run has this id.
            NotYetConsistentError: it was accepted, and is not visible yet.
            InvalidDocumentError: no behavior, or no metric, has the name that the query says.
            ThrottledError, ServiceUnavailableError: S3 cannot answer.
        """
        record = self.runs.get(run_id)
        series = Series(query.points)
        artifact = record.artifacts.get(ARTIFACT)
        if artifact is None or not self._add_object(series, artifact):
            self._add_unfinished(series, record)
        wanted = None if query.metrics is None else [name.strip() for name in query.metrics.split(",")]
        return MetricsSeries(
            run_id=record.run_id,
            status=record.status,
            progress=record.progress,
            behaviors=series.columns(query.behavior, wanted),
        )

    def _add_unfinished(self, series: Series, record: RunRecord) -> None:
        job = record.training_job
        if job is None:
            return
        checkpoint = self._checkpoint(record.run_id)
        since = 0
        if checkpoint is not None and self._add_object(series, checkpoint.key):
            since = max(0, int(checkpoint.modified_at.timestamp() * 1000) - _OVERLAP_MILLISECONDS)
        for line in job_logs.since(self.logs, job.name, since, LOG_PAGES):
            series.add_text(line)

    def _checkpoint(self, run_id: str) -> StoredObject | None:
        """The progress lines of the last checkpoint; a job keeps two of them."""
        found = self.runs.objects.stored(names.run_key(run_id, "checkpoints/"))
        lines = [one for one in found if _CHECKPOINT.fullmatch(one.key.removeprefix(names.run_key(run_id, "")))]
        return max(lines, key=lambda one: one.key, default=None)

    def _add_object(self, series: Series, key: str) -> bool:
        """False: it is gone, as a checkpoint is once the next but one is there."""
        try:
            with self.runs.objects.stream(key) as body:
                for line in body.iter_lines():  # type: ignore[attr-defined]
                    series.add_text(line)
        except BuildNotFoundError:
            return False
        return True
