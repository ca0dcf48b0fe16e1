"""`ours.py PROGRAM FOLDER CELL`: our training.

Prints one JSON line: marks, (decisions, seconds) of each update, and shares of the time.
"""

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.training.sides import EPOCHS, HIDDEN, LAYERS, Cell
from rl_src.training.settings.config import EnvironmentSettings, Hyperparameters, Network, StopRule, TrainingConfig
from rl_src.training.settings.machine import learner_place
from rl_src.training.trainer import train


def main() -> None:
    program, folder, cell = Path(sys.argv[1]), Path(sys.argv[2]), Cell(**json.loads(sys.argv[3]))
    lines: list[dict[str, Any]] = []
    train(
        config_of(program, cell),
        model_dir=folder / "model",
        checkpoint_dir=folder / "checkpoints",
        work_dir=folder / "work",
        report=lines.append,
        stop_requested=lambda: False,
    )
    evenly = told_evenly(lines)
    sys.stdout.write("\n" + json.dumps({"marks": marks_of(evenly), "shares": shares_of(evenly)}) + "\n")


def told_evenly(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without the last: a batch's line comes when the batch after is full, and the last one's at once."""
    return lines[:-1]


def marks_of(lines: list[dict[str, Any]]) -> list[tuple[float, float]]:
    """(decisions, seconds) of each line."""
    return [(line["env_steps"], line["wall_time_seconds"]) for line in lines]


def shares_of(lines: list[dict[str, Any]]) -> dict[str, float]:
    """Of the time from the first line to the last: waiting for the build, the rest of sampling, learning beside it."""
    seconds = lines[-1]["wall_time_seconds"] - lines[0]["wall_time_seconds"]
    builds, sampling, learning = (
        sum(line[f"{name}_seconds"] for line in lines[1:]) / seconds for name in ("build", "sampling", "learning")
    )
    return {"builds": builds, "sampling": sampling - builds, "learning": learning}


def config_of(program: Path, cell: Cell) -> TrainingConfig:
    """The same settings as `sides.trainer_file`."""
    return TrainingConfig(
        executable=program,
        hyperparameters=Hyperparameters(train_batch_size=cell.batch, minibatch_size=cell.minibatch, num_epochs=EPOCHS),
        network=Network(hidden_sizes=(HIDDEN,) * LAYERS, activation="silu", normalize_observations=False),
        stop=StopRule(env_steps=cell.own_steps),
        environment=EnvironmentSettings(arguments=("--agents", str(cell.agents)), num_builds=1),
        seed=1,
        checkpoint_interval_seconds=3600.0,
        learns_in=learner_place(),
    )


if __name__ == "__main__":
    main()
