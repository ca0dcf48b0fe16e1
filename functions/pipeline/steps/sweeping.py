"""SweepRuns: end the runs whose execution ended without FinishRun, and stop jobs that no run wants any more.

An execution can end beside FinishRun: somebody stops it, it reaches its time limit, the state machine is deleted,
FinishRun itself fails to the last try. Its run would stay RUNNING for good, and what it started would go on costing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from pipeline.aws import executions, training_jobs
from pipeline.aws.clients import HostingClients
from pipeline.aws.executions import Execution
from pipeline.aws.objects import ObjectStore
from pipeline.aws.policies_table import PoliciesTable
from pipeline.aws.runs_table import RunsTable
from pipeline.aws.training_jobs import JobDescription
from pipeline.aws.turns_table import TurnsTable
from pipeline.contracts.base import Contract
from pipeline.contracts.run import RunRecord, RunStatus
from pipeline.errors import ExecutionEndedError, PipelineError, RunNotFoundError
from pipeline.steps import finishing
from pipeline.steps.records import now

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_stepfunctions import SFNClient

_GRACE = timedelta(minutes=10)
"""Younger runs, and jobs of unknown runs, are left alone: DescribeExecution and the tables' indexes are behind."""

_ALIVE = {"RUNNING", "PENDING_REDRIVE"}
_ENDED_WORDS = {
    "ABORTED": "was stopped in Step Functions",
    "TIMED_OUT": "reached the state machine's time limit",
    "FAILED": "failed",
    "SUCCEEDED": "ended",
}


class Swept(Contract):
    """What was done. Runs are named by their id, jobs by their name."""

    ended_runs: tuple[str, ...] = ()
    stopped_jobs: tuple[str, ...] = ()


@dataclass
class Sweeper:
    """The clients and tables that a sweep needs."""

    topic_arn: str
    resource_prefix: str
    clients: HostingClients
    sns: "SNSClient"
    stepfunctions: "SFNClient"
    objects: ObjectStore
    runs: RunsTable
    policies: PoliciesTable
    turns: TurnsTable
    _errors: list[PipelineError] = field(default_factory=list)

    def end_execution(self, execution_arn: str) -> Swept:
        """Finish the run of an execution that has ended, if FinishRun has not: Step Functions told of its end.

        Raises:
            PipelineError: Step Functions or something that is cleaned up cannot answer now.
        """
        execution = executions.find(self.stepfunctions, execution_arn)
        if execution is None or execution.status in _ALIVE:
            return Swept()
        run_id = self._finish(execution)
        return Swept(ended_runs=(run_id,) if run_id else ())

    def sweep(self) -> Swept:
        """Look at every run that is not over, and at every job that runs. What fails holds nothing else up.

        Raises:
            PipelineError: the first thing that could not be done; the next sweep tries again.
        """
        self._errors.clear()
        ended = tuple(record.run_id for record in self.runs.open_runs() if self._end_if_lost(record))
        stopped = tuple(name for name in self._running_jobs() if self._stop_if_unwanted(name))
        if self._errors:
            raise self._errors[0]
        return Swept(ended_runs=ended, stopped_jobs=stopped)

    def _end_if_lost(self, record: RunRecord) -> bool:
        if not record.status.is_final and not _is_old(record.updated_at):
            return False
        with self._part():
            execution = executions.find(self.stepfunctions, record.execution_arn)
            if execution is None:  # Step Functions forgets an execution after 90 days
                execution = Execution(arn=record.execution_arn, status="FAILED", started_at=record.created_at)
            if execution.status in _ALIVE and record.status is RunStatus.CANCELLED:
                executions.stop(self.stepfunctions, record.execution_arn)
                execution = execution.model_copy(update={"status": "ABORTED"})
            if execution.status not in _ALIVE:
                return self._finish(execution, record) is not None
        return False

    def _finish(self, execution: Execution, record: RunRecord | None = None) -> str | None:
        words = _ENDED_WORDS.get(execution.status, f"ended as {execution.status}")
        told = f" ({execution.error}: {execution.cause})" if execution.error else ""
        lost = ExecutionEndedError(f"The run's execution {words} before the run was finished{told}.")
        document = execution.input | {"error": {"Error": type(lost).__name__, "Cause": str(lost)}}
        if record is not None:
            document["run"] = {"run_id": record.run_id}
        return finishing.finish_run(
            execution.arn,
            document,
            self.topic_arn,
            self.clients,
            self.sns,
            self.objects,
            self.runs,
            self.policies,
            self.turns,
        ).run_id

    def _running_jobs(self) -> tuple[str, ...]:
        with self._part():
            return training_jobs.running(self.clients.sagemaker, self.resource_prefix)
        return ()

    def _stop_if_unwanted(self, name: str) -> bool:
        with self._part():
            job = training_jobs.describe(self.clients.sagemaker, name)
            if job.run_id is None or self._is_wanted(job):
                return False
            training_jobs.stop(self.clients.sagemaker, name)
            return True
        return False

    def _is_wanted(self, job: JobDescription) -> bool:
        try:
            record = self.runs.get(job.run_id or "")
        except RunNotFoundError:
            return not _is_old(job.created_at)
        known = {one.name for one in (record.training_job, record.evaluation_job) if one is not None}
        # A job of an earlier attempt may have been made by a Lambda that was at work when that was ended.
        return not record.status.is_final and (job.name in known or not _is_old(job.created_at))

    @contextmanager
    def _part(self) -> Iterator[None]:
        try:
            yield
        except PipelineError as error:
            self._errors.append(error)


def ended_execution(event: dict[str, Any], state_machine_arn: str) -> str | None:
    """The execution that an event of Step Functions is about; None where it is another machine's, or no such event."""
    detail = event.get("detail") if event.get("source") == "aws.states" else None
    if not isinstance(detail, dict) or detail.get("stateMachineArn") != state_machine_arn:
        return None
    arn = detail.get("executionArn")
    return arn if isinstance(arn, str) else None


def _is_old(moment: datetime) -> bool:
    return now() - moment > _GRACE
