"""The `aws` command line and the SageMaker SDK's resources against the local service, which they take for SageMaker.

Each runs as a process of its own environment (`make test-clients` makes it); that of boto3 is all other tests' client.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.sagemaker_cloud import BUCKET, IMAGE, ROLE, Cloud, emulator, model_archive, service

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / ".venv-clients/bin"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    folder = tmp_path_factory.mktemp("clients")
    with emulator(folder / "emulator") as url, service(folder, url) as running:
        yield running


def environment(cloud: Cloud, folder: Path) -> dict[str, str]:
    """What tells any client where the services are; nothing of the user's own configuration."""
    return {
        "PATH": f"{TOOLS}:{os.defpath}",
        "HOME": str(folder),
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": cloud.emulator_url,
        "AWS_ENDPOINT_URL_SAGEMAKER": cloud.url,
        "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": cloud.url,
        "AWS_ENDPOINT_URL_APPLICATION_AUTO_SCALING": cloud.url,
    }


class CommandLine:
    """`aws`, with its waiters made quick by a job that is quick."""

    def __init__(self, cloud: Cloud, folder: Path) -> None:
        self.environment = environment(cloud, folder)
        self.folder = folder

    def __call__(self, *words: str, fails: bool = False) -> Any:
        finished = subprocess.run(
            [str(TOOLS / "aws"), "--output", "json", *words],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert (finished.returncode != 0) is fails, finished.stderr
        return finished.stderr if fails else json.loads(finished.stdout or "{}")


@pytest.fixture
def aws(cloud: Cloud, tmp_path: Path) -> CommandLine:
    return CommandLine(cloud, tmp_path)


def test_the_command_line_trains(aws: CommandLine):
    arguments = [
        *("--role-arn", ROLE),
        *("--algorithm-specification", f"TrainingImage={IMAGE},TrainingInputMode=File"),
        *("--output-data-config", f"S3OutputPath=s3://{BUCKET}/output"),
        *("--resource-config", "InstanceType=ml.m5.large,InstanceCount=1,VolumeSizeInGB=1"),
        *("--stopping-condition", "MaxRuntimeInSeconds=300,MaxWaitTimeInSeconds=600"),
        "--enable-managed-spot-training",
    ]
    created = aws("sagemaker", "create-training-job", "--training-job-name", "cli", *arguments)
    assert created["TrainingJobArn"].endswith(":training-job/cli")
    assert "ResourceInUse" in aws(
        "sagemaker", "create-training-job", "--training-job-name", "cli", *arguments, fails=True
    )
    aws("sagemaker", "wait", "training-job-completed-or-stopped", "--training-job-name", "cli")
    described = aws("sagemaker", "describe-training-job", "--training-job-name", "cli")
    assert described["TrainingJobStatus"] == "Completed"
    assert described["EnableManagedSpotTraining"] is True
    aws("sagemaker", "delete-training-job", "--training-job-name", "cli")
    assert "ResourceNotFound" in aws("sagemaker", "describe-training-job", "--training-job-name", "cli", fails=True)


def test_the_command_line_serves(aws: CommandLine, cloud: Cloud):
    config = cloud.endpoint_config("cli-1")
    tags = ["--tags", "Key=project,Value=gamedojo"]
    created = aws("sagemaker", "create-endpoint", "--endpoint-name", "cli", "--endpoint-config-name", config, *tags)
    aws("sagemaker", "wait", "endpoint-in-service", "--endpoint-name", "cli")
    listed = aws("sagemaker", "list-tags", "--resource-arn", created["EndpointArn"])
    assert listed["Tags"] == [{"Key": "project", "Value": "gamedojo"}]
    (aws.folder / "body.json").write_text("{}")
    invoked = aws(
        *("sagemaker-runtime", "invoke-endpoint", "--endpoint-name", "cli", "--content-type", "application/json"),
        *("--body", "fileb://body.json", "answer.json"),
    )
    assert invoked["InvokedProductionVariant"] == "AllTraffic"
    assert json.loads((aws.folder / "answer.json").read_text())["model"] == "cli-1"
    target = [
        *("--service-namespace", "sagemaker", "--resource-id", "endpoint/cli/variant/AllTraffic"),
        *("--scalable-dimension", "sagemaker:variant:DesiredInstanceCount"),
    ]
    aws("application-autoscaling", "register-scalable-target", *target, "--min-capacity", "1", "--max-capacity", "2")
    found = aws("application-autoscaling", "describe-scalable-targets", "--service-namespace", "sagemaker")
    assert [each["MaxCapacity"] for each in found["ScalableTargets"]] == [2]
    aws("sagemaker", "delete-endpoint", "--endpoint-name", "cli")
    aws("sagemaker", "wait", "endpoint-deleted", "--endpoint-name", "cli")


def test_the_sdk_creates_waits_invokes_updates_and_deletes(cloud: Cloud, tmp_path: Path):
    models = [cloud.put(f"models/sdk-{n}.tar.gz", model_archive(f"sdk-{n}", {})) for n in (1, 2)]
    told = {"role": ROLE, "image": IMAGE, "output": f"s3://{BUCKET}/output", "models": models}
    finished = subprocess.run(
        [str(TOOLS / "python"), str(Path(__file__).with_name("sdk_story.py")), json.dumps(told)],
        env=environment(cloud, tmp_path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout[-2000:] + finished.stderr[-4000:]
    saw = json.loads((tmp_path / "saw.json").read_text())
    assert saw["jobs"]["done"] == "Completed"
    assert saw["jobs"]["phases"] == ["Starting", "Pending", "Downloading", "Training", "Uploading", "Completed"]
    assert "no luck" in saw["jobs"]["raised"]
    assert saw["jobs"]["stopped"] == "Stopped"
    assert saw["jobs"]["names"] == ["sdk-done", "sdk-fails", "sdk-stopped"]
    assert saw["endpoints"] == {"first": "sdk-1", "second": "sdk-2"}
