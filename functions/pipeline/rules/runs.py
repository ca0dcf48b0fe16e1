"""What becomes of a run's record."""

from datetime import datetime

from pipeline.contracts.run import EarlierAttempt, JobRecord, Progress, RunRecord, RunStatus
from pipeline.errors import ConflictError, NotYetConsistentError
from pipeline.rules.statuses import Outlook, job_outlook

REDRIVABLE = frozenset({RunStatus.FAILED, RunStatus.CANCELLED})


def cancelled(record: RunRecord, moment: datetime) -> RunRecord:
    """The record of a run that its user has ended in the state that it had come to; one that is over stays as it is."""
    if record.status.is_final:
        return record
    return record.model_copy(
        update={
            "status": RunStatus.CANCELLED,
            "updated_at": moment,
            "finished_at": moment,
            "cleanup_pending": True,  # until the sweeper has taken back what was made
        }
    )


def redriven(record: RunRecord, moment: datetime, execution_arn: str) -> RunRecord:
    """The record of a run that begins its next attempt in this execution. Jobs that have completed stay its own.

    Raises:
        ConflictError: the run did not fail, and was not cancelled.
        NotYetConsistentError: what it made is still being taken back.
    """
    if record.status not in REDRIVABLE:
        raise ConflictError(
            f"The run {record.run_id} is {record.status.value}; only one that failed or was cancelled is redriven.",
            "Wait for its end." if not record.status.is_final else "Start a new run.",
        )
    if record.is_open:
        raise NotYetConsistentError(
            f"What the run {record.run_id} had made is still being taken back.", "Ask again in a minute."
        )
    earlier = EarlierAttempt(**{name: getattr(record, name) for name in EarlierAttempt.model_fields})
    training = _completed(record.training_job)
    return record.model_copy(
        update={
            "status": RunStatus.RUNNING,
            "state": "Accepted",
            "updated_at": moment,
            "finished_at": None,
            "execution_arn": execution_arn,
            "progress": record.progress if training else Progress(),
            "training_job": training,
            "evaluation_job": _completed(record.evaluation_job),
            "evaluation": None,
            "promotion": None,
            "endpoint": None,
            "failure": None,
            "notified": False,
            "history": (),
            "earlier": (*record.earlier, earlier),
        }
    )


def _completed(job: JobRecord | None) -> JobRecord | None:
    return job if job is not None and job_outlook(job.status) is Outlook.DONE else None
