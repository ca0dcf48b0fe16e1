"""Starts contestants in turn, and makes figures of what they say."""

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONTESTANT = Path(__file__).with_name("contestant.py")
_TIMEOUT_SECONDS = 300


@dataclass(frozen=True)
class Contestant:
    """`name`: of `contestant.py`; `python`: of its environment."""

    title: str
    name: str
    python: Path
    arguments: tuple[str, ...] = ()


def contestants(with_peers: bool) -> tuple[Contestant, ...]:
    """Ours, what gRPC itself costs, and the reference twice; without the last where only a quick look is wanted."""
    here = Path(sys.executable)
    own = (
        Contestant("echo, sockets", "echo-sockets", here),
        Contestant("echo, grpcio", "echo-grpcio", here),
        Contestant("ours", "ours", here),
    )
    peers = (
        Contestant("fast protobuf", "mlagents", ROOT / ".venv-peers-fast/bin/python", ("--fast-protobuf",)),
        Contestant("as shipped", "mlagents", ROOT / ".venv-peers/bin/python"),
    )
    return own + peers if with_peers else own


@dataclass(frozen=True)
class Cell:
    """What is played: agents, and what each observes."""

    title: str
    agents: int
    arguments: tuple[str, ...]

    @property
    def is_png(self) -> bool:
        return "png" in self.arguments

    @classmethod
    def vector(cls, agents: int, size: int) -> "Cell":
        return cls(f"{agents} x {size}", agents, ("--agents", str(agents), "--size", str(size)))

    @classmethod
    def images(cls, agents: int, kind: str) -> "Cell":
        return cls(f"{agents} x 84x84x3 {kind}", agents, ("--agents", str(agents), "--image", kind))


def seconds_per_exchange(contestant: Contestant, cell: Cell, seconds: float) -> float:
    """One run of one contestant.

    Raises:
        RuntimeError: it failed; with what it said.
    """
    result = run(contestant, cell, ("--seconds", str(seconds)))
    return result["seconds"] / result["exchanges"]


def run(contestant: Contestant, cell: Cell, how: Sequence[str]) -> dict[str, float]:
    command = [contestant.python, CONTESTANT, contestant.name, "--build-python", sys.executable, *how]
    finished = subprocess.run(
        [*map(str, command), *contestant.arguments, "--", *cell.arguments],
        capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False,
    )  # fmt: skip
    if finished.returncode:
        raise RuntimeError(f"{contestant.title}, {cell.title}: {finished.stderr[-2000:]}")
    return dict(json.loads(finished.stdout.splitlines()[-1]))


def take_turns(
    who: Iterable[Contestant], rounds: int, measure: Callable[[Contestant], float]
) -> Mapping[str, list[float]]:
    """Every contestant once a round, in the same order: title -> one figure a round."""
    found: dict[str, list[float]] = {contestant.title: [] for contestant in who}
    for _ in range(rounds):
        for contestant in who:
            found[contestant.title].append(measure(contestant))
    return found


def median_of(pairs: Callable[[float, float], float], first: Sequence[float], second: Sequence[float]) -> float:
    """The median over rounds of a figure made of both sides of one round."""
    return statistics.median(pairs(one, other) for one, other in zip(first, second, strict=True))
