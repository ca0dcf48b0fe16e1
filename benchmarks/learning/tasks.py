"""What is to be learned, and when it counts as learned."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Task:
    """One environment.

    `solved`: mean return of 100 deterministic episodes. `promising`: mean return of the exploring policy from which on
    it is worth an evaluation. Counts are agent decisions: `slice_steps` between two evaluations, `limit` of the whole.
    `reference`: the trainer file's settings of the example for `mlagents-learn`; None: it does not take part.
    """

    build: str
    solved: float
    promising: float
    slice_steps: int
    limit: int
    arguments: tuple[str, ...] = ()
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
TASKS = (
    Task("Basic", 0.92, 0.85, 512, 40_000, reference=_BASIC),
    Task("3DBall", 95.0, 15.0, 6_000, 500_000, reference=_BALL),
    Task("GridWorld", 0.8, 0.6, 5_000, 300_000, reference=_GRID),
    Task("Hallway", 0.7, 0.55, 50_000, 5_000_000, arguments=("--agents", "16")),
    Task("WallJump", 0.8, 0.6, 50_000, 5_000_000),
)
