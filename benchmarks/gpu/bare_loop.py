"""The limit: minibatches through PPO's loss and torch's own Adam, from pictures that lie on the device already."""

import math
import time
from collections.abc import Callable

import torch
from torch import nn

from benchmarks.gpu.cells import CHOICES, EPOCHS, HIDDEN, SEED, SHAPE, Cell

CLIP, ENTROPY, VALUE, LEARNING_RATE, CLIP_NORM = 0.2, 0.01, 0.5, 3e-4, 0.5


class Policy(nn.Module):
    """The Nature CNN for actor and critic: one for each, as ours have, or one for both."""

    def __init__(self, *, shared: bool) -> None:
        super().__init__()
        self.body, self.head = _body(), nn.Linear(HIDDEN, CHOICES)
        self.own_body = None if shared else _body()
        self.value = nn.Linear(HIDDEN, 1)

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """uint8 [N, C, H, W] -> logits [N, choices], values [N]."""
        seen = pictures.float() / 255
        features = self.body(seen)
        valued = features if self.own_body is None else self.own_body(seen)
        return self.head(features), self.value(valued).squeeze(1)


class BareLoop:
    """Goes through one batch again and again."""

    def __init__(self, cell: Cell, *, shared: bool = False) -> None:
        torch.manual_seed(SEED)
        self._cell, self._device = cell, torch.device(cell.device)
        self._policy = Policy(shared=shared).to(self._device)
        compiled = torch.compile(self._policy) if cell.compiled else self._policy
        self._evaluate: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]] = compiled
        self._optimizer = torch.optim.Adam(self._policy.parameters(), LEARNING_RATE)
        rows = cell.batch
        self._pictures = torch.randint(256, (rows, *SHAPE), dtype=torch.uint8, device=self._device)
        self._actions = torch.randint(CHOICES, (rows,), device=self._device)
        self._logp = torch.full((rows,), -math.log(CHOICES), device=self._device)
        self._advantages, self._returns = torch.randn(2, rows, device=self._device).unbind()

    def samples_per_second(self) -> float:
        """Of `EPOCHS` epochs."""
        self._wait()
        began = time.monotonic()
        for _ in range(EPOCHS):
            order = torch.randperm(self._cell.batch, device=self._device)
            for rows in order.split(self._cell.minibatch):  # type: ignore[no-untyped-call]
                self._step(rows)
        self._wait()
        return self._cell.batch * EPOCHS / (time.monotonic() - began)

    def close(self) -> None:
        """Nothing is held beyond memory."""

    def _step(self, rows: torch.Tensor) -> None:
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._cell.precision == "bfloat16"):
            logits, values = self._evaluate(self._pictures[rows])
        log_probabilities = torch.log_softmax(logits.float(), dim=1)
        logp = log_probabilities.gather(1, self._actions[rows].unsqueeze(1)).squeeze(1)
        ratio, advantages = (logp - self._logp[rows]).exp(), self._advantages[rows]
        policy_loss = -torch.min(advantages * ratio, advantages * ratio.clamp(1 - CLIP, 1 + CLIP)).mean()
        value_loss = (values.float() - self._returns[rows]).square().mean()
        entropy = -(log_probabilities.exp() * log_probabilities).sum(dim=1).mean()
        self._optimizer.zero_grad()
        (policy_loss + VALUE * value_loss - ENTROPY * entropy).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._policy.parameters(), CLIP_NORM)
        self._optimizer.step()

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize()


def _body() -> nn.Sequential:
    convolutions = ((SHAPE[0], 32, 8, 4), (32, 64, 4, 2), (64, 64, 3, 1))
    layers = [part for sizes in convolutions for part in (nn.Conv2d(*sizes), nn.ReLU())]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * 7 * 7, HIDDEN), nn.ReLU())
