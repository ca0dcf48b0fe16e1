"""The judge of both sides: 100 deterministic episodes of the exported models, on seeds of their own."""

from collections.abc import Mapping
from pathlib import Path

from benchmarks.learning.tasks import Task
from rl_src.evaluation.evaluate import EvaluationConfig, evaluate
from rl_src.serving.onnx_policy import OnnxPolicy

EPISODES = 100


def mean_return(task: Task, program: Path, models: Mapping[str, Path], episodes: int = EPISODES) -> float:
    """Of all behaviors together."""
    config = EvaluationConfig(program, episodes=episodes, arguments=task.arguments)
    report, _ = evaluate(
        config, lambda: {name: OnnxPolicy.load(path) for name, path in models.items()}, "benchmark", lambda: False
    )
    return float(report["mean_return"])
