"""What containers print, to CloudWatch Logs: groups and streams as SageMaker names them."""

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from local.sagemaker.publishing import Publisher

TRAINING_GROUP = "/aws/sagemaker/TrainingJobs"
ENDPOINTS_GROUP = "/aws/sagemaker/Endpoints"

_BATCH_EVENTS = 10_000
_BATCH_BYTES = 1_048_576
_EVENT_OVERHEAD_BYTES = 26
"""PutLogEvents: at most 10,000 events and 1,048,576 bytes, counting each message in UTF-8 plus 26 bytes."""


@dataclass(frozen=True)
class _Line:
    group: str
    stream: str
    timestamp_milliseconds: int
    message: str

    @property
    def size_bytes(self) -> int:
        return len(self.message.encode()) + _EVENT_OVERHEAD_BYTES


class Logs:
    """Ships lines in the background."""

    def __init__(self, client: Any, *, interval_seconds: float) -> None:
        self._client = client
        self._known: set[tuple[str, str]] = set()
        self._publisher: Publisher[_Line] = Publisher("logs", self._send, interval_seconds=interval_seconds)

    def writer(self, group: str, stream: str) -> Callable[[str], None]:
        """A function that takes a line; CloudWatch has no empty events, so an empty line is left out."""

        def write(line: str) -> None:
            if line.strip():
                self._publisher.add(_Line(group, stream, int(time.time() * 1000), line))

        return write

    def flush(self, timeout_seconds: float) -> bool:
        """Ship what waits."""
        return self._publisher.flush(timeout_seconds)

    def close(self) -> None:
        """Ship what waits and end."""
        self._publisher.close()

    def _send(self, lines: list[_Line]) -> None:
        streams: dict[tuple[str, str], list[_Line]] = defaultdict(list)
        for line in lines:
            streams[line.group, line.stream].append(line)
        for (group, stream), its_lines in streams.items():
            self._create(group, stream)
            for batch in _batches(its_lines):
                events = [{"timestamp": each.timestamp_milliseconds, "message": each.message} for each in batch]
                self._client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)

    def _create(self, group: str, stream: str) -> None:
        if (group, stream) in self._known:
            return
        for call, names in (
            (self._client.create_log_group, {"logGroupName": group}),
            (self._client.create_log_stream, {"logGroupName": group, "logStreamName": stream}),
        ):
            try:
                call(**names)
            except ClientError as error:
                if error.response["Error"]["Code"] != "ResourceAlreadyExistsException":
                    raise
        self._known.add((group, stream))


def _batches(lines: list[_Line]) -> list[list[_Line]]:
    batches: list[list[_Line]] = [[]]
    size_bytes = 0
    for line in lines:
        if batches[-1] and (len(batches[-1]) == _BATCH_EVENTS or size_bytes + line.size_bytes > _BATCH_BYTES):
            batches.append([])
            size_bytes = 0
        batches[-1].append(line)
        size_bytes += line.size_bytes
    return batches
