"""What a policy remembers: an LSTM behind the layers that observations go through.

Actor and critic share it, so that an agent has one memory. Its two states travel as one vector, as in ML-Agents'
models: [hidden, cell], zeros at an episode's start.
"""

from collections.abc import Callable, Sequence

import torch
from torch import nn

Features = Callable[[Sequence[torch.Tensor]], torch.Tensor]


class LstmTrunk(nn.Module):
    """Observations and memory to features and memory.

    Args:
        body: observations to features, [N, *shape] for each sensor -> [N, `body_size`].
        body_size: its features.
        size: H, the LSTM's units.
        longest: decisions that something may have to be remembered for, at first.
    """

    def __init__(self, body: nn.Module, body_size: int, size: int, longest: int) -> None:
        super().__init__()
        self.body = body
        self.lstm = nn.LSTM(body_size, size, batch_first=True)
        self.size = size
        self.memory_size = 2 * size
        _initialize(self.lstm, longest)

    def step(self, observations: Sequence[torch.Tensor], memory: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One decision: [N, *shape] for each sensor, memory [N, 2H] -> features [N, H], memory [N, 2H]."""
        features, (hidden, cell) = self.lstm(self.body(observations).unsqueeze(1), self._states(memory))
        return features.squeeze(1), torch.cat([hidden.squeeze(0), cell.squeeze(0)], dim=1)

    def unroll(self, observations: Sequence[torch.Tensor], memory: torch.Tensor, decided: torch.Tensor) -> torch.Tensor:
        """Sequences of decisions, from the memory before each one's first.

        Args:
            observations: [N, *shape] for each sensor, the sequences' decisions one after the other.
            memory: [S, 2H].
            decided: bool [S, T], N of them true: where a sequence has a decision. What is false lies at its end. On the
                CPU, wherever the rest is: a GPU would have to be waited for.

        Returns:
            Features [N, H].
        """
        encoded = self.body(observations)
        places = decided.flatten().nonzero().squeeze(1).to(encoded.device, non_blocking=True)
        padded = encoded.new_zeros(decided.numel(), encoded.shape[1])
        padded[places] = encoded
        features, _ = self.lstm(padded.view(*decided.shape, -1), self._states(memory))
        chosen: torch.Tensor = features.flatten(0, 1)[places]
        return chosen

    def _states(self, memory: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        hidden, cell = memory.unsqueeze(0).chunk(2, dim=2)
        return hidden.contiguous(), cell.contiguous()


def _initialize(lstm: nn.LSTM, longest: int) -> None:
    """Orthogonal weights; units forget after 1 to `longest` decisions (chrono initialisation, arXiv:1804.11188).

    With the usual bias of 1 a unit keeps 2 % of what it knew twelve decisions ago: too little to learn from.
    """
    parameters = dict(lstm.named_parameters())
    for name, values in parameters.items():
        if name.startswith("weight"):
            for gate in values.chunk(4):
                nn.init.orthogonal_(gate)
        else:
            nn.init.zeros_(values)
    keep, forget, _, _ = parameters["bias_ih_l0"].chunk(4)  # gates: input, forget, cell, output
    with torch.no_grad():
        forget.uniform_(1.0, max(2.0, longest - 1.0)).log_()
        keep.copy_(-forget)
