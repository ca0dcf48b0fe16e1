"""One training of one side, as a process of its own, and how many agent decisions a second it made.

All sides get the same train batch, minibatch, network and epochs. Start-up is excluded: the clock runs from the first
line of progress to the last. Ours tells a line an update; `mlagents-learn` a summary line every train batch.
"""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from benchmarks.envs.slow_builds import AGENTS
from sample_builds.packer import pack

ROOT = Path(__file__).parents[2]
HIDDEN, LAYERS, EPOCHS = 64, 2, 3
HORIZON = 16
"""Of the reference: stretches of 64 agents then fill one train batch of 1,024, not four at once."""
_TIMEOUT_SECONDS = 300
_SUMMARY = re.compile(r"Step: (?P<step>\d+)\. Time Elapsed: (?P<seconds>[\d.]+) s")


@dataclass(frozen=True)
class Cell:
    """What is trained. Counts are agent decisions; `steps`: of the reference; `own_steps`: of the faster sides."""

    build: str
    agents: int
    batch: int
    minibatch: int
    steps: int
    own_steps: int

    @property
    def title(self) -> str:
        return f"{self.build}, {self.agents} agents"


@dataclass(frozen=True)
class Side:
    """Who trains: `module` in the environment of `python`. `is_ours`: it takes a cell, and prints marks."""

    title: str
    python: Path
    module: str
    is_ours: bool = False
    arguments: tuple[str, ...] = ()


OURS = Side("ours", Path(sys.executable), "benchmarks.training.ours", is_ours=True)
BARE = tuple(
    Side(f"bare loop, {words}", Path(sys.executable), "benchmarks.training.bare_loop", True, (threads,))
    for threads, words in (("1", "1 thread"), ("2", "2 threads"))
)
SLOW = Side("ours", Path(sys.executable), "benchmarks.training.slow_builds", is_ours=True)
SHIPPED = Side("as shipped", ROOT / ".venv-peers/bin/python", "tests.peers.scripts.learn")
FAST = Side("fast protobuf", ROOT / ".venv-peers-fast/bin/python", "benchmarks.training.learn_fast")


def is_installed(side: Side) -> bool:
    """Whether the reference's trainer is in that side's environment."""
    return any(side.python.parents[1].glob("lib/python*/site-packages/mlagents/trainers"))


def rate_of(marks: Sequence[tuple[float, float]]) -> float:
    """Decisions a second between the first and the last (decisions, seconds).

    Raises:
        ValueError: fewer than two marks.
    """
    if len(marks) < 2:
        raise ValueError(f"a rate needs two marks of progress, there are {len(marks)}.")
    (first, began), (last, ended) = marks[0], marks[-1]
    return (last - first) / (ended - began)


def summary_marks(printed: str) -> list[tuple[float, float]]:
    """(decisions, seconds) of each summary line of `mlagents-learn`; printed to milliseconds."""
    return [(float(match["step"]), float(match["seconds"])) for match in _SUMMARY.finditer(printed)]


@dataclass(frozen=True)
class Measured:
    """Agent decisions a second, and where the time went, where a side tells it: shares by name."""

    rate: float
    shares: Mapping[str, float] = field(default_factory=dict)


def measure(side: Side, cell: Cell) -> Measured:
    """One training.

    Raises:
        RuntimeError: it failed; with what it said.
    """
    with tempfile.TemporaryDirectory() as folder:
        program = unpacked(cell.build, Path(folder))
        if side.is_ours:
            arguments = [str(program), folder, json.dumps(asdict(cell)), *side.arguments]
        else:
            arguments = _learn_arguments(program, Path(folder), cell)
        printed = _run(side, cell.title, arguments)
        if not side.is_ours:
            return Measured(rate_of(summary_marks(printed)))
        told = json.loads(printed.splitlines()[-1])
        return Measured(rate_of(told["marks"]), told.get("shares", {}))


def measure_slow_builds(number: int) -> tuple[float, float]:
    """Agent decisions a second on so many slow builds: of our training, and the builds' own ceiling."""
    told = json.loads(_run(SLOW, f"{number} slow builds", [str(number)]).splitlines()[-1])
    return rate_of(told["marks"]), told["ceiling"] * AGENTS


def unpacked(build: str, folder: Path) -> Path:
    """The program of a sample build, played by this interpreter on every side."""
    with zipfile.ZipFile(pack(build, folder)) as archive:
        archive.extractall(folder / build)
    program = folder / build / f"{build}.x86_64"
    _, _, script = program.read_text("utf-8").partition("\n")
    program.write_text(f"#!{sys.executable}\n{script}", "utf-8")
    program.chmod(0o755)
    return program


def trainer_file(cell: Cell) -> dict[str, Any]:
    """The settings for `mlagents-learn`."""
    return {
        "behaviors": {
            cell.build: {
                "trainer_type": "ppo",
                "hyperparameters": {
                    "batch_size": cell.minibatch,
                    "buffer_size": cell.batch,
                    "num_epoch": EPOCHS,
                },
                "network_settings": {"normalize": False, "hidden_units": HIDDEN, "num_layers": LAYERS},
                "max_steps": cell.steps,
                "time_horizon": HORIZON,
                "summary_freq": cell.batch,
            }
        }
    }


def _learn_arguments(program: Path, folder: Path, cell: Cell) -> list[str]:
    settings = folder / "trainer.yaml"
    settings.write_text(yaml.safe_dump(trainer_file(cell)), "utf-8")
    options = {"--env": program, "--run-id": "run", "--results-dir": folder, "--base-port": _free_port(), "--seed": 1}
    words = [str(word) for option in options.items() for word in option]
    return [str(settings), "--no-graphics", *words, "--env-args", "--agents", str(cell.agents)]


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _run(side: Side, what: str, arguments: list[str]) -> str:
    # One thread: networks this small gain nothing by more.
    finished = subprocess.run(
        [str(side.python), "-m", side.module, *arguments],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False,
    )  # fmt: skip
    if finished.returncode:
        raise RuntimeError(f"{side.title}, {what}: {finished.stderr[-2000:]}")
    # Logging of the reference goes to either stream; ours is read from the last line of the first.
    return finished.stdout if side.is_ours else finished.stdout + finished.stderr
