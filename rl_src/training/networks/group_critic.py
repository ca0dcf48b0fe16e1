"""The centralised critic of a group of agents, whose number changes: MA-POCA's (arXiv:2111.05992, section 4).

Every agent of a gathering is an entity: what it sees, and for the counterfactual baseline also what it does. Entities
look at each other by attention and are averaged, so that neither their order nor padding matters, and an agent that has
left is simply not there.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import embedding

from rl_src.envs.specs import ActionSpec, ObservationSpec
from rl_src.training.networks.action_distribution import encode_actions, encoded_size
from rl_src.training.networks.encoders import ACTIVATIONS, linear
from rl_src.training.networks.network import Body
from rl_src.training.networks.popart import PopArt
from rl_src.training.settings.config import ResolvedNetwork

HEADS = 4
WIDEST_ENTITY = 128
"""Of an entity's encoding, however wide the hidden layers are: attention's cost grows with its square."""


@dataclass(frozen=True)
class Entities:
    """S agents, encoded: by what they see, and by what they see and do. [S, width] each."""

    seen: torch.Tensor
    acted: torch.Tensor


class GroupCritic(PopArt):
    """Value of a gathering, and the baseline of one agent's decision in it; both in one scale.

    Args:
        observations: one agent's.
        actions: one agent's.
        network: sizes; each agent's observations go through layers like the policy's.
    """

    def __init__(self, observations: Sequence[ObservationSpec], actions: ActionSpec, network: ResolvedNetwork) -> None:
        super().__init__()
        self.action_spec = actions
        self.body = Body(observations, network)
        width = _entity_width(network)
        self.see = linear(self.body.size, width, 1.0)
        self.act = linear(self.body.size + encoded_size(actions), width, 1.0)
        self.norm = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, HEADS, batch_first=True)
        self.layers = nn.Sequential(linear(width + 1, width, math.sqrt(2)), ACTIVATIONS[network.activation]())
        self.head = linear(width, 2, 1.0)

    def encode(self, observations: Sequence[torch.Tensor], actions: torch.Tensor, acted: torch.Tensor) -> Entities:
        """Encode S agents.

        Args:
            observations: normalised, [S, *shape] for each sensor.
            actions: packed, [S, A].
            acted: bool, [S]; false where nobody knows yet what the agent does: then it counts by what it sees.
        """
        features = self.body(observations)
        seen = self.see(features)
        both = self.act(torch.cat([features, encode_actions(actions, self.action_spec)], dim=1))
        return Entities(seen, torch.where(acted.unsqueeze(1), both, seen))

    def values(self, entities: Entities, members: torch.Tensor) -> torch.Tensor:
        """Normalised values of gatherings: [N, M] numbers of entities, -1 where there is none -> [N]."""
        return self._judge(embedding(members.clamp(min=0), entities.seen), members >= 0)[:, 0]

    def baselines(self, entities: Entities, members: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
        """What is to be expected of a decision before it is known, given all others': counterfactual baselines.

        Args:
            entities: those that `members` are numbers of.
            members: of each decision's gathering, [N, M], -1 where there is none.
            own: which of them decides, bool, [N, M], one in each row.

        Returns:
            Normalised, [N].
        """
        return self._judge(_others_acted(entities, members, own), members >= 0)[:, 1]

    def values_and_baselines(
        self, entities: Entities, members: torch.Tensor, own: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """`values` and `baselines` in one pass: with so few entities, attention costs by the call."""
        seen, there = embedding(members.clamp(min=0), entities.seen), members >= 0
        judged = self._judge(torch.cat([seen, _others_acted(entities, members, own)]), torch.cat([there, there]))
        return judged[: len(members), 0], judged[len(members) :, 1]

    def _judge(self, tokens: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
        """[N, M, width], bool [N, M] -> [N, 2]."""
        normed = self.norm(tokens)
        attended, _ = self.attention(normed, normed, normed, key_padding_mask=~there, need_weights=False)
        present = there.unsqueeze(2).to(tokens.dtype)
        count = present.sum(dim=1)
        mean = ((tokens + attended) * present).sum(dim=1) / count
        # A mean does not tell how many there are, which is what changes when one leaves.
        judged: torch.Tensor = self.head(self.layers(torch.cat([mean, count.log()], dim=1)))
        return judged


def _others_acted(entities: Entities, members: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    """[N, M, width]."""
    index = members.clamp(min=0)
    return torch.where(own.unsqueeze(2), embedding(index, entities.seen), embedding(index, entities.acted))


def _entity_width(network: ResolvedNetwork) -> int:
    """A multiple of the number of heads."""
    return -(-min(WIDEST_ENTITY, max(network.hidden_sizes, default=64)) // HEADS) * HEADS
