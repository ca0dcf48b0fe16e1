"""Adam over one flat tensor.

Two reasons not to take `torch.optim.Adam`: constructing any torch optimizer imports torch's compiler (sympy and all),
4.4 s on the machine that this was measured on; and for the small networks of games its time is calls, not arithmetic,
so a step over one tensor instead of twelve should be no slower (not measured on its own).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch

BETAS = (0.9, 0.999)
EPSILON = 1e-5
"""Larger than torch's default, as in the reference implementation of PPO (openai/baselines, `ppo2/model.py`)."""


@dataclass(frozen=True)
class Snapshot:
    """Of an optimizer and its parameters: `values`, `mean` and `square` are flat."""

    values: torch.Tensor
    mean: torch.Tensor
    square: torch.Tensor
    step_count: int


class FlatAdam(torch.optim.Optimizer):
    """Adam (arXiv:1412.6980) for parameters that become views into one tensor, and their gradients into another.

    An Optimizer in name, because RLlib checks that; the base class is not initialised. Parameters keep their identity;
    they must stay on their device, and must be written in place (`load_state_dict` does).
    """

    def __init__(self, parameters: Iterable[torch.nn.Parameter], lr: float = 1e-3) -> None:
        self._parameters = list(parameters)
        self.param_groups = [{"params": self._parameters, "lr": lr}]
        self._values = torch.cat([item.detach().flatten() for item in self._parameters])
        self.gradients = torch.zeros_like(self._values)
        self.step_count = 0
        self._mean = torch.zeros_like(self._values)
        self._square = torch.zeros_like(self._values)
        start = 0
        for item in self._parameters:
            end = start + item.numel()
            item.data = self._values[start:end].view_as(item)
            item.grad = self.gradients[start:end].view_as(item)
            start = end

    def zero_grad(self, set_to_none: bool = False) -> None:
        """Clear the gradients. They stay allocated: `set_to_none` would cut the views."""
        self.gradients.zero_()

    def require_gradients(self, wanted: bool) -> None:
        """False: what is computed from the parameters passes gradients on, but leaves none here."""
        for item in self._parameters:
            item.requires_grad_(wanted)

    def clip_gradients(self, limit: float) -> torch.Tensor:
        """Scale the gradients down to a norm of `limit`; returns the norm before."""
        norm: torch.Tensor = torch.linalg.vector_norm(self.gradients)
        self.gradients.mul_(torch.clamp(limit / (norm + 1e-6), max=1.0))
        return norm

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One step with the bias-corrected moments (algorithm 1 of the paper)."""
        self.step_count += 1
        first, second = BETAS
        self._mean.lerp_(self.gradients, 1 - first)
        self._square.mul_(second).addcmul_(self.gradients, self.gradients, value=1 - second)
        correction = math.sqrt(1 - second**self.step_count)
        denominator = self._square.sqrt().div_(correction).add_(EPSILON)
        rate = float(self.param_groups[0]["lr"]) / (1 - first**self.step_count)
        self._values.addcdiv_(self._mean, denominator, value=-rate)

    def snapshot(self) -> Snapshot:
        """Parameters, moments and step, copied on their device."""
        return Snapshot(self._values.clone(), self._mean.clone(), self._square.clone(), self.step_count)

    @torch.no_grad()
    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot."""
        self._values.copy_(snapshot.values)
        self._mean.copy_(snapshot.mean)
        self._square.copy_(snapshot.square)
        self.step_count = snapshot.step_count

    def state_dict(self) -> dict[str, Any]:
        """Moments, step and learning rate."""
        lr = float(self.param_groups[0]["lr"])
        return {"step": self.step_count, "lr": lr, "mean": self._mean.clone(), "square": self._square.clone()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The inverse of `state_dict`.

        Raises:
            ValueError: the moments are of other parameters.
        """
        if state_dict["mean"].shape != self._mean.shape:
            raise ValueError(f"{state_dict['mean'].numel()} moments for {self._mean.numel()} parameters")
        self.step_count = int(state_dict["step"])
        self.param_groups[0]["lr"] = float(state_dict["lr"])
        self._mean.copy_(state_dict["mean"])
        self._square.copy_(state_dict["square"])
