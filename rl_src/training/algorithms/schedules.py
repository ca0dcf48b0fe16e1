"""What falls while a behavior learns: learning rate, entropy bonus and clip range, where a schedule says so.

A linear schedule falls in a straight line until the limit on env_steps; without a limit there is nothing to fall to.
ML-Agents lets learning rate and entropy bonus fall to almost nothing, and the clip range to 0.1, half its default.
"""

from dataclasses import dataclass

from rl_src.training.settings.config import ResolvedHyperparameters, ResolvedSac, Schedule

FINAL_FRACTION = 0.1
"""Of learning rate and entropy bonus: the last updates should still change something."""

FINAL_CLIP_FRACTION = 0.5


@dataclass(frozen=True)
class Coefficients:
    """Of PPO's loss, at one moment."""

    entropy: float
    clip: float


def coefficients(settings: ResolvedHyperparameters, env_steps: int, limit: int | None) -> Coefficients:
    """After so many env steps of so many."""
    progress = 0.0 if limit is None else min(1.0, env_steps / limit)
    return Coefficients(
        _fallen(settings.entropy_coeff, settings.entropy_schedule, progress, FINAL_FRACTION),
        _fallen(settings.clip_param, settings.clip_schedule, progress, FINAL_CLIP_FRACTION),
    )


def learning_rate(settings: ResolvedHyperparameters, limit: int | None) -> float | list[list[float]]:
    """As RLlib takes it: a number, or (env steps, value) pairs."""
    if limit is None or settings.lr_schedule == "constant":
        return settings.lr
    return [[0, settings.lr], [limit, settings.lr * FINAL_FRACTION]]


def learning_rate_at(settings: ResolvedHyperparameters | ResolvedSac, env_steps: int, limit: int | None) -> float:
    """`learning_rate` after so many env steps, as a number."""
    progress = 0.0 if limit is None else min(1.0, env_steps / limit)
    return _fallen(settings.lr, settings.lr_schedule, progress, FINAL_FRACTION)


def _fallen(value: float, schedule: Schedule, progress: float, final_fraction: float) -> float:
    return value if schedule == "constant" else value * (1.0 - (1.0 - final_fraction) * progress)
