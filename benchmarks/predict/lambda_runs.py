"""Runs of the Predict Lambda: `predict_lambda.py` on the server's core, what it asks of AWS on the other."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks.predict.aws_stub import POLICY
from benchmarks.predict.policies import CASES, Case
from benchmarks.predict.servers import HERE, ROOT, free_port, load_core, pinned, server_core


@dataclass(frozen=True)
class WarmTimes:
    """Medians of one process, in milliseconds: the handler, a raw boto3 invoke, and the difference of the two."""

    handler_ms: float
    boto3_ms: float
    own_ms: float


@dataclass(frozen=True)
class ColdTimes:
    """One start of a process, in seconds.

    `seconds`: imports and clients, by the clock; `processor_seconds`: the same, without waiting for other processes;
    `first`: by the clock until there is an answer.
    """

    seconds: float
    processor_seconds: float
    first: float


def measure_warm(case: Case, requests: int) -> WarmTimes:
    """One process that asks in turns."""
    with _stub(case) as port:
        return WarmTimes(**_run(port, case, "warm", str(requests)))


def measure_cold(pairs: int) -> list[tuple[ColdTimes, ColdTimes]]:
    """The handler, and boto3 alone: each time a process of its own, and each as often the first of the two."""
    found = []
    with _stub(CASES[0]) as port:
        for number in range(pairs):
            order = ("handler", "boto3") if number % 2 else ("boto3", "handler")
            times = {side: ColdTimes(**_run(port, CASES[0], side)) for side in order}
            found.append((times["handler"], times["boto3"]))
    return found


def _event(case: Case) -> dict[str, Any]:
    """As API Gateway sends it: one agent."""
    document: dict[str, Any] = json.loads((ROOT / "events" / "predict" / "post_predict.json").read_text())
    body = json.dumps({"observations": [case.observations()[0].round(4).tolist()]})
    return document | {"body": body, "isBase64Encoded": False, "pathParameters": {"policy": POLICY}}


@contextmanager
def _stub(case: Case) -> Iterator[int]:
    port = free_port()
    command = pinned(load_core(), [sys.executable, str(HERE / "aws_stub.py"), str(port), json.dumps(case.shape)])
    with subprocess.Popen(command, env=_environment(port), stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield port
        finally:
            process.kill()


def _run(port: int, case: Case, *arguments: str) -> dict[str, float]:
    command = pinned(server_core(), [sys.executable, str(HERE / "predict_lambda.py"), *arguments])
    event = json.dumps(_event(case)).encode()
    done = subprocess.run(command, env=_environment(port), input=event, stdout=subprocess.PIPE, check=True)
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
