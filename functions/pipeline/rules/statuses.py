"""What every status of a job or an endpoint means for the run. A status that is not known is waited for."""

from enum import StrEnum


class Outlook(StrEnum):
    """What to do next."""

    WAIT = "wait"
    DONE = "done"
    FAILED = "failed"


_JOB = {
    "InProgress": Outlook.WAIT,
    "Stopping": Outlook.WAIT,
    "Completed": Outlook.DONE,
    "Failed": Outlook.FAILED,
    "Stopped": Outlook.FAILED,
    "Deleting": Outlook.FAILED,
}
_ENDPOINT = {
    "Creating": Outlook.WAIT,
    "Updating": Outlook.WAIT,
    "SystemUpdating": Outlook.WAIT,
    "RollingBack": Outlook.WAIT,
    "InService": Outlook.DONE,
    "OutOfService": Outlook.FAILED,
    "Deleting": Outlook.FAILED,
    "Failed": Outlook.FAILED,
    "UpdateRollbackFailed": Outlook.FAILED,
}


def job_outlook(status: str) -> Outlook:
    """By botocore's `TrainingJobStatus`. AWS may add statuses: an unknown one is waited for, within our deadline."""
    return _JOB.get(status, Outlook.WAIT)


def endpoint_outlook(status: str) -> Outlook:
    """By botocore's `EndpointStatus`; an unknown one is waited for, within our deadline."""
    return _ENDPOINT.get(status, Outlook.WAIT)
