"""Runs of the Predict Lambda: `predict_lambda.py` on the server's core, what it asks of AWS on the other."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks.predict.aws_stub import CASE, POLICY
from benchmarks.predict.servers import HERE, ROOT, free_port, load_core, pinned, server_core


@dataclass(frozen=True)
class LambdaTimes:
    """One round: milliseconds of a warm request, and seconds of a cold start, with the handler and with boto3 alone.

    `cold_seconds`: imports and clients; `first_seconds`: until there is an answer.
    """

    handler_ms: float
    boto3_ms: float
    own_ms: float
    cold_seconds: float
    boto3_cold_seconds: float
    first_seconds: float
    boto3_first_seconds: float


def measure_lambda(requests: int) -> LambdaTimes:
    """Warm and cold, each in a process of its own."""
    with _stub() as port:
        asked = json.dumps({"event": _event(), "body": CASE.json_body().decode()}).encode()
        warm = _run(port, asked, "warm", str(requests))
        ours, theirs = _run(port, asked, "handler"), _run(port, asked, "boto3")
    return LambdaTimes(
        **warm,
        cold_seconds=ours["seconds"],
        boto3_cold_seconds=theirs["seconds"],
        first_seconds=ours["first"],
        boto3_first_seconds=theirs["first"],
    )


def _event() -> dict[str, Any]:
    """As API Gateway sends it."""
    document: dict[str, Any] = json.loads((ROOT / "events" / "predict" / "post_predict.json").read_text())
    body = json.dumps({"observations": [CASE.observations()[0].round(4).tolist()]})
    return document | {"body": body, "isBase64Encoded": False, "pathParameters": {"policy": POLICY}}


@contextmanager
def _stub() -> Iterator[int]:
    port = free_port()
    command = pinned(load_core(), [sys.executable, str(HERE / "aws_stub.py"), str(port)])
    with subprocess.Popen(command, env=_environment(port), stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield port
        finally:
            process.kill()


def _run(port: int, asked: bytes, *arguments: str) -> dict[str, float]:
    command = pinned(server_core(), [sys.executable, str(HERE / "predict_lambda.py"), *arguments])
    done = subprocess.run(command, env=_environment(port), input=asked, stdout=subprocess.PIPE, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _environment(port: int) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "functions")]),
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_DEFAULT_REGION": "us-east-1",
        "BUCKET_NAME": "bench",
        "STAGE": "bench",
        "ALLOWED_ORIGIN": "*",
        "POWERTOOLS_SERVICE_NAME": "bench",
    }
