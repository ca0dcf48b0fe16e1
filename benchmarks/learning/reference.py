"""`mlagents-learn` 1.1.0 as shipped: one training that keeps a model of every slice; the first that solves counts.

Seconds are those that it tells beside its steps, start-up included.
"""

import os
import re
import socket
import subprocess
from pathlib import Path

import yaml

from benchmarks.learning.evaluation import mean_return
from benchmarks.learning.results import Curve, Result
from benchmarks.learning.tasks import Task

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-peers" / "bin" / "python"
_SUMMARY = re.compile(
    r"Step: (?P<step>\d+)\. Time Elapsed: (?P<seconds>[\d.]+) s\. Mean Reward: (?P<reward>-?[\d.]+)\."
)


def is_installed() -> bool:
    """Whether `make bench-learning` has made its environment."""
    return PYTHON.is_file()


def learn(task: Task, program: Path, seed: int, folder: Path) -> Result:
    """Train to the limit, then evaluate the models that it kept, from the first promising one on.

    Raises:
        RuntimeError: it failed; with what it said.
    """
    curve = curve_of(_train(task, program, seed, folder))
    reached = None
    for steps, model in kept_models(folder / "run" / task.build, task.build):
        seconds, promise = _at(curve, steps)
        if promise >= task.promising:
            reached = mean_return(task, program, {task.build: model})
            if reached >= task.solved:
                return Result(task.build, seed, "mlagents-learn", True, steps, seconds, reached, curve)
    return Result(task.build, seed, "mlagents-learn", False, task.limit, curve[-1][1], reached, curve)


def curve_of(printed: str) -> Curve:
    """(decisions, seconds, mean return) of each summary."""
    found = _SUMMARY.finditer(printed)
    return [(int(one["step"]), float(one["seconds"]), float(one["reward"])) for one in found]


def kept_models(folder: Path, build: str) -> list[tuple[int, Path]]:
    """(decisions, model), in their order."""
    models = [(int(path.stem.removeprefix(f"{build}-")), path) for path in folder.glob(f"{build}-*.onnx")]
    return sorted(models)


def _at(curve: Curve, steps: int) -> tuple[float, float]:
    """Seconds and mean return of the summary nearest to so many decisions."""
    nearest = min(curve, key=lambda mark: abs(mark[0] - steps))
    return nearest[1], nearest[2]


def _train(task: Task, program: Path, seed: int, folder: Path) -> str:
    settings = folder / "trainer.yaml"
    settings.write_text(yaml.safe_dump(task.trainer_file()), "utf-8")
    options = {
        "--env": program,
        "--run-id": "run",
        "--results-dir": folder,
        "--base-port": _free_port(),
        "--seed": seed,
    }
    words = [str(word) for option in options.items() for word in option]
    finished = subprocess.run(
        [str(PYTHON), "-m", "tests.peers.scripts.learn", str(settings), "--no-graphics", *words],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if finished.returncode:
        raise RuntimeError(f"mlagents-learn, {task.build}: {finished.stderr[-2000:]}")
    return finished.stdout + finished.stderr


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
