"""How a training ended."""

from dataclasses import asdict, dataclass
from typing import Any

from rl_src.envs.specs import BehaviorSpec
from rl_src.training.settings.config import ResolvedConfig


@dataclass(frozen=True)
class BehaviorResult:
    """How one behavior's training ended. Counts cover all parts of a resumed training."""

    stop_reason: str | None  # env_steps or mean_return; None: the training ended before
    iterations: int
    env_steps: int
    episodes: int
    best_mean_return: float | None
    best_iteration: int | None


@dataclass(frozen=True)
class TrainingResult:
    """How the training ended, and what was trained."""

    behaviors: tuple[BehaviorSpec, ...]
    onnx_files: dict[str, str]  # behavior name to path below model_dir
    memory_sizes: dict[str, int]  # behavior name to numbers that its policy remembers of an agent
    stop_reason: str  # env_steps, mean_return, no_improvement, wall_time_seconds, budget_usd or stopped
    results: dict[str, BehaviorResult]  # by behavior name
    wall_time_seconds: float
    warnings: tuple[dict[str, str], ...]  # behavior, code, cause and remedy
    limited_by: str | None  # of most batches: learning, builds or inference
    advice: str | None  # what would make it faster
    config: ResolvedConfig

    @property
    def env_steps(self) -> int:
        """Agent decisions of all behaviors."""
        return sum(item.env_steps for item in self.results.values())

    @property
    def best_mean_return(self) -> float | None:
        """The mean of the behaviors' best; None where one has none."""
        found = [item.best_mean_return for item in self.results.values()]
        known = [value for value in found if value is not None]
        return sum(known) / len(known) if known and len(known) == len(found) else None

    def summary(self) -> dict[str, Any]:
        """The fields of `contracts.policy.TrainingSummary`."""
        return {
            "stop_reason": self.stop_reason,
            "iterations": sum(item.iterations for item in self.results.values()),
            "env_steps": self.env_steps,
            "episodes": sum(item.episodes for item in self.results.values()),
            "best_mean_return": self.best_mean_return,
            "wall_time_seconds": self.wall_time_seconds,
            "env_steps_per_second": self.env_steps / max(self.wall_time_seconds, 1e-9),
            "behaviors": {name: asdict(item) for name, item in self.results.items()},
            "warnings": list(self.warnings),
            "limited_by": self.limited_by,
            "advice": self.advice,
        }
