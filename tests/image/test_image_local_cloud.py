"""`gamedojo local up --containers`: the whole way of a build, with jobs and endpoint in containers of the images."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.images.build import Images
from tests.fakes.running_cloud import Cloud, pack, running_cloud

CELLS, START, LARGE_GOAL = 20, 10, 17


@pytest.fixture(scope="module")
def cloud(images: Images, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running_cloud(tmp_path_factory.mktemp("cloud"), "--containers") as cloud:
        yield cloud
    assert of_the_cloud(images, cloud, "ps", "--all", "--format", "{{.Names}}") == []
    assert of_the_cloud(images, cloud, "network", "ls", "--format", "{{.Name}}") == []


def of_the_cloud(images: Images, cloud: Cloud, *command: str) -> list[str]:
    label = f"label=gamedojo.scratch={cloud.state_dir / 'sagemaker' / 'scratch'}"
    return images.engine.call(*command, "--filter", label).split()


def test_a_build_is_trained_judged_deployed_and_asked_in_containers(
    images: Images, cloud: Cloud, tmp_path: Path
) -> None:
    cloud.drop("builds/Basic.zip", pack("Basic", tmp_path))
    run_id = cloud.first_run("basic")
    job = cloud.eventually(
        lambda: of_the_cloud(images, cloud, "ps", "--format", "{{.Image}}"), "the training container", seconds=120
    )
    assert job == [images.training]
    record = cloud.finished(run_id)
    assert record["status"] == "SUCCEEDED", record
    assert record["evaluation"]["mean_return"] >= 0.90
    assert of_the_cloud(images, cloud, "ps", "--format", "{{.Image}}") == [images.inference]
    for cell in range(START, LARGE_GOAL):
        answer = cloud.predict("basic", json={"observations": [[float(index == cell) for index in range(CELLS)]]})
        assert answer.status_code == 200, answer.text
        assert answer.json()["action"]["discrete"] == [2], "to the right, where the large goal is"
    assert '"mean_return"' in cloud.log_text("/aws/sagemaker/TrainingJobs", record["training_job"]["name"])


def test_a_cloud_of_containers_stays_one(cloud: Cloud) -> None:
    assert "is up already" in cloud.command("local", "up", "--containers", "--detach")
