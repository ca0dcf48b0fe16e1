"""When a training has learned enough, or learns no more: the mean return against a threshold and against its best."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from rl_src.training.errors import InvalidTrainingConfigError

Reason = Literal["mean_return", "no_improvement"]


@dataclass(frozen=True)
class PatienceSettings:
    """Limits on the mean return; None leaves one out.

    Args:
        mean_return: the mean return to be reached ...
        patience: ... in so many iterations in a row.
        no_improvement_env_steps: training ends when the best mean return is so many agent decisions old.
        min_improvement: by how much the best must be exceeded to count as better, in units of the return.
    """

    mean_return: float | None = None
    patience: int = 1
    no_improvement_env_steps: int | None = None
    min_improvement: float = 0.0

    def __post_init__(self) -> None:
        if self.patience < 1:
            raise InvalidTrainingConfigError(f"stop.patience must be at least 1, not {self.patience}.")
        if self.no_improvement_env_steps is not None and self.no_improvement_env_steps < 1:
            steps = self.no_improvement_env_steps
            raise InvalidTrainingConfigError(f"stop.no_improvement_env_steps must be at least 1, not {steps}.")
        if not self.min_improvement >= 0:
            raise InvalidTrainingConfigError(f"stop.min_improvement must not be negative: {self.min_improvement}.")


class PatienceRule:
    """Watches the mean return of one behavior, iteration by iteration."""

    def __init__(self, settings: PatienceSettings) -> None:
        self._settings = settings
        self._in_a_row = 0
        self._best: float | None = None
        self._best_at = 0

    def observe(self, mean_return: float | None, env_steps: int) -> Reason | None:
        """Judge one iteration.

        Args:
            mean_return: over the recent episodes; None while too few have ended to judge, which is no failure: the
                time without improvement counts from the first that could be judged.
            env_steps: agent decisions so far.

        Returns:
            Why the training is to end, if so.
        """
        if mean_return is None or not math.isfinite(mean_return):
            self._in_a_row = 0
            return None
        settings = self._settings
        reached = settings.mean_return is not None and mean_return >= settings.mean_return
        self._in_a_row = self._in_a_row + 1 if reached else 0
        if self._best is None or mean_return > self._best + settings.min_improvement:
            self._best, self._best_at = mean_return, env_steps
        if self._in_a_row >= settings.patience:
            return "mean_return"
        limit = settings.no_improvement_env_steps
        return "no_improvement" if limit is not None and env_steps - self._best_at >= limit else None

    def state(self) -> dict[str, Any]:
        """As JSON takes it, for the checkpoint."""
        return {"in_a_row": self._in_a_row, "best": self._best, "best_at": self._best_at}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state`."""
        self._in_a_row, self._best, self._best_at = state["in_a_row"], state["best"], state["best_at"]
