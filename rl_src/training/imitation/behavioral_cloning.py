"""A warm start: beside its own loss, the policy learns to do what recordings show, less and less of it as it plays.

As ML-Agents' behavioral cloning, with two differences. Its loss is added to the policy's instead of being an update of
its own, so that one gradient weighs both; and of continuous actions the mean alone is drawn to what was recorded, so
that imitating does not end exploration (ml-agents: `mlagents/trainers/torch_entities/components/bc/module.py`).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rl_src.envs.specs import ActionSpec
from rl_src.training.algorithms.placement import sent
from rl_src.training.errors import InvalidCheckpointError, InvalidDemonstrationError, UnsupportedBehaviorError
from rl_src.training.imitation.demonstrations import Demonstrations
from rl_src.training.networks.action_distribution import log_probabilities, mask_logits
from rl_src.training.networks.network import UNITY_LIMIT, PolicyNetwork
from rl_src.training.settings.config import CloningSettings

CPU = torch.device("cpu")

STATISTIC = "cloning_loss"
"""In progress lines: the loss before it is weighed."""


class BehavioralCloning:
    """Draws minibatches of recorded decisions, in an order of its own, and tells how far the policy is from them.

    Args:
        demonstrations: what was recorded. Choices that the build forbade are left out: the policy cannot make them.
        settings: how much they count, and how long.
        minibatch_size: where the settings have none.
        seed: of the order.
        device: of the policy that learns.

    Raises:
        InvalidDemonstrationError: nothing but forbidden choices was recorded.
    """

    def __init__(
        self,
        demonstrations: Demonstrations,
        settings: CloningSettings,
        minibatch_size: int,
        seed: int,
        *,
        device: torch.device = CPU,
    ) -> None:
        self._spec, self._settings = demonstrations.spec.actions, settings
        kept = _allowed(demonstrations)
        if not kept.any():
            raise InvalidDemonstrationError("the recordings hold nothing but choices that the build had forbidden.")
        self._observations = tuple(torch.from_numpy(item[kept]).to(device) for item in demonstrations.observations)
        self._actions = torch.from_numpy(demonstrations.actions[kept]).to(device)
        masks = demonstrations.masks
        self._masks = None if masks is None else torch.from_numpy(masks[kept]).to(device)
        self._size = min(settings.batch_size or minibatch_size, len(self._actions))
        self._shuffling = torch.Generator().manual_seed(seed)
        self._order = torch.randperm(len(self._actions), generator=self._shuffling)
        self._position = 0

    def weight(self, env_steps: int) -> float:
        """What the loss counts after so many env steps: the strength, falling in a straight line to nothing."""
        return self._settings.strength * max(0.0, 1.0 - env_steps / self._settings.steps)

    def loss(self, network: PolicyNetwork, env_steps: int) -> torch.Tensor | None:
        """Of the next minibatch, weighed; None when it counts nothing any more.

        Raises:
            UnsupportedBehaviorError: the policy has a memory.
        """
        self.check(network)
        weight = self.weight(env_steps)
        return weight * self._distance(network, self._next()) if weight > 0 else None

    def check(self, network: PolicyNetwork) -> None:
        """Whether a policy can learn from recordings.

        Raises:
            UnsupportedBehaviorError: it has a memory, and what it remembered is not in the recordings.
        """
        if network.memory_size > 0:
            raise UnsupportedBehaviorError(
                "behavioral_cloning does not teach policies with memory yet.",
                "Leave out behavioral_cloning or network.memory.",
            )

    def state(self) -> dict[str, NDArray[Any]]:
        """Where it is in its order."""
        return {
            "shuffling": self._shuffling.get_state().numpy().copy(),
            "order": self._order.numpy().copy(),
            "position": np.array([self._position]),
        }

    def set_state(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """The inverse of `state`.

        Raises:
            InvalidCheckpointError: it is none, or of other recordings.
        """
        try:
            order, position = torch.from_numpy(arrays["order"].copy()), int(arrays["position"][0])
            if len(order) != len(self._order):
                raise ValueError(f"{len(order)} decisions, the recordings have {len(self._order)}")
            self._shuffling.set_state(torch.from_numpy(arrays["shuffling"].copy()))
        except (KeyError, IndexError, ValueError, RuntimeError) as error:
            raise InvalidCheckpointError(
                f"the checkpoint's state of behavioral cloning does not fit: {error!r}."
            ) from error
        self._order, self._position = order, position

    def _next(self) -> torch.Tensor:
        """Rows of the next minibatch. A rest that is smaller is left out until the next shuffling."""
        if self._position + self._size > len(self._order):
            self._order = torch.randperm(len(self._order), generator=self._shuffling)
            self._position = 0
        begin, self._position = self._position, self._position + self._size
        return self._order[begin : self._position]

    def _distance(self, network: PolicyNetwork, chosen: torch.Tensor) -> torch.Tensor:
        rows = sent(chosen, self._actions.device)
        inputs = network.distribution_inputs([values[rows] for values in self._observations])
        inputs = mask_logits(inputs, None if self._masks is None else self._masks[rows], self._spec)
        actions, size = self._actions[rows], self._spec.continuous_size
        distance = inputs.new_zeros(())
        if size:
            # Unity takes more from a heuristic than a policy can say.
            shown = actions[:, :size].clamp(-UNITY_LIMIT, UNITY_LIMIT)
            distance = distance + (inputs[:, :size] - shown).square().mean()
        if self._spec.discrete_branches:
            choices = ActionSpec(0, self._spec.discrete_branches)
            distance = distance - log_probabilities(inputs[:, 2 * size :], actions[:, size:], choices).mean()
        return distance


def _allowed(demonstrations: Demonstrations) -> NDArray[np.bool_]:
    """[N], False where a choice was forbidden: Unity does not hold a human player to the masks."""
    allowed = np.ones(len(demonstrations), np.bool_)
    if demonstrations.masks is None:
        return allowed
    spec, start = demonstrations.spec.actions, 0
    for branch, width in enumerate(spec.discrete_branches):
        choices = demonstrations.actions[:, spec.continuous_size + branch].astype(np.int64)
        allowed &= demonstrations.masks[np.arange(len(choices)), start + choices] > 0
        start += width
    return allowed
