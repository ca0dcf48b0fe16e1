"""What soft actor-critic needs beside the policy: its entropies, and critics of state and action.

Of several discrete branches the critics know the value of each branch's choices, and an action's value is their sum:
so the expectation over all actions is taken exactly, branch by branch, as arXiv:1910.07207 does for one. Continuous
values go into the critics beside the observations; the expectation over them is by one sample.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import nn

from rl_src.envs.specs import ActionSpec, ObservationSpec
from rl_src.training.networks.action_distribution import mask_logits
from rl_src.training.networks.encoders import linear
from rl_src.training.networks.network import UNITY_LIMIT, Body
from rl_src.training.settings.config import ResolvedNetwork


@dataclass(frozen=True)
class Choices:
    """What a policy would do in N states.

    Attributes:
        values: one sample of the continuous part, as Unity gets it: [N, C].
        probabilities: of each branch's choices, [N, sum(branches)].
        continuous_entropy: in Unity's units, [N].
        discrete_entropy: summed over the branches, [N].
    """

    values: torch.Tensor
    probabilities: torch.Tensor
    continuous_entropy: torch.Tensor
    discrete_entropy: torch.Tensor


def choices(inputs: torch.Tensor, masks: torch.Tensor, spec: ActionSpec, noise: torch.Tensor) -> Choices:
    """From distribution inputs [N, 2C + sum(branches)], masks [N, sum(branches)] and standard noise [N, C]."""
    size = spec.continuous_size
    masked = mask_logits(inputs, masks, spec)
    mean, log_std = masked[:, :size], masked[:, size : 2 * size]
    # Of the Gaussian, known in closed form; what the clamping cuts off is not accounted for.
    continuous = (log_std + 0.5 * math.log(2 * math.pi * math.e) - math.log(UNITY_LIMIT)).sum(dim=1)
    logs = [torch.log_softmax(part, dim=1) for part in _by_branch(masked[:, 2 * size :], spec)]
    log_probabilities = torch.cat(logs, dim=1) if logs else masked[:, :0]
    probabilities = log_probabilities.exp()
    return Choices(
        values=as_unity(mean + log_std.exp() * noise),
        probabilities=probabilities,
        continuous_entropy=continuous,
        discrete_entropy=-(probabilities * log_probabilities).sum(dim=1),
    )


def as_unity(raw: torch.Tensor) -> torch.Tensor:
    """Raw Gaussian values as Unity gets them; `action_distribution.to_unity_range` in torch."""
    return raw.clamp(-UNITY_LIMIT, UNITY_LIMIT) / UNITY_LIMIT


def largest_entropy(masks: torch.Tensor, spec: ActionSpec) -> torch.Tensor:
    """Of choosing at random among what is allowed, summed over the branches: [N]."""
    total = masks.new_zeros(len(masks))
    for part in _by_branch(masks, spec):
        total = total + part.sum(dim=1).clamp(min=1.0).log()
    return total


def _by_branch(values: torch.Tensor, spec: ActionSpec) -> list[torch.Tensor]:
    """[N, sum(branches)] -> [N, branch] for each."""
    ends = list(accumulate(spec.discrete_branches))
    return [values[:, end - width : end] for end, width in zip(ends, spec.discrete_branches, strict=True)]


class SoftCritic(nn.Module):
    """The soft value of an action: observations (normalised) and continuous values in, branches' choices out."""

    def __init__(self, observations: Sequence[ObservationSpec], actions: ActionSpec, network: ResolvedNetwork) -> None:
        super().__init__()
        self.actions = actions
        seen = list(observations)
        if actions.continuous_size:
            seen.append(ObservationSpec("action", (actions.continuous_size,)))
        self.body = Body(seen, network)
        self.head = linear(self.body.size, max(1, sum(actions.discrete_branches)), 0.01)
        self.first_of_branch: torch.Tensor
        firsts = torch.tensor((0, *actions.discrete_branches[:-1])).cumsum(0)
        self.register_buffer("first_of_branch", firsts, persistent=False)

    def forward(self, observations: Sequence[torch.Tensor], values: torch.Tensor) -> torch.Tensor:
        """[N, *shape] tensors, [N, C] -> [N, sum(branches)], or [N, 1] without branches."""
        seen = [*observations, values] if self.actions.continuous_size else list(observations)
        out: torch.Tensor = self.head(self.body(seen))
        return out

    def of_action(self, observations: Sequence[torch.Tensor], actions: torch.Tensor) -> torch.Tensor:
        """The value of packed actions [N, C + B]: [N]."""
        size = self.actions.continuous_size
        out: torch.Tensor = self(observations, as_unity(actions[:, :size]))
        if not self.actions.discrete_branches:
            return out.squeeze(1)
        return out.gather(1, actions[:, size:].long() + self.first_of_branch).sum(dim=1)

    def of_choices(self, observations: Sequence[torch.Tensor], chosen: Choices) -> torch.Tensor:
        """The expected value of what a policy would do: [N]."""
        out: torch.Tensor = self(observations, chosen.values)
        return (out * chosen.probabilities).sum(dim=1) if self.actions.discrete_branches else out.squeeze(1)


class TwinCritics(nn.Module):
    """Two critics, of which the lower counts: against values that are too high by chance (arXiv:1802.09477)."""

    def __init__(self, observations: Sequence[ObservationSpec], actions: ActionSpec, network: ResolvedNetwork) -> None:
        super().__init__()
        self.first = SoftCritic(observations, actions, network)
        self.second = SoftCritic(observations, actions, network)

    def lower(self, observations: Sequence[torch.Tensor], chosen: Choices) -> torch.Tensor:
        """The lower one's expected value of what a policy would do: [N]."""
        return torch.minimum(self.first.of_choices(observations, chosen), self.second.of_choices(observations, chosen))
