"""The end of a training job's log, in CloudWatch Logs."""

from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

GROUP = "/aws/sagemaker/TrainingJobs"
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
