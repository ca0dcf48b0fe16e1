"""MA-POCA (arXiv:2111.05992): agents of a group learn from what the group earns, those that left it early too.

The actor is PPO's, and each agent acts on its own observations. The critic sees all agents of the group that play at
the moment: the value of their gathering makes the returns (`group_returns`), and the advantage of a decision is its
return minus a counterfactual baseline, which knows what the others did and not what the agent itself did.

In plain torch: a value that belongs to several episodes at once has no place in RLlib's learner.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from ray.rllib.core.columns import Columns
from ray.rllib.env.single_agent_episode import SingleAgentEpisode

from rl_src.envs.specs import BehaviorSpec
from rl_src.training.algorithms.divergence import FiniteSteps
from rl_src.training.algorithms.group_returns import gather, group_returns, stretch_of, team_rewards
from rl_src.training.algorithms.objective import clipped_loss, explained_variance, importance, standardized
from rl_src.training.algorithms.optimizer import FlatAdam
from rl_src.training.algorithms.placement import joined, sent, with_bytes
from rl_src.training.algorithms.policy_weights import PolicyTwice
from rl_src.training.algorithms.ppo import behavior_seed, torch_threads
from rl_src.training.algorithms.schedules import Coefficients, coefficients, learning_rate_at
from rl_src.training.algorithms.train_batch import concatenated_masks
from rl_src.training.artifacts.checkpoint import Arrays
from rl_src.training.errors import InvalidCheckpointError, UnsupportedBehaviorError
from rl_src.training.networks.action_distribution import action_size, log_probabilities_and_entropy, mask_logits
from rl_src.training.networks.group_critic import Entities, GroupCritic
from rl_src.training.networks.network import PolicyNetwork
from rl_src.training.settings.config import ResolvedBehavior

STATISTICS = ("policy_loss", "vf_loss", "baseline_loss", "entropy", "kl", "grad_norm", "explained_variance")

BASELINE_WEIGHT = 0.5
"""Of the baseline's loss beside the value's: ML-Agents' (`poca/optimizer_torch.py`)."""

GATHERINGS_AT_ONCE = 4096
"""Attention over all gatherings of a large batch at once would take memory for nothing."""

_CRITIC = "critic."
"""Before the names of its arrays in a checkpoint."""


@dataclass(frozen=True)
class _Batch:
    """N decisions among S = N + E observations, of which those of G gatherings (`group_returns.Gatherings`).

    `actions` and `acted` are of observations, [S, A] and [S]; `advantages` is times `importance`. Numbers (`members`,
    `gathering`, `decisions`) are on the CPU, wherever the rest is: what a minibatch needs is found without waiting.
    """

    observations: tuple[torch.Tensor, ...]
    actions: torch.Tensor
    acted: torch.Tensor
    members: torch.Tensor  # [G, M]
    gathering: torch.Tensor  # [N]
    decisions: torch.Tensor  # [N]
    masks: torch.Tensor | None  # [N, sum(branches)]
    advantages: torch.Tensor  # [N]
    returns: torch.Tensor  # [N]
    proximal_logp: torch.Tensor  # [N]


@dataclass(frozen=True)
class _Part:
    """Decisions of a batch, with the observations that their gatherings need and no others."""

    observations: list[torch.Tensor]  # normalised
    actions: torch.Tensor
    acted: torch.Tensor
    members: torch.Tensor  # [n, M], numbers of these observations
    own: torch.Tensor  # [n, M]
    decisions: torch.Tensor  # [n]
    masks: torch.Tensor | None


class POCA(PolicyTwice):
    """The policy of one behavior and its learner, in this process. Close it.

    Args:
        config: its settings.
        behavior: its specs.

    Raises:
        UnsupportedBehaviorError: the policy is to have a memory.
    """

    def __init__(self, config: ResolvedBehavior, behavior: BehaviorSpec) -> None:
        if config.network.memory is not None:
            raise UnsupportedBehaviorError(
                "poca does not train policies with memory.", "Leave network.memory out, or choose algorithm PPO."
            )
        self._config, self._settings, self._spec = config, config.ppo, behavior.actions
        self._threads = torch_threads(config, behavior)
        torch.set_num_threads(self._threads)
        self._device = torch.device(self._settings.device)
        seed = behavior_seed(config)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.network = PolicyNetwork(behavior.observations, behavior.actions, config.network, with_critic=False)
            self.acting = PolicyNetwork(
                behavior.observations, behavior.actions, config.network, with_critic=False
            ).eval()
            self.critic = GroupCritic(behavior.observations, behavior.actions, config.network)
        self.network.to(self._device)
        self.critic.to(self._device)
        # One Adam, as PPO has it.
        self._optimizer = FlatAdam([*self.network.parameters(), *self.critic.parameters()], self._settings.lr)
        self._finite = FiniteSteps([self._optimizer], looks_at_once=self._device.type == "cpu")
        self._shuffling = torch.Generator().manual_seed(seed)
        self.synchronize()

    def learn(self, episodes: list[SingleAgentEpisode], env_steps: int) -> dict[str, float]:
        """Update once; `env_steps` (so far) sets what falls by a schedule. Returns the update's mean statistics.

        Raises:
            TrainingDivergedError: loss or gradients are not finite; the weights are those before (`FiniteSteps`).
        """
        torch.set_num_threads(self._threads)  # of the thread that calls: OpenMP keeps a number for each
        settings, limit = self._settings, self._config.stop.env_steps
        self._optimizer.param_groups[0]["lr"] = learning_rate_at(settings, env_steps, limit)
        weighing = coefficients(settings, env_steps, limit)
        if self._device.type != "cpu":
            episodes = with_bytes(episodes, self.network.observation_specs)
        batch, foreseen = self._batch(episodes)
        with self._finite.of_update():
            epochs = range(settings.num_epochs)
            told = [self._step(batch, rows, weighing) for _ in epochs for rows in self._minibatches(batch)]
        decisions = batch.decisions.to(self._device)
        self.network.update_moments([value[decisions] for value in batch.observations])
        means = torch.stack(told).mean(dim=0).tolist()
        return {**dict(zip(STATISTICS[:-1], means, strict=True)), "explained_variance": foreseen}

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """All but the policy's weights: plain values as JSON takes them, and arrays."""
        optimizer = self._optimizer.state_dict()
        arrays = {name: optimizer.pop(name).cpu().numpy() for name in ("mean", "square")}
        arrays["shuffling"] = self._shuffling.get_state().numpy()
        arrays |= {f"{_CRITIC}{name}": value.cpu().numpy().copy() for name, value in self.critic.state_dict().items()}
        return {"optimizer": optimizer}, arrays

    def set_state(self, state: Mapping[str, Any], arrays: Arrays) -> None:
        """The inverse of `state`.

        Raises:
            InvalidCheckpointError: it is of another learner.
        """
        try:
            self._shuffling.set_state(torch.from_numpy(arrays["shuffling"]))
            own = {name: torch.from_numpy(arrays[f"{_CRITIC}{name}"]) for name in self.critic.state_dict()}
            self.critic.load_state_dict(own)
            moments = {name: torch.from_numpy(arrays[name]) for name in ("mean", "square")}
            self._optimizer.load_state_dict({**state["optimizer"], **moments})
        except (KeyError, ValueError, RuntimeError) as error:
            raise InvalidCheckpointError(f"the checkpoint's optimizer state does not fit: {error!r}.") from error

    def close(self) -> None:
        """Nothing is held beyond memory."""

    @torch.no_grad()
    def _batch(self, episodes: Sequence[SingleAgentEpisode]) -> tuple[_Batch, float]:
        """What an update learns from, and the share of the returns' variance that the critic foresaw."""
        stretches, device = [stretch_of(episode) for episode in episodes], self._device
        found = gather(stretches)
        sensors = zip(*(episode.observations.data for episode in episodes), strict=True)
        observations = tuple(joined(values, device) for values in sensors)
        numbers = [torch.from_numpy(item) for item in (found.members, found.of_decision, found.decisions)]
        members, gathering, decisions = (item.to(device) for item in numbers)
        actions = torch.zeros(len(observations[0]), action_size(self._spec), device=device)
        actions[decisions] = joined([episode.actions.data for episode in episodes], device)
        acted = torch.zeros(len(actions), dtype=torch.bool, device=device)
        acted[decisions] = True
        entities = self.critic.encode(self.network.normalized(observations), actions, acted)
        values = self._values(entities, members)
        settings, earned = self._settings, team_rewards(stretches)
        returns = torch.from_numpy(
            group_returns(found, earned, values.cpu().numpy(), settings.gamma, settings.lambda_)
        ).to(device)
        baselines = self._baselines(entities, members[gathering], decisions)
        masks = concatenated_masks(episodes)
        allowed = None if masks is None else torch.from_numpy(masks).to(device)
        inputs = mask_logits(
            self.network.distribution_inputs([value[decisions] for value in observations]), allowed, self._spec
        )
        proximal, _ = log_probabilities_and_entropy(inputs, actions[decisions], self._spec)
        played = joined([episode.extra_model_outputs[Columns.ACTION_LOGP].data for episode in episodes], device)
        advantages = standardized(returns - baselines) * importance(proximal, played)
        self.critic.update_scale(returns)
        batch = _Batch(
            observations, actions, acted, numbers[0], numbers[1], numbers[2], allowed, advantages, returns, proximal
        )
        return batch, explained_variance(returns, values[gathering])

    def _values(self, entities: Entities, members: torch.Tensor) -> torch.Tensor:
        """In the reward's units: [G]."""
        parts = members.tensor_split(_portions(members))
        return self.critic.in_reward_units(torch.cat([self.critic.values(entities, part) for part in parts]))

    def _baselines(self, entities: Entities, members: torch.Tensor, decisions: torch.Tensor) -> torch.Tensor:
        """In the reward's units: [N, M], [N] -> [N]."""
        own = members == decisions.unsqueeze(1)
        portions = _portions(members)
        pairs = zip(members.tensor_split(portions), own.tensor_split(portions), strict=True)
        return self.critic.in_reward_units(torch.cat([self.critic.baselines(entities, *pair) for pair in pairs]))

    def _minibatches(self, batch: _Batch) -> Sequence[torch.Tensor]:
        """All decisions in equal parts. Those of one gathering stay together, so that they are encoded once."""
        rank = torch.randperm(len(batch.members), generator=self._shuffling)
        order = torch.argsort(rank[batch.gathering], stable=True)
        return order.tensor_split(max(1, len(order) // self._settings.minibatch_size))

    def _step(self, batch: _Batch, rows: torch.Tensor, weighing: Coefficients) -> torch.Tensor:
        """One gradient step; returns [policy loss, value loss, baseline loss, entropy, KL, gradient norm]."""
        there = sent(rows, self._device)
        part = self._part(batch, rows, there)
        inputs = self.network.actor([value[part.decisions] for value in part.observations])
        masked = mask_logits(inputs, part.masks, self._spec)
        logp, entropies = log_probabilities_and_entropy(masked, part.actions[part.decisions], self._spec)
        policy_loss, kl = clipped_loss(logp, batch.proximal_logp[there], batch.advantages[there], weighing.clip)
        entities = self.critic.encode(part.observations, part.actions, part.acted)
        wanted = self.critic.normalize(batch.returns[there])
        values, baselines = self.critic.values_and_baselines(entities, part.members, part.own)
        vf_loss, baseline_loss = ((found - wanted).square().mean() for found in (values, baselines))
        entropy = entropies.mean()
        critic_loss = self._settings.vf_loss_coeff * (vf_loss + BASELINE_WEIGHT * baseline_loss)
        norm = self._descend(policy_loss + critic_loss - weighing.entropy * entropy)
        return torch.stack([policy_loss, vf_loss, baseline_loss, entropy, kl, norm]).detach()

    def _part(self, batch: _Batch, rows: torch.Tensor, rows_there: torch.Tensor) -> _Part:
        """Of the same rows twice: on the CPU, and on the device."""
        members = batch.members[batch.gathering[rows]]
        there, own = members >= 0, members == batch.decisions[rows].unsqueeze(1)
        needed, places = torch.unique(torch.where(there, members, batch.decisions[rows, None]), return_inverse=True)
        taken, device = sent(needed, self._device), self._device
        return _Part(
            observations=self.network.normalized([value[taken] for value in batch.observations]),
            actions=batch.actions[taken],
            acted=batch.acted[taken],
            members=sent(torch.where(there, places, -1), device),
            own=sent(own, device),
            decisions=sent(places[own], device),
            masks=None if batch.masks is None else batch.masks[rows_there],
        )

    def _descend(self, loss: torch.Tensor) -> torch.Tensor:
        """Returns the gradient's norm."""
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = self._optimizer.clip_gradients(self._settings.grad_clip)
        self._finite.look(loss, norm)
        self._optimizer.step()
        return norm


def _portions(members: torch.Tensor) -> int:
    return -(-len(members) // GATHERINGS_AT_ONCE)
