"""A training job's log, in CloudWatch Logs."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

GROUP = "/aws/sagemaker/TrainingJobs"
_LEADER = "algo-1-"
_LINES = 100
_MAX_CHARACTERS = 20_000


def tail(client: "CloudWatchLogsClient", job_name: str) -> str:
    """The last lines of the job's first host; "" where there are none or they cannot be read.

    A log is asked for because a job has failed: that it cannot be read must not hide that.
    """
    try:
        streams = client.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix=f"{job_name}/", limit=1)
        names = [stream["logStreamName"] for stream in streams.get("logStreams", []) if "logStreamName" in stream]
        if not names:
            return ""
        events = client.get_log_events(logGroupName=GROUP, logStreamName=names[0], limit=_LINES, startFromHead=False)
    except (ClientError, BotoCoreError):
        return ""
    return "\n".join(event.get("message", "") for event in events["events"])[-_MAX_CHARACTERS:]


def since(client: "CloudWatchLogsClient", job_name: str, epoch_milliseconds: int, pages: int) -> Iterator[str]:
    """What the job's leading host has printed from then on, oldest first: at most so many pages of 1 MB.

    Nothing where the log cannot be read: it only adds the latest to what is known anyway.
    """
    try:
        # A job that began anew on another machine has a stream of the same host with a later name.
        streams = client.describe_log_streams(
            logGroupName=GROUP, logStreamNamePrefix=f"{job_name}/{_LEADER}", descending=True, limit=1
        )
        names = [stream["logStreamName"] for stream in streams.get("logStreams", []) if "logStreamName" in stream]
        token: dict[str, str] = {}
        for _ in range(pages if names else 0):
            page = client.get_log_events(
                logGroupName=GROUP,
                logStreamName=names[0],
                startTime=epoch_milliseconds,
                startFromHead=True,
                **token,  # type: ignore[arg-type]
            )
            yield from (event.get("message", "") for event in page["events"])
            if token.get("nextToken") == page["nextForwardToken"]:  # the end is where the token stays the same
                return
            token = {"nextToken": page["nextForwardToken"]}
    except (ClientError, BotoCoreError):
        return
