"""Intrinsic rewards for what is new: what ICM (`icm`) and RND (`rnd`) have in common.

The build's reward stays the main thing; a policy that never meets it goes where predictions are still bad.
"""

from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.env.utils.infinite_lookback_buffer import InfiniteLookbackBuffer
from torch import nn

from rl_src.envs.specs import BehaviorSpec
from rl_src.training.algorithms.divergence import FiniteSteps
from rl_src.training.algorithms.optimizer import FlatAdam
from rl_src.training.algorithms.placement import joined, sent
from rl_src.training.artifacts.checkpoint import Arrays
from rl_src.training.curiosity.icm import ICM
from rl_src.training.curiosity.rnd import RND
from rl_src.training.errors import InvalidCheckpointError
from rl_src.training.networks.normalization import ObservationMoments, RunningMoments
from rl_src.training.settings.config import CuriositySettings, ResolvedNetwork

FloatArray = NDArray[np.float32]
CPU = torch.device("cpu")

REWARD_LIMIT = 5.0
"""In units of the running deviation: one odd observation must not outweigh a whole batch."""

GAMMA_LIMIT = 0.999
"""Without discount, what comes after an episode would have no end."""

INTRINSIC_REWARD = "intrinsic_reward"
"""Statistic: what a decision of the batch earned on average, strength included."""


@dataclass(frozen=True)
class Transitions:
    """N transitions among M observations, none of which is kept twice.

    Attributes:
        observations: [M, *shape] for each sensor.
        before: [N] rows of the observations that were acted on.
        after: [N] rows of those that came next.
        actions: [N, A], packed as in `action_distribution`.
    """

    observations: tuple[torch.Tensor, ...]
    before: torch.Tensor
    after: torch.Tensor
    actions: torch.Tensor

    def __len__(self) -> int:
        return len(self.actions)

    @classmethod
    def of(cls, episodes: Sequence[SingleAgentEpisode], device: torch.device = CPU) -> "Transitions":
        """All transitions of stretches of L actions and L + 1 observations, in order, on a device."""
        lengths = [len(episode) for episode in episodes]
        # Each stretch before this one has one observation more than actions.
        numbers = np.arange(sum(lengths)) + np.repeat(np.arange(len(lengths)), lengths)
        before = torch.from_numpy(numbers).to(device)
        sensors = zip(*(episode.observations.data for episode in episodes), strict=True)
        return cls(
            observations=tuple(joined(values, device) for values in sensors),
            before=before,
            after=before + 1,
            actions=joined([episode.actions.data for episode in episodes], device),
        )


class Curiosity:
    """One behavior's intrinsic rewards, in plain torch.

    Deterministic by its seed, and torch's global generator is left as it was: a run without it gets the same numbers.

    Args:
        settings: kind, strength, learning rate and hidden layers.
        behavior: its specs.
        seed: of the weights and of the order of minibatches.
        gamma: the policy's discount.
        num_epochs: how often a batch is learned from.
        minibatch_size: transitions of a gradient step.
        device: where it learns.
    """

    def __init__(
        self,
        settings: CuriositySettings,
        behavior: BehaviorSpec,
        seed: int,
        *,
        gamma: float = 0.99,
        num_epochs: int = 3,
        minibatch_size: int = 64,
        device: torch.device = CPU,
    ) -> None:
        self._strength = settings.strength
        self._gamma, self._device = gamma, device
        self._num_epochs, self._minibatch_size = num_epochs, minibatch_size
        network = ResolvedNetwork(settings.hidden_sizes, "relu", normalize_observations=True)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.model = (
                ICM(behavior.observations, behavior.actions, network)
                if settings.kind == "icm"
                else RND(behavior.observations, network)
            )
        self.model.to(device)
        self._moments = ObservationMoments(behavior.observations, vectors=True).to(device)
        self._scale = RunningMoments(1).to(device)
        self._optimizer = FlatAdam([item for item in self.model.parameters() if item.requires_grad], settings.lr)
        self._finite = FiniteSteps(
            [self._optimizer], looks_at_once=device.type == "cpu", cause="curiosity's loss ({:g}) is not finite."
        )
        self._shuffling = torch.Generator().manual_seed(seed)

    def learn(self, episodes: Sequence[SingleAgentEpisode]) -> tuple[list[SingleAgentEpisode], dict[str, float]]:
        """Reward a batch, and learn from it.

        Returns:
            Copies of the episodes with the intrinsic rewards added, and the batch's `statistic_names`.

        Raises:
            TrainingDivergedError: a loss is not finite.
        """
        transitions = Transitions.of(episodes, self._device)
        rewards = self.intrinsic_rewards(transitions)
        statistics = {INTRINSIC_REWARD: float(rewards.mean()), **self.update(transitions)}
        return with_rewards(episodes, beyond_the_end(episodes, rewards, self._gamma)), statistics

    @torch.no_grad()
    def intrinsic_rewards(self, transitions: Transitions) -> FloatArray:
        """Reward of each transition: [N]. Once for each batch: it is counted in the running statistics.

        The unit is the root mean square of all rewards so far. So `strength` is about what a decision earns at first,
        and less the better everything is known. Its deviation from the mean would be no unit where all is equally new.
        """
        self._moments.update_from(transitions.observations)
        surprise = self._surprise(transitions)
        self._scale.update(surprise.square().unsqueeze(1))
        deviation = self._scale.mean.clamp(min=1e-12).sqrt()
        rewards = (surprise / deviation).clamp(max=REWARD_LIMIT) * self._strength
        return np.asarray(rewards.cpu().numpy(), dtype=np.float32)

    def update(self, transitions: Transitions) -> dict[str, float]:
        """Learn from the batch, `num_epochs` times over; returns the mean losses.

        Raises:
            TrainingDivergedError: a loss is not finite; the weights are those before the step.
        """
        observations = self.normalized(transitions.observations)
        parts = self._parts_of(len(transitions))
        told: dict[str, list[torch.Tensor]] = {}
        with self._finite.of_update():
            for _ in range(self._num_epochs):
                order = sent(torch.randperm(len(transitions), generator=self._shuffling), self._device)
                for rows in torch.tensor_split(order, parts):
                    losses = self.model.losses(*_take(observations, transitions, rows))
                    self._step(losses)
                    for name, value in losses.items():
                        told.setdefault(name, []).append(value.detach())
        return {name: float(torch.stack(values).double().mean()) for name, values in told.items()}

    def normalized(self, observations: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Observations as the model sees them; pictures pass as they are."""
        normalized: list[torch.Tensor] = self._moments(observations)
        return normalized

    def state(self) -> Arrays:
        """Weights, running statistics, optimizer and random state, by name."""
        optimizer = self._optimizer.state_dict()
        return {
            **{name: value.cpu().numpy().copy() for name, value in self._parts().state_dict().items()},
            "optimizer.mean": optimizer["mean"].cpu().numpy(),
            "optimizer.square": optimizer["square"].cpu().numpy(),
            "optimizer.step": np.array([optimizer["step"]]),
            "shuffling": self._shuffling.get_state().numpy(),
        }

    def set_state(self, arrays: Arrays) -> None:
        """The inverse of `state`; the learning rate stays what the settings say.

        Raises:
            InvalidCheckpointError: there is nothing of curiosity, or names or shapes are of another module.
        """
        if not arrays:
            raise InvalidCheckpointError("the checkpoint is of a training without curiosity.")
        try:
            tensors = {name: torch.from_numpy(np.array(value)) for name, value in arrays.items()}
            self._shuffling.set_state(tensors.pop("shuffling"))
            optimizer = {name: tensors.pop(f"optimizer.{name}") for name in ("mean", "square", "step")}
            self._optimizer.load_state_dict({**self._optimizer.state_dict(), **optimizer})
            self._parts().load_state_dict(tensors)
        except (KeyError, ValueError, RuntimeError) as error:
            raise InvalidCheckpointError(f"the checkpoint's curiosity does not fit: {error!r}.") from error

    def _parts(self) -> nn.ModuleDict:
        return nn.ModuleDict({"model": self.model, "moments": self._moments, "scale": self._scale})

    def _parts_of(self, count: int) -> int:
        """How many minibatches; of equal size rather than with a small rest, as in the learner."""
        return max(1, count // self._minibatch_size)

    def _step(self, losses: dict[str, torch.Tensor]) -> None:
        loss = torch.stack(list(losses.values())).sum()
        self._finite.look(loss)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()

    def _surprise(self, transitions: Transitions) -> torch.Tensor:
        """[N], in parts: pictures through convolutions take memory."""
        observations = self.normalized(transitions.observations)
        rows = torch.arange(len(transitions), device=self._device)
        parts = [
            self.model.surprise(*_take(observations, transitions, own))
            for own in torch.tensor_split(rows, self._parts_of(len(rows)))
        ]
        return torch.cat(parts)


def statistic_names(settings: CuriositySettings | None) -> tuple[str, ...]:
    """What a progress line tells of curiosity."""
    if settings is None:
        return ()
    own = (INTRINSIC_REWARD, "curiosity_loss")
    return (*own, "curiosity_inverse_loss") if settings.kind == "icm" else own


def beyond_the_end(episodes: Sequence[SingleAgentEpisode], rewards: FloatArray, gamma: float) -> FloatArray:
    """Intrinsic rewards of a batch, [N], such that they neither reward nor punish that an episode ends.

    RND's paper (section 2.3) and ML-Agents (`curiosity_reward_provider.py`, `_ignore_done`) give curiosity a value
    function of its own, for which episodes do not end: otherwise the longest life earns most, and a goal that ends it
    is avoided. Here, with one value function, a termination earns what the next episode promises: the batch's mean
    reward r from there on, gamma * r / (1 - gamma).
    """
    gamma = min(gamma, GAMMA_LIMIT)
    added = rewards.copy()
    ends = np.cumsum([len(episode) for episode in episodes]) - 1
    terminated = np.array([episode.is_terminated for episode in episodes])
    added[ends[terminated]] += gamma / (1.0 - gamma) * rewards.mean()
    return added


def with_rewards(episodes: Iterable[SingleAgentEpisode], added: FloatArray) -> list[SingleAgentEpisode]:
    """The same episodes with further rewards, [N] over all of them; the given ones are left as they are."""
    changed, start = [], 0
    for episode in episodes:
        own = copy(episode)
        end = start + len(episode)
        own.rewards = InfiniteLookbackBuffer(np.asarray(episode.rewards.data) + added[start:end])
        changed.append(own)
        start = end
    return changed


def _take(
    observations: Sequence[torch.Tensor], transitions: Transitions, rows: torch.Tensor
) -> tuple[list[torch.Tensor], list[torch.Tensor], torch.Tensor]:
    """Observations before and after, and actions, of some transitions."""
    before, after = transitions.before[rows], transitions.after[rows]
    return (
        [value[before] for value in observations],
        [value[after] for value in observations],
        transitions.actions[rows],
    )
