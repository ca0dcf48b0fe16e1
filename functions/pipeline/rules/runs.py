"""What becomes of a run's record."""

from datetime import datetime

from pipeline.contracts.run import RunRecord, RunStatus


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
