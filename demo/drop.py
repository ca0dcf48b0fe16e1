"""A file dropped into the bucket, and the run that it starts."""

import time
from collections.abc import Callable
from pathlib import Path

import boto3
from botocore.config import Config

from demo.errors import DemoError
from gamedojo import Connection, GamedojoClient


def drop_build(connection: Connection, build: Path, key: str) -> None:
    """Put a build into the stack's bucket, as `aws s3 cp` or any other tool would."""
    s3 = boto3.client(
        "s3",
        endpoint_url=connection.endpoint_url,
        region_name=connection.region,
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106 - no secret: the local cloud takes any
        config=Config(proxies={}, s3={"addressing_style": "path"}),
    )
    s3.upload_file(str(build), connection.bucket, key)


def runs_of(client: GamedojoClient, policy: str) -> set[str]:
    """The ids of the policy's newest runs."""
    return {run.run_id for run in client.runs(policy=policy, limit=100).runs}


def wait_for_new_run(
    client: GamedojoClient,
    policy: str,
    known: set[str],
    *,
    timeout_seconds: float = 60.0,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> str:
    """The run that was not there before.

    Raises:
        DemoError: none appears in time.
    """
    deadline = clock() + timeout_seconds
    while True:
        for run in client.runs(policy=policy, limit=20).runs:
            if run.run_id not in known:
                return run.run_id
        if clock() >= deadline:
            raise DemoError(
                f"No run of the policy {policy} appeared {timeout_seconds:.0f} s after the drop. "
                "The cloud's logs are below .gamedojo/logs."
            )
        sleep(0.2)
