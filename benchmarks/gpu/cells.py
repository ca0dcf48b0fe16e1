"""What is learned: by whom, from how many pictures at once, in which precision."""

from dataclasses import dataclass

from rl_src.envs.specs import ActionSpec, BehaviorSpec, ObservationSpec
from rl_src.training.settings.config import Device, Precision

SHAPE, CHOICES, HIDDEN, EPOCHS, SEED = (3, 84, 84), 5, 512, 3, 1
BEHAVIOR = BehaviorSpec("Visual?team=0", (ObservationSpec("camera", SHAPE),), ActionSpec(0, (CHOICES,)))


@dataclass(frozen=True)
class Cell:
    """One update from `batch` decisions, `EPOCHS` times over; `compiled`: of the bare loop."""

    device: Device
    minibatch: int
    batch: int
    precision: Precision = "float32"
    compiled: bool = False

    @property
    def title(self) -> str:
        """For a table."""
        return f"{self.minibatch:,}, {self.precision}"
