"""The servers that are compared: started on a core of their own, asked by `load.py` on another, measured and ended."""

import json
import math
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.predict.policies import Case, npy_body, request

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
PEERS = ROOT / ".venv-predict-peers" / "bin" / "python"
START_SECONDS = 120.0
SETTLED_SHARE, SETTLE_SECONDS = 0.1, 15.0
"""What is measured begins when the server needs less than this share of a core by itself, or after so long."""
ENDLESS = 1_000_000_000


@dataclass(frozen=True)
class Server:
    """One side. `arguments`: what the interpreter runs; `{port}`, `{folder}` and `{shape}` are filled in."""

    title: str
    python: Path
    arguments: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()

    @property
    def is_installed(self) -> bool:
        return self.python.exists()

    def request(self, case: Case, binary: bool) -> bytes:
        """A picture as bytes where the server reads such, else JSON."""
        if not binary:
            body = case.array_body() if self == SAGEMAKER else case.json_body()
            return request("/invocations", "application/json", body)
        if self == SAGEMAKER:
            return request("/invocations", "application/x-npy", npy_body(case))
        return request("/invocations", "application/msgpack", case.msgpack_body())


OURS = Server(
    "ours",
    Path(sys.executable),
    (str(ROOT / "container" / "serve"),),
    (("SAGEMAKER_BASE_DIR", "{folder}"), ("SAGEMAKER_BIND_TO_PORT", "{port}")),
)
_CONTESTANT = str(HERE / "contestant.py")
FASTAPI = Server("FastAPI + ONNX Runtime", PEERS, (_CONTESTANT, "fastapi-onnx", "{port}", "{model}", "{shape}"))
RLMODULE = Server("FastAPI + RLModule", PEERS, (_CONTESTANT, "fastapi-rlmodule", "{port}", "{model}", "{shape}"))
RAY_SERVE = Server("Ray Serve", PEERS, (_CONTESTANT, "ray-serve", "{port}", "{model}", "{shape}"))
SAGEMAKER = Server("SageMaker toolkit", PEERS, (str(HERE / "toolkit.py"), "{port}", "{model}", "{shape}"))
PEER_SERVERS = (FASTAPI, RLMODULE, RAY_SERVE, SAGEMAKER)


@dataclass(frozen=True)
class Load:
    """What `load.py` found; `cpu_seconds` are those of the server's processes meanwhile."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    busy: float
    cpu_seconds: float = math.nan

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds

    @property
    def cpu_us(self) -> float:
        """The server's processor time for one request."""
        return self.cpu_seconds / self.requests * 1e6


class RunningServer:
    """A server that answers; `start_seconds` is how long it took until it did."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int, start_seconds: float) -> None:
        self.port = port
        self.start_seconds = start_seconds
        self._process = process

    def load(self, content: bytes, connections: int, seconds: float, most: int = ENDLESS) -> Load:
        """Ask for so many seconds or requests.

        Raises:
            RuntimeError: an answer was no 200.
        """
        before = self._cpu_seconds()
        arguments = (str(self.port), str(connections), str(seconds), str(most))
        done = subprocess.run(
            pinned(load_core(), [sys.executable, str(HERE / "load.py"), *arguments]),
            input=content,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(done.stderr.decode()[-2000:])
        return Load(**json.loads(done.stdout), cpu_seconds=self._cpu_seconds() - before)

    def settle(self) -> None:
        """Some start more processes once they answer."""
        until = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < until:
            before, began = self._cpu_seconds(), time.monotonic()
            time.sleep(0.5)
            if self._cpu_seconds() - before < SETTLED_SHARE * (time.monotonic() - began):
                return

    def memory_bytes(self) -> int:
        """Resident, of all its processes."""
        return sum(process.memory_info().rss for process in self._processes())

    def _cpu_seconds(self) -> float:
        total = 0.0
        for process in self._processes():
            with suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system
        return total

    def _processes(self) -> list[Any]:
        return _session(self._process.pid)


@contextmanager
def running(server: Server, model: Path, case: Case) -> Iterator[RunningServer]:
    """Start it with the artifact `model`, wait until it answers, end it with all its processes.

    Raises:
        RuntimeError: it did not come into service.
    """
    with tempfile.TemporaryDirectory(prefix="bench-predict-") as folder:
        (Path(folder) / "model").symlink_to(model)
        port = free_port()
        values = {"port": str(port), "folder": folder, "model": str(model), "shape": json.dumps(case.shape)}
        arguments = [text.format(**values) for text in server.arguments]
        environment = {name: text.format(**values) for name, text in server.environment}
        with (Path(folder) / "log").open("wb") as log:
            began = time.perf_counter()
            process = subprocess.Popen(
                pinned(server_core(), [str(server.python), *arguments]),
                env={**_environment(), **environment},
                cwd=folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            _wait_for_ping(process, port, Path(folder) / "log")
            started = RunningServer(process, port, time.perf_counter() - began)
            started.settle()
            yield started
        finally:
            _end(process)


def _environment() -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
        "PYTHONPATH": str(ROOT),
        "RAY_DEDUP_LOGS": "0",
    }


def _wait_for_ping(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        if _pings(port):
            return
        time.sleep(0.005)
    raise RuntimeError(f"the server did not answer:\n{log.read_text('utf-8', 'replace')[-2000:]}")


def _pings(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(b"GET /ping HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            return connection.recv(65_536)[8:13] == b" 200 "
    except OSError:
        return False


def _end(process: "subprocess.Popen[bytes]") -> None:
    """SIGTERM to the server, then SIGKILL to whatever it left in its session."""
    every = _session(process.pid)
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for left in psutil.wait_procs(every, timeout=5)[1]:
        with suppress(psutil.NoSuchProcess):
            left.kill()


def _session(leader: int) -> list[Any]:
    """All processes of the server: its session, and what they started; multi-model-server leaves its parent."""
    found: dict[int, Any] = {}
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, ProcessLookupError, PermissionError):
            if os.getsid(process.pid) == leader:
                found |= {one.pid: one for one in (process, *process.children(recursive=True))}
    return list(found.values())


def cores() -> list[int]:
    return sorted(os.sched_getaffinity(0))


def server_core() -> int:
    return cores()[0]


def load_core() -> int:
    """Another one than the server's, where there is one."""
    return cores()[-1]


def pinned(core: int, command: Sequence[str]) -> list[str]:
    return ["taskset", "-c", str(core), *command]


def free_port() -> int:
    """Below 32,768: multi-model-server takes no other."""
    for port in random.sample(range(20_000, 32_000), 100):
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no free port was found")
