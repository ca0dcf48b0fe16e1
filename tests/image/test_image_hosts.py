"""Two containers of one training job, on a network of their own without a way out: one cluster, one policy."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from local.images.build import Images
from sample_builds.packer import pack
from tests.fakes.sagemaker_cloud import IMAGE, Cloud, channel, emulator, service
from tests.fakes.waiting import wait_for

GROUP = "/aws/sagemaker/TrainingJobs"
WORDS = {
    "environment.num_builds": "1",
    "hyperparameters.train_batch_size": "200",
    "hyperparameters.minibatch_size": "100",
}


@pytest.fixture(scope="module")
def cloud(images: Images, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    folder = tmp_path_factory.mktemp("sagemaker")
    named = {"fake-image": {"container": images.training}}
    # as SageMaker has them, in place of the tests' own that are shorter
    timing = {"stop_grace_seconds": 120.0}
    with (
        emulator(folder / "emulator") as url,
        service(folder, url, images=named, engine=asdict(images.engine), timing=timing) as cloud,
    ):
        yield cloud


def left(images: Images, cloud: Cloud) -> list[str]:
    chosen = ["--quiet", "--filter", f"label=gamedojo.scratch={cloud.folder / 'sagemaker' / 'scratch'}"]
    return [
        line for what in (["ps", "--all"], ["network", "ls"]) for line in images.engine.call(*what, *chosen).split()
    ]


def train(cloud: Cloud, name: str, build: Path, steps: int, hosts: int) -> None:
    cloud.train(
        name,
        WORDS | {"stop.env_steps": str(steps)},
        AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": hosts, "VolumeSizeInGB": 1},
        InputDataConfig=[channel("build", cloud.put("in/build.zip", build.read_bytes()))],
        EnableNetworkIsolation=True,
    )


def test_two_hosts_train_one_policy_and_reach_nobody_else(images: Images, cloud: Cloud, tmp_path: Path) -> None:
    train(cloud, "two", pack("Basic", tmp_path), 400, hosts=2)
    described = cloud.ended("two", seconds=280)
    lines = cloud.log_lines(GROUP, "two/")
    assert described["TrainingJobStatus"] == "Completed", (described.get("FailureReason"), lines[-20:])
    assert any("all 2 hosts have joined" in line for line in lines)
    assert json.loads(cloud.artifact("two")["manifest.json"])
    assert left(images, cloud) == []


def test_a_job_that_is_stopped_leaves_a_checkpoint_and_no_container(
    images: Images, cloud: Cloud, tmp_path: Path
) -> None:
    train(cloud, "endless", pack("Basic", tmp_path), 100_000_000, hosts=1)
    wait_for(lambda: any('"iteration"' in line for line in cloud.log_lines(GROUP, "endless/")), "it learns", 200)
    cloud.sagemaker.stop_training_job(TrainingJobName="endless")
    described = cloud.ended("endless", seconds=120)
    assert described["TrainingJobStatus"] == "Stopped"
    assert "checkpoint/state.json" in cloud.artifact("endless")
    assert left(images, cloud) == []


def test_a_host_that_is_lost_as_it_starts_leaves_no_container(images: Images, cloud: Cloud, tmp_path: Path) -> None:
    cloud.plan({"kind": "host_loss", "resource": "lost", "host": 1})
    train(cloud, "lost", pack("Basic", tmp_path), 100_000_000, hosts=1)
    assert cloud.ended("lost")["FailureReason"] == "AlgorithmError: , exit code: 137"
    assert left(images, cloud) == []


def test_what_a_killed_service_left_is_cleared_by_the_next_one(images: Images, cloud: Cloud, tmp_path: Path) -> None:
    scratch = tmp_path / "sagemaker" / "scratch"
    scratch.mkdir(parents=True)
    label = f"gamedojo.scratch={scratch}"
    sleeping = ["python", "-c", "import time; time.sleep(600)"]
    subprocess.run(
        images.engine.run_command(
            images.training, sleeping, options=["--detach", "--network", "none", "--label", label]
        ),
        capture_output=True,
        check=True,
    )
    named = {"fake-image": {"container": images.training}}
    with service(tmp_path, cloud.emulator_url, images=named, engine=asdict(images.engine)) as own:
        assert left(images, own) == []
