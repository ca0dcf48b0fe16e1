"""The policy and value networks, in plain torch: RLlib wraps them (`rl_module`), ONNX export traces them."""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn

from rl_src.envs.specs import ActionSpec, ObservationSpec
from rl_src.training.networks.action_distribution import mask_logits
from rl_src.training.networks.encoders import ACTIVATIONS, EntityEncoder, ImageEncoder, entities_present, linear
from rl_src.training.networks.memory import LstmTrunk
from rl_src.training.networks.normalization import ObservationMoments
from rl_src.training.networks.popart import PopArt
from rl_src.training.networks.small_actor import SmallActor, finish_of
from rl_src.training.settings.config import ResolvedNetwork

UNITY_LIMIT = 3.0
"""Raw Gaussian values beyond it are the same to Unity (`action_distribution.to_unity_range`)."""

LEAST_LOG_STD, LARGEST_LOG_STD = -5.0, 0.5
"""Of a spread that depends on the observation; the deviation of values drawn evenly from -3 to 3 is about exp(0.5)."""

_SPREAD_AT_ZERO = math.log(-LEAST_LOG_STD / LARGEST_LOG_STD)


class GoalLayer(nn.Module):
    """A dense layer whose weights are a linear function of the goal, as a hypernetwork (arXiv:1609.09106) makes them.

    What a goal asks for is often the opposite of what another one does with the same picture: a product, which dense
    layers are slow to learn from a goal that is only seen beside it. With a one-hot goal, each has weights of its own.
    """

    def __init__(self, size: int, goal_size: int, out: int) -> None:
        super().__init__()
        self.out = out
        self.layers = linear(size, goal_size * out, math.sqrt(2))
        for own in self.layers.weight.data.chunk(goal_size):
            nn.init.orthogonal_(own, math.sqrt(2))

    def forward(self, features: torch.Tensor, goal: torch.Tensor) -> torch.Tensor:
        """[N, size], [N, goal_size] -> [N, out]."""
        each = self.layers(features).unflatten(1, (-1, self.out))
        mixed: torch.Tensor = (each * goal.unsqueeze(2)).sum(dim=1)
        return mixed


class Body(nn.Module):
    """Observations to features: pictures and sets of entities are encoded, all else flattened; then dense layers.

    With goal conditioning, goal signals make the last dense layer's weights instead of being seen beside the rest.
    """

    def __init__(self, observations: Sequence[ObservationSpec], network: ResolvedNetwork) -> None:
        super().__init__()
        activation = ACTIVATIONS[network.activation]
        conditioned = network.goal_conditioning == "hyper" and not all(item.is_goal for item in observations)
        self.goals = [i for i, item in enumerate(observations) if conditioned and item.is_goal and len(item.shape) == 1]
        images = {i: item.shape for i, item in enumerate(observations) if item.is_image}
        self.images = nn.ModuleDict(
            {str(i): ImageEncoder(shape, network.image_encoder, activation) for i, shape in images.items()}
        )
        entities = {i: item.shape for i, item in enumerate(observations) if item.is_variable_length}
        width = max(network.hidden_sizes, default=64)
        self.entities = nn.ModuleDict(
            {str(i): EntityEncoder(shape[1], width, activation) for i, shape in entities.items()}
        )
        plain = {*range(len(observations))} - {*self.goals, *images, *entities}
        size = sum(math.prod(observations[i].shape) for i in plain)
        size += sum(_size_of(encoder) for encoder in (*self.images.values(), *self.entities.values()))
        goal_size = sum(math.prod(observations[i].shape) for i in self.goals)
        layers: list[nn.Module] = []
        widths = list(network.hidden_sizes)
        last = widths.pop() if self.goals else 0
        for width in widths:
            layers += [linear(size, width, math.sqrt(2)), activation()]
            size = width
        self.layers = nn.Sequential(*layers)
        self.goal_layer = GoalLayer(size, goal_size, last) if self.goals else None
        self.goal_activation = activation()
        self.size = last if self.goals else size

    @property
    def is_dense(self) -> bool:
        """Whether observations go through dense layers and nothing else."""
        return not (self.images or self.entities or self.goals)

    def forward(self, observations: Sequence[torch.Tensor]) -> torch.Tensor:
        """One [N, *shape] tensor for each sensor -> [N, size]."""
        parts = [self._encoded(str(i), value) for i, value in enumerate(observations) if i not in self.goals]
        features = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
        encoded: torch.Tensor = self.layers(features)
        if self.goal_layer is not None:
            goal = torch.cat([observations[i].flatten(1) for i in self.goals], dim=1)
            encoded = self.goal_activation(self.goal_layer(encoded, goal))
        return encoded

    def _encoded(self, sensor: str, value: torch.Tensor) -> torch.Tensor:
        """Of one sensor, [N, its part]."""
        if sensor in self.images:
            encoded: torch.Tensor = self.images[sensor](value)
        elif sensor in self.entities:
            encoded = self.entities[sensor](value, entities_present(value))
        else:
            encoded = value.flatten(1)
        return encoded


class Actor(nn.Module):
    """Distribution inputs for each agent; the Gaussian's spread depends on the observation only where it is told to."""

    def __init__(self, observations: Sequence[ObservationSpec], actions: ActionSpec, network: ResolvedNetwork) -> None:
        super().__init__()
        size = self.continuous_size = actions.continuous_size
        self.squash = network.squash and size > 0
        self.spread_is_seen = network.state_dependent_std and size > 0
        self.body = Body(observations, network)
        # A small last layer: the first policy is close to uniform, so that exploration does not depend on the seed.
        width = size + (size if self.spread_is_seen else 0) + sum(actions.discrete_branches)
        self.head = linear(self.body.size, width, 0.01)
        self.log_std = nn.Parameter(torch.zeros(size)) if size and not self.spread_is_seen else None

    def forward(self, observations: Sequence[torch.Tensor]) -> torch.Tensor:
        """[N, *shape] tensors -> [N, 2C + sum(branches)], see `action_distribution`."""
        out: torch.Tensor = self.head(self.body(observations))
        size = self.continuous_size
        if not size:
            return out
        mean = UNITY_LIMIT * torch.tanh(out[:, :size] / UNITY_LIMIT) if self.squash else out[:, :size]
        if self.log_std is None:
            # Softly bounded: at a hard bound there would be no gradient back. 0 is a deviation of 1.
            share = torch.sigmoid(out[:, size : 2 * size] + _SPREAD_AT_ZERO)
            spread = LEAST_LOG_STD + (LARGEST_LOG_STD - LEAST_LOG_STD) * share
            return torch.cat([mean, spread, out[:, 2 * size :]], dim=1)
        spread = self.log_std.clamp(-5.0, 2.0).expand(out.shape[0], size)
        return torch.cat([mean, spread, out[:, size:]], dim=1)


class Critic(PopArt):
    """State values."""

    def __init__(self, observations: Sequence[ObservationSpec], network: ResolvedNetwork) -> None:
        super().__init__()
        self.body = Body(observations, network)
        self.head = linear(self.body.size, 1, 1.0)

    def forward(self, observations: Sequence[torch.Tensor]) -> torch.Tensor:
        """Normalised values: [N]."""
        value: torch.Tensor = self.head(self.body(observations))
        return value.squeeze(1)

    def values(self, observations: Sequence[torch.Tensor]) -> torch.Tensor:
        """Values in the reward's units: [N]."""
        return self.in_reward_units(self.forward(observations))


class PolicyNetwork(nn.Module):
    """Actor, and critic where it is needed, behind shared observation normalisation, and memory where there is one.

    Observations are one tensor for each sensor, [N, *shape], as the build sends them. A memory is [N, memory_size],
    zeros at an episode's start; without one, `memory_size` is 0.
    """

    def __init__(
        self,
        observations: Sequence[ObservationSpec],
        actions: ActionSpec,
        network: ResolvedNetwork,
        with_critic: bool = True,
    ) -> None:
        super().__init__()
        self.observation_specs = tuple(observations)
        self.action_spec = actions
        self.moments = ObservationMoments(observations, vectors=network.normalize_observations)
        self.trunk: LstmTrunk | None = None
        if network.memory is not None:
            body = Body(observations, network)
            self.trunk = LstmTrunk(body, body.size, network.memory.size, network.memory.sequence_length)
            # What actor and critic see is the memory's output alone, and no layers lie between.
            observations = [ObservationSpec("memory", (self.trunk.size,))]
            network = replace(network, hidden_sizes=())
        self.actor = Actor(observations, actions, network)
        self.critic = Critic(observations, network) if with_critic else None

    @property
    def memory_size(self) -> int:
        """M: numbers remembered of each agent."""
        return self.trunk.memory_size if self.trunk else 0

    def step(
        self, observations: Sequence[torch.Tensor], memory: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Distribution inputs [N, 2C + sum(branches)], unmasked, and the memory afterwards [N, M]."""
        seen, memory = self._seen(observations, memory)
        inputs: torch.Tensor = self.actor(seen)
        return inputs, memory

    def small_actor(self) -> SmallActor | None:
        """A quicker way to `step` for few agents; None where the network has other parts than dense layers.

        Pictures, sets of entities, goals, memory and spreads that depend on the observation are left to torch.
        """
        actor = self.actor
        if self.trunk is not None or not actor.body.is_dense or actor.squash or actor.spread_is_seen:
            return None
        moments = [self.moments.of_sensor(i) for i in range(len(self.observation_specs))]
        layers = [*actor.body.layers, actor.head]
        return SmallActor(moments, layers, finish_of(actor.continuous_size, actor.log_std))

    def distribution_inputs(self, observations: Sequence[torch.Tensor]) -> torch.Tensor:
        """`step` for agents that remember nothing."""
        return self.step(observations)[0]

    def values(
        self,
        observations: Sequence[torch.Tensor],
        memory: torch.Tensor | None = None,
        decided: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """State values in the reward's units: [N]. With `decided`, they are those of sequences, see `evaluate`."""
        assert self.critic is not None, "an inference-only network has no value function"
        if decided is None:
            return self.critic.values(self._seen(observations, memory)[0])
        return self.critic.values(self._unrolled(observations, memory, decided))

    def evaluate(
        self,
        observations: Sequence[torch.Tensor],
        masks: torch.Tensor | None,
        memory: torch.Tensor | None = None,
        decided: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """For the learner: distribution inputs, forbidden actions ruled out, and normalised values, of N decisions.

        With memory, they are those of S sequences of up to T (`LstmTrunk.unroll`): memory [S, M], decided [S, T].
        """
        assert self.critic is not None, "an inference-only network has no value function"
        seen = self._unrolled(observations, memory, decided)
        return mask_logits(self.actor(seen), masks, self.action_spec), self.critic(seen)

    def normalized(self, observations: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Observations as the networks see them."""
        seen: list[torch.Tensor] = self.moments(observations)
        return seen

    def update_moments(self, observations: Sequence[torch.Tensor]) -> None:
        """Learn the observations' scale from a batch."""
        self.moments.update_from(observations)

    def _unrolled(
        self, observations: Sequence[torch.Tensor], memory: torch.Tensor | None, decided: torch.Tensor | None
    ) -> list[torch.Tensor]:
        """What actor and critic see of sequences; without memory there are none."""
        seen = self.normalized(observations)
        if self.trunk is None:
            return seen
        assert memory is not None
        assert decided is not None
        return [self.trunk.unroll(seen, memory, decided)]

    def _seen(
        self, observations: Sequence[torch.Tensor], memory: torch.Tensor | None
    ) -> tuple[list[torch.Tensor], torch.Tensor | None]:
        """What actor and critic see, and the memory afterwards."""
        normalized = self.normalized(observations)
        if self.trunk is None:
            return normalized, None
        if memory is None:
            memory = normalized[0].new_zeros(len(normalized[0]), self.memory_size)
        features, memory = self.trunk.step(normalized, memory)
        return [features], memory


def _size_of(encoder: nn.Module) -> int:
    assert isinstance(encoder, ImageEncoder | EntityEncoder)
    return encoder.size
