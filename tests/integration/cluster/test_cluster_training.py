"""Training jobs of two hosts: the real entry point as a process a host, each with its own tree and loopback address."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from local.ports import free_port
from sample_builds.packer import pack
from tests.fakes.running_processes import is_there

ROOT = Path(__file__).resolve().parents[3]

TRAIN = """
import json, sys
from container.cluster import ClusterOptions
from container.training_job import main

told = json.loads(sys.argv[1])
sys.exit(main(ClusterOptions(
    resolve=told["addresses"].__getitem__,
    control_port=told["port"],
    join_seconds=120.0,
    ray_arguments=("--num-cpus=1", "--object-store-memory=100000000"),
)))
"""


class Job:
    """A job's hosts, started together."""

    def __init__(self, folder: Path, hyperparameters: dict[str, str], build: str, number: int = 2) -> None:
        packed = pack(build, folder / "builds")
        names = [f"algo-{item}" for item in range(1, number + 1)]
        told = {"addresses": {name: f"127.0.0.{2 + item}" for item, name in enumerate(names)}, "port": free_port()}
        self.bases = [folder / name for name in names]
        self.descendants: list[set[psutil.Process]] = [set() for _ in names]
        self.processes = []
        for name, base in zip(names, self.bases, strict=True):
            config = base / "input" / "config"
            config.mkdir(parents=True)
            (config / "hyperparameters.json").write_text(json.dumps(hyperparameters))
            (config / "resourceconfig.json").write_text(json.dumps({"current_host": name, "hosts": names}))
            (base / "input" / "data" / "build").mkdir(parents=True)
            (base / "input" / "data" / "build" / "build.zip").write_bytes(packed.read_bytes())
            with (base / "log").open("wb") as log:
                process = subprocess.Popen(
                    [sys.executable, "-c", TRAIN, json.dumps(told)],
                    stdout=log,
                    stderr=log,
                    env=self.environment(base),
                    cwd=base,
                    start_new_session=True,
                )
            self.processes.append(process)

    @staticmethod
    def environment(base: Path) -> dict[str, str]:
        return {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), "/usr/bin", "/bin"]),
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "functions")]),
            "HOME": str(base),
            "SAGEMAKER_BASE_DIR": str(base),
        }

    def note(self) -> None:
        for process, found in zip(self.processes, self.descendants, strict=True):
            if process.poll() is None:
                found.update(psutil.Process(process.pid).children(recursive=True))

    def progress(self) -> list[dict]:
        path = self.bases[0] / "model" / "progress.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def wait_for(self, condition, seconds: float = 180.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            self.note()
            assert time.monotonic() < deadline, self.logs()
            assert self.processes[0].poll() is None, self.logs()
            time.sleep(0.1)

    def ends(self, host: int = 0, seconds: float = 200.0) -> int:
        deadline = time.monotonic() + seconds
        while self.processes[host].poll() is None:
            self.note()
            assert time.monotonic() < deadline, self.logs()
            time.sleep(0.1)
        return self.processes[host].returncode

    def players(self, host: int) -> list[psutil.Process]:
        """The builds' processes: what the players' supervisors start."""
        found = []
        for item in self.descendants[host]:
            try:
                if (
                    item.is_running()
                    and "--mlagents-port" in item.cmdline()
                    and "supervisor" not in str(item.cmdline())
                ):
                    found.append(item)
            except psutil.Error:
                continue
        return found

    def left(self) -> list[psutil.Process]:
        _, alive = psutil.wait_procs(set().union(*self.descendants), timeout=30.0)
        return [item for item in alive if is_there(item)]

    def logs(self) -> str:
        return "\n".join((base / "log").read_text() for base in self.bases)


@pytest.fixture
def start(tmp_path):
    jobs: list[Job] = []

    def _start(hyperparameters: dict[str, str], build: str = "Basic") -> Job:
        jobs.append(Job(tmp_path, hyperparameters, build))
        return jobs[-1]

    yield _start
    for job in jobs:
        job.note()
        for process in job.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        for process in job.left():
            process.kill()


def test_builds_of_two_hosts_train_one_policy(start):
    job = start({"stop.env_steps": "8192", "seed": "3", "environment.num_builds": "2"})
    job.wait_for(lambda: len(job.players(0)) >= 2 and len(job.players(1)) >= 2)
    assert job.ends() == 0, job.logs()
    assert job.ends(1) == 0, job.logs()
    assert "2 builds on each of 2 hosts" in job.logs()
    model = job.bases[0] / "model"
    assert (model / "policies" / "Basic.onnx").exists()
    assert json.loads((model / "training_summary.json").read_text())["env_steps"] >= 8192
    assert not any(path.is_file() for path in (job.bases[1] / "model").rglob("*"))
    assert not (job.bases[1] / "output" / "failure").exists()
    assert job.left() == []


def test_a_host_that_is_lost_takes_its_builds_to_the_first(start):
    job = start({"stop.env_steps": "40000000", "seed": "3", "environment.num_builds": "1"})
    job.wait_for(lambda: len(job.progress()) >= 2 and bool(job.players(1)))
    os.killpg(job.processes[1].pid, signal.SIGKILL)
    job.processes[1].wait()
    job.wait_for(lambda: job.progress()[-1]["restarts"] >= 1)
    seen = len(job.progress())
    job.wait_for(lambda: len(job.progress()) >= seen + 2)
    assert "host algo-2 was lost" in job.logs()
    assert job.players(1) == []
    job.processes[0].terminate()
    assert job.ends() == 0, job.logs()
    assert (job.bases[0] / "model" / "policies" / "Basic.onnx").exists()
    assert job.left() == []


@pytest.mark.faults
def test_a_training_that_fails_lets_the_other_host_go(start):
    fault = json.dumps(["--fault", "nan-reward", "--after", "300"])
    job = start({"stop.env_steps": "40000000", "environment.arguments": fault}, build="Faulty")
    assert job.ends() == 1, job.logs()
    assert (job.bases[0] / "output" / "failure").read_text().startswith("[NonFiniteReward]")
    assert job.ends(1) == 0, job.logs()
    assert job.left() == []


@pytest.mark.faults
def test_a_first_host_that_is_lost_ends_the_other_and_its_builds(start):
    job = start({"stop.env_steps": "40000000", "environment.num_builds": "1"})
    job.wait_for(lambda: bool(job.progress()) and bool(job.players(1)))
    os.killpg(job.processes[0].pid, signal.SIGKILL)
    job.processes[0].wait()
    assert job.ends(1, seconds=60.0) == 1, job.logs()
    assert (job.bases[1] / "output" / "failure").read_text().startswith("[HeadLost] algo-1")
    assert job.left() == []


@pytest.mark.faults
def test_all_hosts_are_told_to_stop_at_once(start):
    job = start({"stop.env_steps": "40000000", "environment.num_builds": "1"})
    job.wait_for(lambda: len(job.progress()) >= 2 and bool(job.players(1)))
    for process in job.processes:
        process.terminate()
    assert [job.ends(), job.ends(1)] == [0, 0], job.logs()
    assert (job.bases[0] / "model" / "policies" / "Basic.onnx").exists()
    assert list((job.bases[0] / "checkpoints").rglob("state.json"))
    assert job.left() == []
