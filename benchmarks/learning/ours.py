"""Our training, with presets, in slices: when it looks promising it is stopped, evaluated, and goes on if need be.

Every slice resumes from the checkpoint of the one before, which continues the same training. Seconds are the trainings'
wall time, start-up of each slice included; evaluations are not.
"""

import math
from pathlib import Path
from typing import Any

from benchmarks.learning.evaluation import mean_return
from benchmarks.learning.results import Curve, Result
from benchmarks.learning.tasks import Task
from rl_src.training.settings.config import EnvironmentSettings, StopRule, TrainingConfig
from rl_src.training.settings.curriculum_form import read_parameters
from rl_src.training.settings.machine import learner_place
from rl_src.training.trainer import train


class _Slice:
    """Stops a training when it is worth an evaluation, and notes its curve."""

    def __init__(self, task: Task, not_before: int, curve: Curve) -> None:
        self._task, self._not_before, self._curve = task, not_before, curve
        self._latest: dict[str, float] = {}
        self._decisions = 0
        self.is_over = False

    def report(self, line: dict[str, Any]) -> None:
        self._latest[line["behavior"]] = line["mean_return"] if line["mean_return"] is not None else -math.inf
        mean = sum(self._latest.values()) / len(self._latest)
        self._decisions = max(self._decisions, line["env_steps"])  # of several behaviors, the one that decided most
        if math.isfinite(mean):
            self._curve.append((self._decisions, line["wall_time_seconds"], mean))
        self.is_over = self._decisions >= self._not_before and mean >= self._task.promising


def learn(task: Task, program: Path, seed: int, folder: Path) -> Result:
    """Train until it is solved, or the limit is reached."""
    curve: Curve = []
    not_before = 0
    while True:
        piece = _Slice(task, not_before, curve)
        result = train(
            TrainingConfig(
                executable=program,
                stop=StopRule(env_steps=task.limit),
                environment=EnvironmentSettings(arguments=task.arguments, parameters=read_parameters(task.parameters)),
                seed=seed,
                learns_in=learner_place(),
            ),
            model_dir=folder / "model",
            checkpoint_dir=folder / "checkpoints",
            work_dir=folder / "work",
            report=piece.report,
            stop_requested=lambda piece=piece: piece.is_over,  # type: ignore[misc]
        )
        decisions = max(own.env_steps for own in result.results.values())
        models = {name: folder / "model" / path for name, path in result.onnx_files.items()}
        reached = mean_return(task, program, models)
        solved = reached >= task.solved
        if solved or result.stop_reason != "stopped":
            return Result(task.build, seed, "ours", solved, decisions, result.wall_time_seconds, reached, curve)
        not_before = decisions + task.slice_steps
