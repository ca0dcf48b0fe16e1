"""The emulator as a real process, and the local SageMaker service beside it, for tests that need both.

with emulator(folder) as url, service(folder, url) as sagemaker: ...
"""

import http.client
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from botocore.config import Config

from local.aws import client_arguments, isolated_session
from local.ports import free_port
from local.sagemaker.config import ServiceConfig
from local.sagemaker.service import start
from tests.fakes.waiting import wait_for

IMAGE_DIR = Path(__file__).with_name("sagemaker_image")
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/fake-image:1"
ROLE = "arn:aws:iam::123456789012:role/sagemaker-jobs"
BUCKET = "sagemaker-tests"
QUICK = {
    "stop_grace_seconds": 4.0,  # enough on a busy machine to end in order; who ignores SIGTERM costs as much
    "endpoint_stop_grace_seconds": 5.0,
    "shutdown_grace_seconds": 1.0,
    "startup_timeout_seconds": 20.0,
    "checkpoint_sync_seconds": 0.05,
    "publish_seconds": 0.05,
    "restart_backoff_seconds": 0.05,
}


def put_silent_alarm(cloudwatch: Any, name: str, namespace: str) -> None:
    """An alarm that is OK and has no data, so that it stays as SetAlarmState sets it."""
    cloudwatch.put_metric_alarm(
        AlarmName=name,
        Namespace=namespace,
        MetricName=name,
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="ignore",
    )
    set_alarm(cloudwatch, name, "OK")


def set_alarm(cloudwatch: Any, name: str, state: str) -> None:
    cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="the test says so")


@contextmanager
def emulator(folder: Path) -> Iterator[str]:
    """A real ministack on a port of its own; yields its URL. The bucket BUCKET is there."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    environment = {
        "PATH": os.defpath,
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "IOT_MTLS_ENABLED": "0",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with (folder / "emulator.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ministack.app"], env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_for(lambda: _answers(port), "the emulator answers")
        url = f"http://127.0.0.1:{port}"
        client(url, "s3").create_bucket(Bucket=BUCKET)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/_ministack/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def client(url: str, name: str, config: Config | None = None) -> Any:
    return isolated_session().client(name, **{**client_arguments(url), **({"config": config} if config else {})})


ONE_TRY = Config(retries={"total_max_attempts": 1}, read_timeout=60)
"""A client that shows every error, where boto3 would try again."""


def config_document(folder: Path, emulator_url: str, **changes: Any) -> dict[str, Any]:
    """The service's config; `timing` is merged into QUICK."""
    timing = QUICK | changes.pop("timing", {})
    python = str(Path(sys.executable).parent)
    return {
        "state_dir": str(folder / "sagemaker"),
        "emulator_url": emulator_url,
        "images": {
            "fake-image": {"path": [str(IMAGE_DIR), python, "/usr/bin", "/bin"], "environment": {"IN_IMAGE": "1"}}
        },
        "timing": timing,
        **changes,
    }


@dataclass
class Cloud:
    """Clients of both, and shorthands."""

    emulator_url: str
    url: str
    folder: Path
    names: int = field(default=0)

    @cached_property
    def sagemaker(self) -> Any:
        return client(self.url, "sagemaker")

    @cached_property
    def once(self) -> Any:
        """A client that does not try again by itself."""
        return client(self.url, "sagemaker", ONE_TRY)

    @cached_property
    def runtime(self) -> Any:
        return client(self.url, "sagemaker-runtime")

    @cached_property
    def s3(self) -> Any:
        return client(self.emulator_url, "s3")

    @cached_property
    def logs(self) -> Any:
        return client(self.emulator_url, "logs")

    @cached_property
    def cloudwatch(self) -> Any:
        return client(self.emulator_url, "cloudwatch")

    def admin(self, method: str, path: str, document: Any = None) -> dict[str, Any]:
        """One request to the double's own routes."""
        request = urllib.request.Request(
            f"{self.url}/_admin/{path}", json.dumps(document or {}).encode() if method != "GET" else None, method=method
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            answer: dict[str, Any] = json.loads(response.read())
        return answer

    def plan(self, *faults: dict[str, Any]) -> None:
        """Replace the fault plan."""
        self.admin("PUT", "faults", {"faults": faults})

    def happened(self) -> list[int]:
        """How often each fault of the plan has happened."""
        return [fault["happened"] for fault in self.admin("GET", "faults")["faults"]]

    def phases(self, name: str) -> list[str]:
        """The secondary statuses that a job has gone through."""
        return [each["Status"] for each in self.described(name)["SecondaryStatusTransitions"]]

    def put(self, key: str, body: bytes | str) -> str:
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=body)
        return f"s3://{BUCKET}/{key}"

    def get(self, key: str) -> bytes:
        body: bytes = self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return body

    def keys(self, prefix: str) -> list[str]:
        listed = self.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)
        return [entry["Key"] for entry in listed.get("Contents", [])]

    def train(self, name: str, words: Mapping[str, str] | None = None, **changes: Any) -> str:
        self.sagemaker.create_training_job(**training_request(name, words, **changes))
        return name

    def described(self, name: str) -> dict[str, Any]:
        described: dict[str, Any] = self.sagemaker.describe_training_job(TrainingJobName=name)
        return described

    def ended(self, name: str, seconds: float = 60) -> dict[str, Any]:
        """The job's description once it has ended."""
        final = ("Completed", "Failed", "Stopped")
        wait_for(lambda: self.described(name)["TrainingJobStatus"] in final, f"{name} ends", seconds)
        return self.described(name)

    def in_phase(self, name: str, secondary_status: str) -> None:
        wait_for(lambda: self.described(name)["SecondaryStatus"] == secondary_status, f"{name} is {secondary_status}")

    def artifact(self, name: str, file: str = "model.tar.gz") -> dict[str, bytes]:
        """The files of a job's model.tar.gz."""
        with tarfile.open(fileobj=io.BytesIO(self.get(f"output/{name}/output/{file}"))) as archive:
            return {
                member.name: archive.extractfile(member).read()  # type: ignore[union-attr]
                for member in archive.getmembers()
                if member.isfile()
            }

    def facts(self, name: str) -> dict[str, Any]:
        """What the fake `train` wrote down."""
        facts: dict[str, Any] = json.loads(self.artifact(name)["facts.json"])
        return facts

    def log_lines(self, group: str, stream_prefix: str = "") -> list[str]:
        try:
            prefix = {"logStreamNamePrefix": stream_prefix} if stream_prefix else {}
            streams = self.logs.describe_log_streams(logGroupName=group, **prefix)["logStreams"]
        except self.logs.exceptions.ResourceNotFoundException:
            return []
        lines = []
        for stream in streams:
            events = self.logs.get_log_events(
                logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True
            )
            lines += [event["message"] for event in events["events"]]
        return lines

    def model(self, name: str, **behavior: Any) -> str:
        """A model of the fake `serve`."""
        self.sagemaker.create_model(
            ModelName=name,
            ExecutionRoleArn=ROLE,
            PrimaryContainer={
                "Image": IMAGE,
                "ModelDataUrl": self.put(f"models/{name}.tar.gz", model_archive(name, behavior)),
            },
        )
        return name

    def endpoint_config(self, name: str, serverless: Mapping[str, int] | None = None, **behavior: Any) -> str:
        """A config with a model of the same name."""
        machine: dict[str, Any] = {"InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
        if serverless is not None:
            machine = {"ServerlessConfig": dict(serverless)}
        variant = {"VariantName": "AllTraffic", "ModelName": self.model(name, **behavior), **machine}
        self.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
        return name

    def endpoint(self, name: str, serverless: Mapping[str, int] | None = None, **behavior: Any) -> str:
        """An endpoint that is created; `settled` waits for it."""
        self.sagemaker.create_endpoint(
            EndpointName=name, EndpointConfigName=self.endpoint_config(f"{name}-1", serverless, **behavior)
        )
        return name

    def endpoint_status(self, name: str) -> str:
        status: str = self.sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"]
        return status

    def settled(self, name: str) -> dict[str, Any]:
        """The endpoint's description once nothing is changing."""
        wait_for(lambda: self.endpoint_status(name) in ("InService", "Failed"), f"{name} is InService or Failed")
        described: dict[str, Any] = self.sagemaker.describe_endpoint(EndpointName=name)
        return described

    def invoke(self, name: str, order: Any = None, **arguments: Any) -> dict[str, Any]:
        answer = self.runtime.invoke_endpoint(
            EndpointName=name, ContentType="application/json", Body=json.dumps(order or {}), **arguments
        )
        return {**answer, "document": json.loads(answer["Body"].read())}


def training_request(name: str, words: Mapping[str, str] | None = None, **changes: Any) -> dict[str, Any]:
    request = {
        "TrainingJobName": name,
        "RoleArn": ROLE,
        "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/output"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 300},
        "HyperParameters": dict(words or {}),
    }
    return {name: value for name, value in {**request, **changes}.items() if value is not None}


def channel(name: str, uri: str, **changes: Any) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}, **changes}


def model_archive(name: str, behavior: Mapping[str, Any]) -> bytes:
    buffer = io.BytesIO()
    content = json.dumps({"name": name, **behavior}).encode()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        entry = tarfile.TarInfo("behavior.json")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


@contextmanager
def service(folder: Path, emulator_url: str, **changes: Any) -> Iterator[Cloud]:
    """The service, in this process."""
    running = start(ServiceConfig.from_document(config_document(folder, emulator_url, **changes)))
    try:
        yield Cloud(emulator_url=emulator_url, url=running.url, folder=folder)
    finally:
        running.stop()
