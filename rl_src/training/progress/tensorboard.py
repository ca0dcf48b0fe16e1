"""TensorBoard's event files, under the names that ML-Agents users know, with agent decisions as the step.

As ML-Agents does, every behavior has a folder of its own, so that TensorBoard shows it as a run of its own. The files
are written by tensorboardX, which Ray brings along, without its queue and thread: one event a line, at once on disk,
so that nothing is lost when the process is killed.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from tensorboardX.event_file_writer import EventsWriter  # type: ignore[import-untyped]
from tensorboardX.proto.event_pb2 import Event  # type: ignore[import-untyped]
from tensorboardX.proto.summary_pb2 import Summary  # type: ignore[import-untyped]

from rl_src.training.artifacts.checkpoint import file_name

TAGS: Mapping[str, str] = {
    # as ML-Agents calls them
    "mean_return": "Environment/Cumulative Reward",
    "mean_group_return": "Environment/Group Cumulative Reward",
    "mean_episode_length": "Environment/Episode Length",
    "policy_loss": "Losses/Policy Loss",
    "vf_loss": "Losses/Value Loss",
    "baseline_loss": "Losses/Baseline Loss",
    "entropy": "Policy/Entropy",
    "lr": "Policy/Learning Rate",
    "clip_param": "Policy/Epsilon",
    "entropy_coeff": "Policy/Beta",
    "intrinsic_reward": "Policy/Curiosity Reward",
    "curiosity_loss": "Losses/Curiosity Forward Loss",
    "curiosity_inverse_loss": "Losses/Curiosity Inverse Loss",
    "cloning_loss": "Losses/Pretraining Loss",
    "q1_loss": "Losses/Q1 Loss",
    "q2_loss": "Losses/Q2 Loss",
    "alpha_continuous": "Policy/Continuous Entropy Coeff",
    "alpha_discrete": "Policy/Discrete Entropy Coeff",
    "elo": "Self-play/ELO",
    # what ML-Agents does not have
    "min_return": "Environment/Smallest Cumulative Reward",
    "max_return": "Environment/Largest Cumulative Reward",
    "best_mean_return": "Environment/Best Cumulative Reward",
    "episodes": "Environment/Episodes",
    "kl": "Policy/KL Divergence",
    "grad_norm": "Losses/Gradient Norm",
    "explained_variance": "Losses/Explained Variance",
    "policy_lag": "Policy/Policy Lag",
    "mean_q": "Policy/Mean Q Value",
    "reward_scale": "Policy/Reward Scale",
    "env_steps_per_second": "Speed/Agent Decisions per Second",
    "sampling_seconds": "Speed/Sampling Seconds",
    "learning_seconds": "Speed/Learning Seconds",
}
"""Field of a progress line to tag. What a line does not have, or has as None, is left out."""

READ_AS: Mapping[str, Callable[[float], float]] = {"policy_loss": abs}
"""ML-Agents shows the policy loss without its sign (`ppo/optimizer_torch.py`); curves are to be comparable."""

LESSONS, LESSON_TAG = "lessons", "Environment/Lesson Number/"
"""A line's `lessons`: the number of each environment parameter's lesson, by parameter."""


class TensorBoardLog:
    """Writes progress lines as event files: <directory>/<behavior>/events.out.tfevents.*. Close it.

    Args:
        directory: made when it is not there. Event files of this training that lie there are replaced.
        earlier: lines of an earlier part of the same training, which are written again.
    """

    def __init__(self, directory: Path, earlier: Sequence[Mapping[str, Any]] = ()) -> None:
        self._directory = directory
        self._files: dict[str, EventsWriter] = {}
        played = earlier[-1].get("wall_time_seconds", 0.0) if earlier else 0.0
        self._began = time.time() - played
        for line in earlier:
            self._write(line)
        self._flush()

    def __enter__(self) -> "TensorBoardLog":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def add(self, line: Mapping[str, Any]) -> None:
        """Write one line; it is on disk when this returns."""
        self._write(line)
        self._flush()

    def close(self) -> None:
        """Close the files; more than once does no harm."""
        files, self._files = self._files, {}
        for file in files.values():
            file.close()

    def _write(self, line: Mapping[str, Any]) -> None:
        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars(line).items()]
        event = Event(
            wall_time=self._began + line.get("wall_time_seconds", 0.0),
            step=line["env_steps"],
            summary=Summary(value=values),
        )
        self._file(line["behavior"]).write_event(event)

    def _file(self, behavior: str) -> EventsWriter:
        if behavior not in self._files:
            folder = self._directory / file_name(behavior)
            folder.mkdir(parents=True, exist_ok=True)
            for old in folder.glob("events.out.tfevents.*"):
                old.unlink()
            self._files[behavior] = EventsWriter(str(folder / "events"))
        return self._files[behavior]

    def _flush(self) -> None:
        for file in self._files.values():
            file.flush()


def scalars(line: Mapping[str, Any]) -> dict[str, float]:
    """What a progress line shows, by tag. Values that are not finite are left out: TensorBoard cannot draw them."""
    found = {tag: line[name] for name, tag in TAGS.items() if line.get(name) is not None}
    found |= {TAGS[name]: read(found[TAGS[name]]) for name, read in READ_AS.items() if TAGS[name] in found}
    found |= {f"{LESSON_TAG}{name}": number for name, number in (line.get(LESSONS) or {}).items()}
    return {tag: float(value) for tag, value in found.items() if math.isfinite(value)}
