"""The real local cloud, brought up by its command line in a folder of its own, and what its users do with it."""

import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx

from local.aws import client_arguments, isolated_session
from local.processes import kill, survivors
from tests.fakes.waiting import wait_for

REPOSITORY = Path(__file__).resolve().parents[2]
FINAL = ("SUCCEEDED", "KEPT", "FAILED", "CANCELLED")
SECRET = "this-must-not-reach-a-function"


@dataclass
class Cloud:
    """The running cloud, as its users see it."""

    state_dir: Path
    connection: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    """Of its command line, beside what it needs."""

    def command(self, *arguments: str, exits: int = 0) -> str:
        """Run `gamedojo …` as a person would."""
        finished = subprocess.run(
            [str(Path(sys.executable).parent / "gamedojo"), *arguments],
            cwd=self.state_dir.parent,
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
                "GAMEDOJO_STATE_DIR": str(self.state_dir),
                "GAMEDOJO_CONNECTION": str(self.state_dir / "connection.json"),
                "AWS_PROFILE": SECRET,
                "AWS_SECRET_ACCESS_KEY": SECRET,
                **self.environment,
            },
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
        assert finished.returncode == exits, finished.stdout + finished.stderr
        return finished.stdout

    def client(self, service: str) -> Any:
        return isolated_session().client(service, **client_arguments(self.connection["endpoint_url"]))

    @cached_property
    def sagemaker(self) -> Any:
        return isolated_session().client("sagemaker", **client_arguments(self.connection["sagemaker_url"]))

    @cached_property
    def sagemaker_runtime(self) -> Any:
        return isolated_session().client("sagemaker-runtime", **client_arguments(self.connection["sagemaker_url"]))

    @cached_property
    def http(self) -> httpx.Client:
        return httpx.Client(timeout=60, trust_env=False)

    def control(self, method: str, path: str, key: str | None = None, **arguments: Any) -> httpx.Response:
        headers = {"x-api-key": self.connection["control_key"] if key is None else key}
        return self.http.request(method, self.connection["control_url"] + path, headers=headers, **arguments)

    def predict(self, policy: str, key: str | None = None, **arguments: Any) -> httpx.Response:
        headers = {"x-api-key": self.connection["predict_key"] if key is None else key}
        url = f"{self.connection['predict_url']}/policies/{policy}/predict"
        return self.http.post(url, headers=headers, **arguments)

    def drop(self, key: str, body: bytes) -> None:
        """Put an object into the bucket."""
        self.client("s3").put_object(Bucket=self.connection["bucket"], Key=key, Body=body)

    def upload(self, file_name: str, body: bytes) -> str:
        """Upload a build by presigned URL; returns its key."""
        made = self.control("POST", "/builds", json={"file_name": file_name})
        assert made.status_code == 201, made.text
        put = self.http.request(made.json()["method"], made.json()["upload_url"], content=body)
        assert put.status_code == 200, put.text
        return made.json()["key"]

    def runs(self, policy: str) -> list[dict[str, Any]]:
        answer = self.control("GET", "/training-runs", params={"policy": policy})
        assert answer.status_code == 200, answer.text
        return answer.json()["runs"]

    def run(self, run_id: str) -> dict[str, Any]:
        answer = self.control("GET", f"/training-runs/{run_id}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def first_run(self, policy: str) -> str:
        """The id of the policy's oldest run, once there is one."""
        return self.eventually(lambda: self.runs(policy), f"a run of {policy}", seconds=60)[-1]["run_id"]

    def finished(self, run_id: str, seconds: float = 270) -> dict[str, Any]:
        """The run's record when it is final."""

        def final() -> dict[str, Any] | None:
            record = self.run(run_id)
            return record if record["status"] in FINAL else None

        return self.eventually(final, f"run {run_id} to end", seconds)

    def log_text(self, group: str, stream_prefix: str = "") -> str:
        """All messages of a log group's streams."""
        logs = self.client("logs")
        chosen = {}
        if stream_prefix:  # FilterLogEvents of the emulator (ministack 1.5.33) takes names, and passes over a prefix
            pages = logs.get_paginator("describe_log_streams").paginate(
                logGroupName=group, logStreamNamePrefix=stream_prefix
            )
            chosen["logStreamNames"] = [stream["logStreamName"] for page in pages for stream in page["logStreams"]]
            if not chosen["logStreamNames"]:
                return ""
        found = logs.get_paginator("filter_log_events").paginate(logGroupName=group, **chosen)
        return "\n".join(event["message"] for page in found for event in page["events"])

    @staticmethod
    def eventually(look: Callable[[], Any], what: str, seconds: float) -> Any:
        """Look until something is found."""
        return wait_for(look, what, seconds, pause_seconds=0.5)


@contextmanager
def running_cloud(folder: Path, *options: str, **environment: str) -> Iterator[Cloud]:
    """Up (with these options) before, down after; nothing of it may be left then."""
    cloud = Cloud(folder / "state", environment=environment)
    try:
        print(cloud.command("local", "up", "--detach", *options))
        cloud.connection = json.loads((cloud.state_dir / "connection.json").read_text())
        yield cloud
        cloud.command("local", "down")
        assert survivors(cloud.state_dir) == [], "`down` left processes behind"
    finally:
        kill(survivors(cloud.state_dir))


def pack(sample: str, folder: Path) -> bytes:
    """A sample build, packed as `make sample-builds` does it."""
    command = [sys.executable, "-m", "sample_builds", "pack", sample, "--output", str(folder)]
    subprocess.run(command, cwd=REPOSITORY, check=True, timeout=120)
    return (folder / f"{sample}.zip").read_bytes()


def with_options(build: bytes, options: dict[str, Any]) -> bytes:
    """The same build with a `gamedojo.json` at its root."""
    buffer = io.BytesIO(build)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("gamedojo.json", json.dumps(options))
    return buffer.getvalue()
