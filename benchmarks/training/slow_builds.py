"""`slow_builds.py NUMBER`: our training on builds as slow as real ones, the last of several a straggler.

Prints one JSON line: decisions and seconds between the first and the last update, of `benchmarks.envs.slow_builds`'
builds, and the builds' own ceiling in steps a second.
"""

import json
import logging
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.envs.contestant import executable
from benchmarks.envs.slow_builds import AGENTS, build_arguments, steps_against_echoes
from benchmarks.training.ours import marks_of, told_evenly
from benchmarks.training.sides import EPOCHS, HIDDEN, LAYERS
from rl_src.envs.client import UnityClient
from rl_src.training.sampling.scenes import Scenes
from rl_src.training.settings.config import Hyperparameters, Network, StopRule, TrainingConfig
from rl_src.training.settings.machine import learner_place
from rl_src.training.trainer import train_on

BATCH, MINIBATCH, SECONDS = 2048, 256, 12.0


def main() -> None:
    number = int(sys.argv[1])
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        program = executable(Path(folder), sys.executable)
        ceiling = steps_against_echoes(program, number)
        lines = train_for_some_seconds(program, number, Path(folder), steps=whole_batches(ceiling * AGENTS * SECONDS))
    sys.stdout.write("\n" + json.dumps({"marks": marks_of(told_evenly(lines)), "ceiling": ceiling}) + "\n")


def whole_batches(steps: float) -> int:
    """About so many steps. A short last batch would be full early, and the line before it early by as much."""
    return BATCH * max(4, round(steps / BATCH))


def train_for_some_seconds(program: Path, number: int, folder: Path, steps: int) -> list[dict[str, Any]]:
    """Progress lines."""
    lines: list[dict[str, Any]] = []

    def start(index: int, _generation: int) -> UnityClient:
        return UnityClient(program, arguments=build_arguments(index, number), graphics=False)

    train_on(
        Scenes(start, number),
        TrainingConfig(
            executable=program,
            hyperparameters=Hyperparameters(train_batch_size=BATCH, minibatch_size=MINIBATCH, num_epochs=EPOCHS),
            network=Network(hidden_sizes=(HIDDEN,) * LAYERS, activation="silu", normalize_observations=False),
            stop=StopRule(env_steps=steps),
            checkpoint_interval_seconds=3600.0,
            learns_in=learner_place(),
        ),
        model_dir=folder / "model",
        checkpoint_dir=folder / "checkpoints",
        report=lines.append,
        stop_requested=lambda: False,
    )
    return lines


if __name__ == "__main__":
    main()
