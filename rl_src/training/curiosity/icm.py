"""Intrinsic curiosity module (Pathak et al., arXiv:1705.05363): what an action leads to is predicted badly at first.

Observations become features from which the action between two of them can be told (the inverse model), so that
features hold what the agent has a part in, and the forward model predicts the next features from these and the action.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy, layer_norm, mse_loss

from rl_src.envs.specs import ActionSpec, ObservationSpec
from rl_src.training.networks.action_distribution import encode_actions, encoded_size, limited
from rl_src.training.networks.network import Body
from rl_src.training.settings.config import ResolvedNetwork


class ICM(nn.Module):
    """Encoder, forward and inverse model.

    The forward model's error does not reach the encoder (as in arXiv:1808.04355, inverse dynamics features): it could
    be made small by features that say little. Features are standardised one observation at a time: the inverse model
    gains by ever larger ones, and the forward error would grow with them.
    """

    def __init__(self, observations: Sequence[ObservationSpec], actions: ActionSpec, network: ResolvedNetwork) -> None:
        super().__init__()
        self.action_spec = actions
        self.body = Body(observations, network)
        size, width = self.body.size, encoded_size(actions)
        hidden = network.hidden_sizes[-1]
        self.forward_model = nn.Sequential(nn.Linear(size + width, hidden), nn.ReLU(), nn.Linear(hidden, size))
        self.inverse_model = nn.Sequential(nn.Linear(2 * size, hidden), nn.ReLU(), nn.Linear(hidden, width))

    def surprise(
        self, before: Sequence[torch.Tensor], after: Sequence[torch.Tensor], actions: torch.Tensor
    ) -> torch.Tensor:
        """Mean squared error of the features predicted for `after`: [N, *shape] each, [N, A] -> [N]."""
        return self._forward_error(self._encoded(before), self._encoded(after), actions)

    def losses(
        self, before: Sequence[torch.Tensor], after: Sequence[torch.Tensor], actions: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """What is minimised, by the name of the statistic."""
        first, second = self._encoded(before), self._encoded(after)
        return {
            "curiosity_loss": self._forward_error(first.detach(), second.detach(), actions).mean(),
            "curiosity_inverse_loss": self._inverse_loss(self._predicted(first, second), actions),
        }

    def predicted_actions(self, before: Sequence[torch.Tensor], after: Sequence[torch.Tensor]) -> torch.Tensor:
        """The likeliest action between two observations, packed: [N, *shape] each -> [N, A]."""
        predicted = self._predicted(self._encoded(before), self._encoded(after))
        parts = self._split(predicted)
        chosen = [part.argmax(dim=1, keepdim=True).to(predicted.dtype) for part in parts[1:]]
        return torch.cat([parts[0], *chosen], dim=1)

    def _encoded(self, observations: Sequence[torch.Tensor]) -> torch.Tensor:
        """[N, *shape] for each sensor -> [N, features], of mean 0 and deviation 1 in each row."""
        return layer_norm(self.body(observations), (self.body.size,))

    def _forward_error(self, first: torch.Tensor, second: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        encoded = encode_actions(actions, self.action_spec)
        predicted: torch.Tensor = self.forward_model(torch.cat([first, encoded], dim=1))
        return (predicted - second).square().mean(dim=1)

    def _predicted(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        predicted: torch.Tensor = self.inverse_model(torch.cat([first, second], dim=1))
        return predicted

    def _inverse_loss(self, predicted: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        """Squared error of the continuous values, and cross entropy of each branch; all count the same."""
        size = self.action_spec.continuous_size
        continuous, *branches = self._split(predicted)
        loss = predicted.new_zeros(())
        if size:
            loss = loss + mse_loss(continuous, limited(actions[:, :size]))
        for branch, logits in enumerate(branches):
            loss = loss + cross_entropy(logits, actions[:, size + branch].long())
        return loss

    def _split(self, predicted: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """[N, C + sum(branches)] -> continuous values [N, C], logits of each branch."""
        spec = self.action_spec
        borders = np.cumsum([spec.continuous_size, *spec.discrete_branches])[:-1].tolist()
        return torch.tensor_split(predicted, borders, dim=1)
