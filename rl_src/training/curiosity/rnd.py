"""Random network distillation (Burda et al., arXiv:1810.12894): what has rarely been seen is predicted badly."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn

from rl_src.envs.specs import ObservationSpec
from rl_src.training.networks.network import Body
from rl_src.training.settings.config import ResolvedNetwork

FEATURES = 64
"""Random features of an observation that are predicted. The paper has 512, for Atari's pictures."""


class RND(nn.Module):
    """A predictor learns what a fixed random network makes of an observation.

    Nothing but the observation that an action led to counts, so the noise of actions and transitions earns nothing.
    """

    def __init__(self, observations: Sequence[ObservationSpec], network: ResolvedNetwork) -> None:
        super().__init__()
        self.target = _Features(observations, network)
        for parameter in self.target.parameters():
            parameter.requires_grad_(False)
        # One layer more than the target, as in the paper: what limits the error is to be how often it has been seen.
        deeper = replace(network, hidden_sizes=(*network.hidden_sizes, network.hidden_sizes[-1]))
        self.predictor = _Features(observations, deeper)

    def surprise(
        self, before: Sequence[torch.Tensor], after: Sequence[torch.Tensor], actions: torch.Tensor
    ) -> torch.Tensor:
        """Mean squared error of the predicted features of `after`: [N, *shape] each -> [N]."""
        wanted: torch.Tensor = self.target(after)
        found: torch.Tensor = self.predictor(after)
        return (found - wanted).square().mean(dim=1)

    def losses(
        self, before: Sequence[torch.Tensor], after: Sequence[torch.Tensor], actions: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """What is minimised, by the name of the statistic."""
        return {"curiosity_loss": self.surprise(before, after, actions).mean()}


class _Features(nn.Module):
    """Body and a linear layer: any observation -> [N, FEATURES]."""

    def __init__(self, observations: Sequence[ObservationSpec], network: ResolvedNetwork) -> None:
        super().__init__()
        self.body = Body(observations, network)
        self.head = nn.Linear(self.body.size, FEATURES)
        nn.init.orthogonal_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, observations: Sequence[torch.Tensor]) -> torch.Tensor:
        """[N, *shape] for each sensor -> [N, FEATURES]."""
        features: torch.Tensor = self.head(self.body(observations))
        return features
