"""From inside a build: each attack on the machine is contained, and told in the job's failure file.

The real `train` plays the sample build Faulty on a relocated /opt/ml, without a network, as SageMaker starts it; the
failure file is what the run record shows.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from container.job import PLAYER_UID
from pipeline.rules.job_failures import JobFailure, job_failure
from sample_builds.packer import pack
from sample_builds.scenes.attacks import ATTACK_CODE, ATTACKS, GOT
from tests.fakes import reachable_python
from tests.fakes.train_process import failure_of_train

ROOT = Path(__file__).parents[2]
SECRET = "wJalrXUtnFEMI-not-a-key"
LIMITS = {"GAMEDOJO_PLAYER_PROCESSES": "40", "GAMEDOJO_PLAYER_DISK_MB": "48", "GAMEDOJO_PLAYER_LOG_MB": "1"}

pytestmark = pytest.mark.faults

if os.geteuid() != 0 or subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False).returncode:
    pytest.skip("it takes root, to give the player a user of its own and no network", allow_module_level=True)


@pytest.fixture(scope="module")
def interpreter() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gd-python-") as folder:
        made = reachable_python.make(Path(folder))
        if made is None:
            pytest.skip("there is no interpreter that other users may reach")
        yield made


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pack("Faulty", tmp_path_factory.mktemp("builds"))


def job_folder(base: Path, build: Path, attack: str) -> Path:
    config, channel = base / "input" / "config", base / "input" / "data" / "build"
    config.mkdir(parents=True)
    channel.mkdir(parents=True)
    arguments = {"environment.arguments": json.dumps(["--fault", attack, "--after", "2"]), "stop.env_steps": "512"}
    (config / "hyperparameters.json").write_text(json.dumps(arguments))
    (channel / "build.zip").write_bytes(build.read_bytes())
    for folder in ("model", "checkpoints", "output"):
        (base / folder).mkdir()
    return base


def attacked(base: Path, interpreter: Path, **more: str) -> str:
    """The failure file of a job that was attacked by its build, once nothing of the job is left."""
    environment = {
        "PATH": os.pathsep.join([str(interpreter), "/usr/sbin", "/usr/bin", "/bin"]),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "functions")]),
        "HOME": str(base),
        "SAGEMAKER_BASE_DIR": str(base),
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials",
        "GAMEDOJO_RUN_ID": "faulty-1",
    }
    script = f"ip link set lo up 2>/dev/null || ifconfig lo up; exec {sys.executable} {ROOT / 'container' / 'train'}"
    before = {process.pid for process in psutil.process_iter()}
    failure = failure_of_train(["unshare", "--net", "/bin/sh", "-c", script], environment | LIMITS | more, base)
    of_the_player = [
        process.info
        for process in psutil.process_iter(["pid", "uids", "cmdline"])
        if process.pid not in before and process.info["uids"] and process.info["uids"].real == PLAYER_UID
    ]
    assert of_the_player == []
    return failure


def in_the_record(failure: str) -> JobFailure:
    """As SageMaker tells it, and the run record has it."""
    return job_failure(f"AlgorithmError: {failure}, exit code: 1")


def test_every_attack_is_tried() -> None:
    assert {*TOLD, *TAKEN} == set(ATTACKS)


TOLD = {
    "read-credentials": ("BuildSeeksCredentials", "/environ"),
    "write-outside": ("BuildWritesForbidden", "/gamedojo-attack-"),
    "reach-network": ("BuildUsesNetwork", "192.0.2.1:443"),
    "take-over": ("BuildSeeksRights", "kill of process"),
}
TAKEN = {
    "fill-disk": "it wrote more than 48 MB to the disk",
    "fork-without-end": "it ran more than 40 processes",
    "flood-output": "it logged more than 1 MB a second",
}


@pytest.mark.parametrize("attack", TOLD)
def test_what_a_build_reaches_for_it_does_not_get(tmp_path: Path, interpreter: Path, faulty: Path, attack: str) -> None:
    """What it tried is named as it was seen from outside; what it got it says itself, at the end of its log."""
    base = job_folder(tmp_path, faulty, attack)
    failure = attacked(base, interpreter)
    told = in_the_record(failure)
    assert told.code == "BuildCrashed"
    finding, what = TOLD[attack]
    assert finding in told.cause.split("log:", 1)[0]
    assert what in told.cause.split("log:", 1)[0]
    assert f"exit code {ATTACK_CODE}" in failure
    assert f"REFUSED whatever is not named above: {attack}" in failure
    assert GOT not in failure.split("log:", 1)[1]
    assert SECRET not in failure


@pytest.mark.parametrize("attack", TAKEN)
def test_what_a_build_takes_without_end_is_ended(tmp_path: Path, interpreter: Path, faulty: Path, attack: str) -> None:
    # What floods a slow machine's log between two looks must not reach the limit on files first.
    more = {"GAMEDOJO_PLAYER_DISK_MB": "4096"} if attack == "flood-output" else {}
    failure = attacked(job_folder(tmp_path, faulty, attack), interpreter, **more)
    told = in_the_record(failure)
    assert told.code == "BuildLimit"
    assert TAKEN[attack] in told.cause
    assert "again and again" in told.remedy
    assert len(failure) <= 1024
