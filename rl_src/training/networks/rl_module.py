"""RLlib's view of `PolicyNetwork`."""

from typing import Any

import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module import RLModule
from ray.rllib.core.rl_module.apis import InferenceOnlyAPI, ValueFunctionAPI
from ray.rllib.core.rl_module.torch import TorchRLModule

from rl_src.training.networks.action_distribution import mask_logits
from rl_src.training.networks.network import PolicyNetwork

ACTION_MASK = "action_mask"
"""Batch column: float32 [N, sum(branches)], 1 = allowed."""

MEMORY = "memory"
"""Batch column: float32 [N, M], before each decision; with `DECIDED` [S, M], before each sequence's first."""

DECIDED = "decided"
"""Column of a batch of sequences: bool [S, T], where there is a decision."""


class ActorCriticModule(TorchRLModule, InferenceOnlyAPI, ValueFunctionAPI):
    """Policy and value function of one behavior.

    `model_config` holds `observations`, `actions` (the behavior's specs) and `network` (ResolvedNetwork).
    Columns.OBS is a tuple with one tensor for each sensor, [N, *shape].
    """

    def setup(self) -> None:
        """Build the networks; env runners do without the critic."""
        config: dict[str, Any] = dict(self.model_config)  # type: ignore[arg-type]
        self.network = PolicyNetwork(
            config["observations"], config["actions"], config["network"], with_critic=not self.inference_only
        )

    def _forward(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        inputs, _ = self.network.step(batch[Columns.OBS], batch.get(MEMORY))
        masked = mask_logits(inputs, batch.get(ACTION_MASK), self.network.action_spec)
        return {Columns.ACTION_DIST_INPUTS: masked}

    def compute_values(self, batch: dict[str, Any], embeddings: Any = None) -> torch.Tensor:
        """State values in the reward's units: [N]."""
        return self.network.values(batch[Columns.OBS], batch.get(MEMORY), batch.get(DECIDED))

    def get_non_inference_attributes(self) -> list[str]:
        """What env runners do without."""
        return ["network.critic"]


def network_of(module: RLModule) -> PolicyNetwork:
    """The networks inside one of RLlib's modules, which may be wrapped for distributed training."""
    inner = module.unwrapped()
    assert isinstance(inner, ActorCriticModule)
    return inner.network
