"""What the policy saw and did, to be asked again of the endpoint that serves it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rl_src.envs.batches import DecisionBatch
from rl_src.serving.onnx_policy import OnnxPolicy

MAX_OBSERVATIONS = 64
MAX_VALUES = 150_000
"""As JSON some 3 MB: below what a serverless endpoint takes in one request."""


class ParityRecorder:
    """Keeps the first distinct observations of one behavior."""

    def __init__(self, behavior: str, policy: OnnxPolicy) -> None:
        self._behavior = behavior
        self._policy = policy
        self._seen: set[bytes] = set()
        self._rows: list[tuple[tuple[NDArray[np.float32], ...], NDArray[np.float32] | None]] = []
        values = sum(int(np.prod(shape)) for shape in policy.observation_shapes)
        self._limit = max(1, min(MAX_OBSERVATIONS, MAX_VALUES // max(1, values)))

    def see(self, decisions: DecisionBatch) -> None:
        """Look at a batch; rows that were seen before are passed over."""
        for row in range(len(decisions.agent_ids)):
            if len(self._rows) >= self._limit:
                return
            observations = tuple(sensor[row] for sensor in decisions.observations)
            mask = None if decisions.action_mask is None else decisions.action_mask[row].astype(np.float32)
            key = b"".join(part.tobytes() for part in observations) + (b"" if mask is None else mask.tobytes())
            if key not in self._seen:
                self._seen.add(key)
                self._rows.append((tuple(part.copy() for part in observations), mask))

    def document(self) -> dict[str, Any]:
        """One `ParityPair` of the pipeline's contracts: batch first, deterministic actions."""
        observations = [np.stack(sensor) for sensor in zip(*(row for row, _ in self._rows), strict=True)]
        masks = [mask for _, mask in self._rows if mask is not None]
        stacked = np.stack(masks) if masks else None
        continuous, discrete = self._policy.act(observations, stacked)
        return {
            "behavior": self._behavior,
            "observations": [sensor.tolist() for sensor in observations],
            "action_masks": None if stacked is None else stacked.tolist(),
            "continuous": continuous.tolist(),
            "discrete": discrete.tolist(),
        }
