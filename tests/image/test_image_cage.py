"""Inside a container of the real image: who runs as whom, and what a build gets that reaches for more."""

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from container.job import PLAYER_UID
from local.errors import ImageError
from local.images.build import Images
from sample_builds.packer import pack
from sample_builds.scenes.attacks import GOT
from tests.fakes.onnx_policies import write_artifact
from tests.fakes.serving_process import Serving
from tests.fakes.started_containers import StartedContainer, job_folder, run
from tests.fakes.waiting import wait_for

Measure = Callable[[str, str], None]

SECRET = "wJalrXUtnFEMI-not-a-key"
CREDENTIALS = {"AWS_SECRET_ACCESS_KEY": SECRET, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials"}
PROCESSES = """
import json, pathlib
found = []
for folder in pathlib.Path("/proc").glob("[0-9]*"):
    words = (folder / "cmdline").read_bytes().split(b"\\0")
    status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
    peak = int(status.get("VmHWM", "0").split()[0])  # KiB; a process that has ended has none
    found.append([int(folder.name), int(status["Uid"].split()[0]), b" ".join(words).decode(), peak])
print(json.dumps(found))
"""


class Process(NamedTuple):
    number: int
    user: int
    command: str
    peak_kib: int


def processes(images: Images, container: StartedContainer) -> list[Process]:
    """Those in it, but the one that looks."""
    told = images.engine.call("exec", "--user", "0", container.name, "python", "-c", PROCESSES)
    return [one for one in map(Process._make, json.loads(told)) if "pathlib" not in one.command]


def test_the_trainer_is_root_and_its_build_another_user(images: Images, tmp_path: Path, measure: Measure) -> None:
    base = job_folder(tmp_path / "ml", pack("Basic", tmp_path), stop__env_steps="100000000")
    began = time.monotonic()
    with StartedContainer("train", base) as container:
        assert container.stdout is not None
        assert json.loads(container.stdout.readline())["iteration"] == 1
        measure("training on Basic: from the start to the first iteration", f"{time.monotonic() - began:.1f} s")
        found = processes(images, container)
        container.kill()
    trainer = next(one for one in found if "container/train" in one.command)
    assert (trainer.number, trainer.user) == (1, 0)
    assert {one.user for one in found if "Basic" in one.command and "supervisor" not in one.command} == {PLAYER_UID}
    assert {one.user for one in found} == {0, PLAYER_UID}
    measure("training on Basic: memory of the trainer", f"{trainer.peak_kib / 1024:.0f} MiB")


@pytest.mark.parametrize("program", ["train", "evaluate", "serve"])
def test_sigterm_is_heard_before_all_is_imported(images: Images, tmp_path: Path, program: str) -> None:
    """The kernel keeps from process 1 what it does not listen to: SIGKILL would have to end it."""
    base = job_folder(tmp_path / "ml", pack("Basic", tmp_path), stop__env_steps="100000000")
    if program == "serve":
        write_artifact(base / "model", np.eye(3, dtype=np.float32))  # without one it would end by itself
    with StartedContainer(program, base) as container:
        wait_for(lambda: listens(images, container), "it listens", 60)
        container.send_signal(signal.SIGTERM)
        container.communicate(timeout=100)
    assert container.returncode == 0
    assert not (base / "output" / "failure").exists()


def listens(images: Images, container: StartedContainer) -> bool:
    """Whether process 1 is Python by now, and has a handler for SIGTERM; looked at from outside."""
    try:
        number = images.engine.call("inspect", "--format", "{{.State.Pid}}", container.name).strip()
        status = dict(line.split(":", 1) for line in Path(f"/proc/{number}/status").read_text().splitlines())
    except (ImageError, OSError):
        return False
    listens_to = int(status["SigCgt"], 16)
    return "python" in status["Name"] and bool(listens_to >> (signal.SIGTERM - 1) & 1)


@pytest.mark.parametrize("attack", ["read-credentials", "write-outside", "reach-network", "take-over"])
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


def test_the_server_is_no_root_and_needs_to_write_nothing(images: Images, tmp_path: Path, measure: Measure) -> None:
    artifact = write_artifact(tmp_path / "artifact", np.eye(3, dtype=np.float32))
    began = time.monotonic()
    with Serving(artifact, tmp_path / "ml") as serving:
        serving.wait_until_in_service()
        measure("serving: from the start to the first /ping that is 200", f"{time.monotonic() - began:.1f} s")
        found = processes(images, serving.process)
    assert {one.user for one in found} == {10002}
    server = next(one for one in found if "container/serve" in one.command)
    assert server.number == 1
    measure("serving: memory of the server", f"{server.peak_kib / 1024:.0f} MiB")
