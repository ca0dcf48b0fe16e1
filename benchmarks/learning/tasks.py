"""What is to be learned, and when it counts as learned."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Task:
    """One environment.

    `solved`: mean return of 100 deterministic episodes. `promising`: mean return of the exploring policy from which on
    it is worth an evaluation. Counts are agent decisions: `slice_steps` between two evaluations, `limit` of the whole.
    `parameters`: of the environment while training, in the form of ML-Agents' trainer file; evaluations have none.
    `reference`: the trainer file's settings of the example for `mlagents-learn`; None: it does not take part.
    """

    build: str
    solved: float
    promising: float
    slice_steps: int
    limit: int
    arguments: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict, hash=False)
    reference: Mapping[str, Any] | None = field(default=None, hash=False)

    def trainer_file(self) -> dict[str, Any]:
        """The whole file. The reference keeps a model of every slice."""
        assert self.reference is not None
        times = {"max_steps": self.limit, "summary_freq": self.slice_steps, "checkpoint_interval": self.slice_steps}
        return {
            "behaviors": {self.build: {"trainer_type": "ppo", "keep_checkpoints": 10_000, **self.reference, **times}}
        }


def _ppo(gamma: float, horizon: int, network: Mapping[str, Any], **hyperparameters: float) -> dict[str, Any]:
    return {
        "hyperparameters": {"learning_rate": 3e-4, "epsilon": 0.2, "lambd": 0.95, "num_epoch": 3, **hyperparameters},
        "network_settings": dict(network),
        "reward_signals": {"extrinsic": {"gamma": gamma, "strength": 1.0}},
        "time_horizon": horizon,
    }


# The reference's settings are those of ML-Agents' own trainer files (release 22, config/ppo), but for GridWorld's:
# larger batches and a higher learning rate, without which it learned nothing of ours within 90,000 steps.
_BASIC = _ppo(
    0.9, 3, {"normalize": False, "hidden_units": 20, "num_layers": 1},
    batch_size=32, buffer_size=256, beta=0.005,
)  # fmt: skip
_BALL = _ppo(
    0.99, 1000, {"normalize": True, "hidden_units": 128, "num_layers": 2},
    batch_size=64, buffer_size=12_000, beta=0.001, lambd=0.99,
)  # fmt: skip
_GRID = _ppo(
    0.9, 5, {"normalize": False, "hidden_units": 128, "num_layers": 1},
    batch_size=256, buffer_size=2304, beta=0.005, learning_rate=1e-3,
)  # fmt: skip


def _heights(*lessons: tuple[float, float | None]) -> dict[str, Any]:
    """A curriculum of (height, mean return of the agents before high walls from which on the next one begins)."""
    documents: list[dict[str, Any]] = []
    for number, (height, enough) in enumerate(lessons):
        documents.append({"name": f"Lesson{number}", "value": height})
        if enough is not None:
            criteria = {"behavior": "BigWallJump", "measure": "reward", "threshold": enough, "min_lesson_length": 100}
            documents[-1]["completion_criteria"] = criteria
    return {"curriculum": documents}


# The example has a trainer file with a curriculum too (config/ppo/WallJump_curriculum.yaml). Walls up to 5.5 can be
# jumped over; the higher ones of the second lesson take the block.
_RISING_WALL = {
    "big_wall_min_height": _heights((1.0, 0.6), (4.0, 0.5), (8.0, None)),
    "big_wall_max_height": _heights((4.0, 0.6), (6.5, 0.5), (8.0, None)),
}
TASKS = (
    Task("Basic", 0.92, 0.85, 512, 40_000, reference=_BASIC),
    Task("3DBall", 95.0, 15.0, 6_000, 500_000, reference=_BALL),
    Task("GridWorld", 0.8, 0.6, 5_000, 300_000, reference=_GRID),
    Task("Hallway", 0.7, 0.6, 50_000, 5_000_000, arguments=("--agents", "64")),
    Task("WallJump", 0.8, 0.7, 50_000, 5_000_000, arguments=("--agents", "32"), parameters=_RISING_WALL),
)
