"""Values in units that suit a network, whatever the rewards' scale."""

import torch
from torch import nn


class PopArt(nn.Module):
    """Predicts in units of the returns' running mean and deviation (PopArt, arXiv:1602.07714).

    So any reward scale trains with the same loss weights. When the statistics move, the last layer, `head`, is rescaled
    so that the predicted values stay what they were. Whoever inherits sets `head`.
    """

    head: nn.Linear
    mean: torch.Tensor
    deviation: torch.Tensor
    updates: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(1))
        self.register_buffer("deviation", torch.ones(1))
        self.register_buffer("updates", torch.zeros(1))

    def normalize(self, targets: torch.Tensor) -> torch.Tensor:
        """Value targets in the reward's units -> normalised ones."""
        return (targets - self.mean) / self.deviation

    def in_reward_units(self, normalized: torch.Tensor) -> torch.Tensor:
        """The inverse of `normalize`."""
        return normalized * self.deviation + self.mean

    @torch.no_grad()
    def update_scale(self, targets: torch.Tensor) -> None:
        """Follow the value targets' mean and deviation, and keep every prediction as it was."""
        self.updates.add_(1)
        rate = max(1.0 / float(self.updates), 0.05)
        mean = self.mean + rate * (targets.mean() - self.mean)
        square = self.deviation.square() + self.mean.square()
        square = square if float(self.updates) > 1 else torch.zeros_like(square)
        square = square + rate * (targets.square().mean() - square)
        deviation = (square - mean.square()).clamp(min=1e-8).sqrt().clamp(min=1e-3)
        self.head.weight.mul_(self.deviation / deviation)
        self.head.bias.copy_((self.head.bias * self.deviation + self.mean - mean) / deviation)
        self.mean.copy_(mean)
        self.deviation.copy_(deviation)
