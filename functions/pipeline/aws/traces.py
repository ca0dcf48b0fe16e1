"""Predict's call of an endpoint, as a part of the request's trace (AWS X-Ray); X-Ray's SDK would take long to import.

Lambda makes the function's own segment and names it in `_X_AMZN_TRACE_ID`. What happens within it is told to the daemon
beside the function, one datagram a subsegment (X-Ray developer guide, "Sending trace data to the X-Ray daemon" and
"X-Ray segment documents"). An endpoint tells X-Ray nothing: the trace ends with this call.
"""

import json
import os
import socket
from collections.abc import Callable
from functools import cache
from time import time
from typing import Any

from pipeline.errors import InputError, ThrottledError

Ask = Callable[[str, bytes, str, str], bytes]
"""Endpoint name, body, its format and that of the answer → the answer: `pipeline.aws.inference.ask` with its client."""

_HEADER = b'{"format": "json", "version": 1}\n'


def traced(ask: Ask) -> Ask:
    """The same, told to X-Ray where it wants to know of this request."""

    def asked(endpoint_name: str, body: bytes, media: str, answer_media: str) -> bytes:
        trace = _trace()
        if trace is None:
            return ask(endpoint_name, body, media, answer_media)
        began, outcome = time(), {}
        try:
            return ask(endpoint_name, body, media, answer_media)
        except Exception as error:
            outcome = _outcome(error)
            raise
        finally:
            _tell(trace | outcome | {"start_time": began, "end_time": time()}, endpoint_name)

    return asked


def _trace() -> dict[str, Any] | None:
    """The trace and the segment that a subsegment belongs to; None: nobody wants to know."""
    told = dict(part.partition("=")[::2] for part in os.environ.get("_X_AMZN_TRACE_ID", "").split(";"))
    if told.get("Sampled") != "1" or not {"Root", "Parent"} <= told.keys():
        return None
    return {"trace_id": told["Root"], "parent_id": told["Parent"]}


def _outcome(error: Exception) -> dict[str, bool]:
    """Whose fault it was, in X-Ray's words: the caller's, or the service's."""
    if isinstance(error, ThrottledError):
        return {"error": True, "throttle": True}
    return {"error" if isinstance(error, InputError) else "fault": True}


def _tell(known: dict[str, Any], endpoint_name: str) -> None:
    document = known | {
        "type": "subsegment",
        "id": os.urandom(8).hex(),
        "name": "runtime.sagemaker",
        "namespace": "aws",
        "aws": {"operation": "InvokeEndpoint", "region": os.environ.get("AWS_REGION", "")},
        "annotations": {"endpoint": endpoint_name},
    }
    host, _, port = os.environ.get("AWS_XRAY_DAEMON_ADDRESS", "").rpartition(":")
    if not host:
        return
    try:
        _socket().sendto(_HEADER + json.dumps(document).encode(), (host, int(port)))
    except OSError:
        return  # no trace is worth a prediction


@cache
def _socket() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setblocking(False)
    return made
