"""Hosts of a job as processes of this machine, each with a loopback address of its own."""

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
from tests.fakes.running_processes import is_there

ROOT = Path(__file__).resolve().parents[3]

# Its own process must not die of SIGTERM; that is what StopSignal is for.
HOST = """
import json, logging, sys, time
from container.cluster import ClusterOptions, Head, Hosts, Worker
from container.failures import ContainerError
from container.job import StopSignal

told = json.loads(sys.argv[1])
logging.basicConfig(level=logging.INFO, stream=sys.stderr)
started, stop = time.monotonic(), StopSignal()
stop.listen()

def resolve(name):
    if name in told["late"] and time.monotonic() - started < told["late"][name]:
        raise OSError(f"{name} is not known yet")
    if name not in told["addresses"]:
        raise OSError(f"{name} is not known")
    return told["addresses"][name]

def say(*words):
    print(*words, flush=True)

say("begins")
try:
    hosts = Hosts.of(told["current"], told["hosts"])
    options = ClusterOptions(
        resolve=resolve,
        control_port=told["port"],
        join_seconds=told["join_seconds"],
        ray_arguments=("--num-cpus=1", "--object-store-memory=100000000"),
    )
    if hosts.is_head:
        with Head(hosts, options, stop=stop, on_lost=lambda host: say("lost", host)) as head:
            say("formed")
            while not stop() and not sys.stdin.readline().startswith("done"):
                pass
            say("ends", *head.lost())
    else:
        with Worker(hosts, options, stop=stop) as worker:
            say("joined")
            worker.wait()
            say("over")
except ContainerError as error:
    say("error", error.code, error)
    sys.exit(1)
"""


class Host:
    """One host's process, in a group of its own; `descendants` are noted while it runs."""

    def __init__(self, told: dict, folder: Path) -> None:
        self.name = told["current"]
        self.log = folder / f"{self.name}.log"
        self.out = folder / f"{self.name}.out"
        self.descendants: set[psutil.Process] = set()
        with self.log.open("wb") as log, self.out.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-c", HOST, json.dumps(told)],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                start_new_session=True,
            )

    def says(self, words: str, seconds: float = 120.0) -> str:
        """Wait for a line that begins so."""
        deadline = time.monotonic() + seconds
        while True:
            ended = self.process.poll() is not None
            self.note()
            for line in self.out.read_text().splitlines():
                if line.startswith(words):
                    return line
            heard = f"{self.out.read_text()}\n{self.log.read_text()}"
            assert not ended, f"{self.name} ended without {words!r}:\n{heard}"
            assert time.monotonic() < deadline, f"{self.name} did not say {words!r}:\n{heard}"
            time.sleep(0.1)

    def note(self) -> None:
        if self.process.poll() is None:
            self.descendants.update(psutil.Process(self.process.pid).children(recursive=True))

    def tell(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(word.encode() + b"\n")
        self.process.stdin.flush()

    def ends(self, seconds: float = 60.0) -> int:
        return self.process.wait(seconds)

    def kill(self) -> None:
        self.note()
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def left(self, seconds: float = 30.0) -> list[psutil.Process]:
        """Of all that it had started, what runs still, after a while."""
        _, alive = psutil.wait_procs(self.descendants, timeout=seconds)
        return [item for item in alive if is_there(item)]


@pytest.fixture
def start(tmp_path):
    """Start a host of a job: start("algo-2", of=3)."""
    port = free_port()
    running: list[Host] = []

    def _start(
        current: str,
        of: int = 2,
        *,
        hosts: list[str] | None = None,
        unknown: tuple[str, ...] = (),
        late: dict[str, float] | None = None,
        join_seconds: float = 120.0,
    ) -> Host:
        names = hosts or [f"algo-{number}" for number in range(1, of + 1)]
        addresses = {name: f"127.0.0.{1 + int(name.split('-')[1])}" for name in names if name not in unknown}
        told = {"current": current, "hosts": names, "addresses": addresses, "late": late or {}}
        host = Host({**told, "port": port, "join_seconds": join_seconds}, tmp_path)
        running.append(host)
        return host

    yield _start
    for host in running:
        host.note()
        if host.process.poll() is None:
            host.kill()
        for process in host.left(10.0):
            process.kill()
