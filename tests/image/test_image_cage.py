"""Inside a container of the real image: who runs as whom, and what a build gets that reaches for more."""

import json
from pathlib import Path

import pytest

from container.job import PLAYER_UID
from local.images.build import Images
from sample_builds.packer import pack
from sample_builds.scenes.attacks import GOT
from tests.fakes.onnx_policies import write_artifact
from tests.fakes.serving_process import Serving
from tests.fakes.started_containers import StartedContainer, run

SECRET = "wJalrXUtnFEMI-not-a-key"
CREDENTIALS = {"AWS_SECRET_ACCESS_KEY": SECRET, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials"}
PROCESSES = """
import json, pathlib
found = []
for folder in pathlib.Path("/proc").glob("[0-9]*"):
    words = (folder / "cmdline").read_bytes().split(b"\\0")
    status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
    found.append([int(folder.name), int(status["Uid"].split()[0]), b" ".join(words).decode()])
print(json.dumps(found))
"""


def job_folder(base: Path, build: Path, **hyperparameters: str) -> Path:
    for folder in ("input/config", "input/data/build", "model", "checkpoints", "output"):
        (base / folder).mkdir(parents=True)
    named = {name.replace("__", "."): value for name, value in hyperparameters.items()}
    (base / "input" / "config" / "hyperparameters.json").write_text(json.dumps(named))
    (base / "input" / "data" / "build" / "build.zip").write_bytes(build.read_bytes())
    return base


def processes(images: Images, container: StartedContainer) -> list[tuple[int, int, str]]:
    """Number, user and command of each process in it, but of the one that looks."""
    told = images.engine.call("exec", "--user", "0", container.name, "python", "-c", PROCESSES)
    return [(number, user, words) for number, user, words in json.loads(told) if "pathlib" not in words]


def test_the_trainer_is_root_and_its_build_another_user(images: Images, tmp_path: Path) -> None:
    base = job_folder(tmp_path / "ml", pack("Basic", tmp_path), stop__env_steps="100000000")
    with StartedContainer("train", base) as container:
        assert container.stdout is not None
        assert json.loads(container.stdout.readline())["iteration"] == 1
        found = processes(images, container)
        container.kill()
    assert next((number, user) for number, user, words in found if "container/train" in words) == (1, 0)
    assert {user for _, user, words in found if "Basic" in words and "supervisor" not in words} == {PLAYER_UID}
    assert {user for _, user, _ in found} == {0, PLAYER_UID}


@pytest.mark.parametrize("attack", ["read-credentials", "write-outside", "reach-network"])
def test_a_build_gets_nothing_that_is_not_its_own(images: Images, tmp_path: Path, attack: str) -> None:
    arguments = json.dumps(["--fault", attack, "--after", "2"])
    base = job_folder(tmp_path / "ml", pack("Faulty", tmp_path), environment__arguments=arguments)
    done = run("train", base, **CREDENTIALS)
    failure = (base / "output" / "failure").read_text()
    assert done.returncode == 1
    assert failure.startswith("[BuildCrashed]")
    assert f"REFUSED whatever is not named above: {attack}" in failure
    assert GOT not in failure.split("log:", 1)[1]
    assert SECRET not in failure


def test_the_server_is_no_root_and_needs_to_write_nothing(images: Images, tmp_path: Path) -> None:
    import numpy as np

    artifact = write_artifact(tmp_path / "artifact", np.eye(3, dtype=np.float32))
    with Serving(artifact, tmp_path / "ml") as serving:
        serving.wait_until_in_service()
        found = processes(images, serving.process)
    assert {user for _, user, _ in found} == {10002}
    assert next(number for number, _, words in found if "container/serve" in words) == 1
