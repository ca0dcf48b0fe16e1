"""What is measured of a side in a round, and of ours over a long time."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.predict.policies import CASES, Case, write_policy
from benchmarks.predict.servers import (
    HERE,
    OURS,
    PEER_SERVERS,
    ROOT,
    SAGEMAKER,
    Load,
    Server,
    pinned,
    running,
    server_core,
)

CONNECTIONS = (1, 8, 64)
SOAK_SLICES = 5


@dataclass(frozen=True)
class Side:
    """A server and the format in which it is asked; None is ONNX Runtime alone, in one process."""

    server: Server | None
    binary: bool = False

    @property
    def title(self) -> str:
        if self.server is None:
            return "ONNX Runtime alone"
        return (
            f"{self.server.title}, {'npy' if self.server == SAGEMAKER else 'MessagePack'}"
            if self.binary
            else self.server.title
        )


ALONE = Side(None)
OURS_JSON, OURS_BINARY = Side(OURS), Side(OURS, binary=True)


@dataclass
class Found:
    """By side, what each round found at each number of connections, and what of it did not run."""

    loads: dict[Side, list[dict[int, Load]]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    start_seconds: list[float] = field(default_factory=list)
    memory_bytes: list[int] = field(default_factory=list)

    def rates(self, side: Side, connections: int) -> list[float]:
        return [one[connections].rate for one in self.loads.get(side, [])]


def write_policies(folder: Path) -> dict[str, Path]:
    """One artifact for each shape."""
    return {
        case.policy: write_policy(folder / case.policy, case) for case in {case.policy: case for case in CASES}.values()
    }


def play(case: Case, model: Path, seconds: float, found: Found, peers: Sequence[Server] = PEER_SERVERS) -> None:
    """One round: every side once."""
    _keep(found, ALONE, {1: _alone(case, model, seconds)})
    for server in (OURS, *peers):
        if not server.is_installed:
            found.failures[server.title] = "not installed"
            continue
        sides = [Side(server)] + ([Side(server, True)] if case.is_image and server in (OURS, SAGEMAKER) else [])
        try:
            with running(server, model, case) as started:
                for side in sides:
                    content = server.request(case, side.binary)
                    _keep(found, side, {count: started.load(content, count, seconds) for count in CONNECTIONS})
                if server == OURS:
                    found.start_seconds.append(started.start_seconds)
                    found.memory_bytes.append(started.memory_bytes())
        except RuntimeError as error:
            found.failures[server.title] = str(error)


def soak(case: Case, model: Path, requests: int, seconds: float) -> list[tuple[Load, int]]:
    """Ours in slices of so many requests, each no longer than so many seconds; the memory in bytes after each."""
    with running(OURS, model, case) as started:
        content = OURS.request(case, binary=False)
        slices = []
        for _ in range(SOAK_SLICES):
            load = started.load(content, 8, seconds, requests // SOAK_SLICES)
            slices.append((load, started.memory_bytes()))
        return slices


def _alone(case: Case, model: Path, seconds: float) -> Load:
    arguments = [str(HERE / "alone.py"), str(model), str(case.agents), json.dumps(case.shape), str(seconds)]
    done = subprocess.run(
        pinned(server_core(), [sys.executable, *arguments]),
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=True,
    )
    return Load(**json.loads(done.stdout))


def _keep(found: Found, side: Side, loads: dict[int, Load]) -> None:
    found.loads.setdefault(side, []).append(loads)
