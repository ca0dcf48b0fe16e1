"""A job's log, in CloudWatch Logs."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from pipeline.aws.translation import error_code, translate
from pipeline.errors import InvalidRequestError

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

GROUP = "/aws/sagemaker/TrainingJobs"
_LEADER = "algo-1-"
_LINES = 100
_MAX_CHARACTERS = 20_000
_UNKNOWN_PLACE = {"InvalidParameterException", "ResourceNotFoundException"}


class Event(NamedTuple):
    """What was printed at once: a line, as a rule."""

    epoch_milliseconds: int
    message: str


class Page(NamedTuple):
    """Events, oldest first. `position`: behind them."""

    events: tuple[Event, ...]
    position: str


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


def streams(client: "CloudWatchLogsClient", job_name: str) -> tuple[str, ...]:
    """The streams of the job's leading host, oldest first: it has a further one for each machine it began anew on.

    Raises:
        ThrottledError, ServiceUnavailableError, PipelineError: see `translation.translate`.
    """
    try:
        answer = client.describe_log_streams(
            logGroupName=GROUP, logStreamNamePrefix=f"{job_name}/{_LEADER}", descending=True
        )
    except (ClientError, BotoCoreError) as error:
        if error_code(error) == "ResourceNotFoundException":  # no job has ever printed anything
            return ()
        raise translate("CloudWatch Logs", error) from error
    return tuple(sorted(stream["logStreamName"] for stream in answer["logStreams"]))


def newest(client: "CloudWatchLogsClient", stream: str, limit: int) -> Page:
    """The last events of a stream, at most `limit`; raises as `streams` does."""
    return _page(client, stream, limit, {"startFromHead": False})


def after(client: "CloudWatchLogsClient", stream: str, position: str | None, limit: int) -> Page:
    """The events behind a position, None: from the first on. The end is where the position stays the same.

    Raises:
        InvalidRequestError: CloudWatch Logs does not know the stream or the position.
        As `streams`.
    """
    return _page(client, stream, limit, {"startFromHead": True} | ({"nextToken": position} if position else {}))


def _page(client: "CloudWatchLogsClient", stream: str, limit: int, where: dict[str, Any]) -> Page:
    try:
        answer = client.get_log_events(logGroupName=GROUP, logStreamName=stream, limit=limit, **where)
    except (ClientError, BotoCoreError) as error:
        if error_code(error) in _UNKNOWN_PLACE:
            raise InvalidRequestError(
                "next_token is none that this API gave, or of lines that are kept no longer.",
                "Leave the token out for the newest lines.",
            ) from error
        raise translate("CloudWatch Logs", error) from error
    events = tuple(Event(event["timestamp"], event["message"]) for event in answer["events"])
    return Page(events, answer["nextForwardToken"])
