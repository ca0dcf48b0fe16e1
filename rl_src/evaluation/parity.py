"""What the policy saw and did, to be asked again of the endpoint that serves it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rl_src.envs.batches import DecisionBatch
from rl_src.serving.onnx_policy import OnnxPolicy

MAX_OBSERVATIONS = 64
MAX_VALUES = 150_000
"""As JSON some 3 MB: below what a serverless endpoint takes in one request."""


@dataclass(frozen=True)
class _Row:
    """One agent's view before a decision."""

    observations: tuple[NDArray[np.float32], ...]
    mask: NDArray[np.float32] | None
    memory: NDArray[np.float32]

    def key(self) -> bytes:
        mask = b"" if self.mask is None else self.mask.tobytes()
        return b"".join(part.tobytes() for part in self.observations) + mask + self.memory.tobytes()


class ParityRecorder:
    """Keeps distinct observations of one behavior, from the starts, middles and ends of several episodes."""

    def __init__(self, behavior: str, policy: OnnxPolicy) -> None:
        self._behavior = behavior
        self._policy = policy
        self._rows: dict[bytes, _Row] = {}
        values = sum(int(np.prod(shape)) for shape in policy.observation_shapes) + policy.memory_size
        self._limit = max(1, min(MAX_OBSERVATIONS, MAX_VALUES // max(1, values)))

    def see(self, decisions: DecisionBatch, decisions_before: list[int], memory: NDArray[np.float32]) -> None:
        """Look at a batch.

        Args:
            decisions: the N agents that are about to be decided for.
            decisions_before: how many decisions each had in its episode so far.
            memory: [N, memory_size], what the policy remembers of each.
        """
        for row, before in enumerate(decisions_before):
            if len(self._rows) >= self._limit:
                return
            # The episode's decisions 1, 2, 3, 5, 9, 17, …: the first long episode must not take all the room.
            if before & (before - 1):
                continue
            kept = _Row(
                observations=tuple(sensor[row].copy() for sensor in decisions.observations),
                mask=None if decisions.action_mask is None else decisions.action_mask[row].astype(np.float32),
                memory=memory[row].copy(),
            )
            self._rows.setdefault(kept.key(), kept)

    def document(self) -> dict[str, Any]:
        """One `ParityPair` of the pipeline's contracts: batch first, deterministic actions."""
        rows = list(self._rows.values())
        observations = [np.stack(sensor) for sensor in zip(*(row.observations for row in rows), strict=True)]
        masks = np.stack([row.mask for row in rows if row.mask is not None]) if rows[0].mask is not None else None
        memory = np.stack([row.memory for row in rows])
        continuous, discrete, remembered = self._policy.step(observations, masks, True, memory)
        pair: dict[str, Any] = {
            "behavior": self._behavior,
            "observations": [sensor.tolist() for sensor in observations],
            "action_masks": None if masks is None else masks.tolist(),
            "continuous": continuous.tolist(),
            "discrete": discrete.tolist(),
        }
        if self._policy.memory_size:
            pair |= {"memory": memory.tolist(), "memory_out": remembered.tolist()}
        return pair
