"""Soft actor-critic (arXiv:1812.05905), in plain torch: RLlib's takes continuous actions only.

It learns from what was played long ago too, so it needs fewer decisions than PPO, and more learning for each: for
builds that are slow. Actions may be continuous, discrete or both, and masks hold.
"""

import copy
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from ray.rllib.env.single_agent_episode import SingleAgentEpisode

from rl_src.envs.specs import BehaviorSpec
from rl_src.training.algorithms.divergence import FiniteSteps
from rl_src.training.algorithms.optimizer import FlatAdam
from rl_src.training.algorithms.placement import sent
from rl_src.training.algorithms.policy_weights import PolicyTwice
from rl_src.training.algorithms.ppo import behavior_seed, torch_threads
from rl_src.training.algorithms.replay import ReplayBuffer, Transitions
from rl_src.training.algorithms.schedules import learning_rate_at
from rl_src.training.algorithms.soft_critic import Choices, TwinCritics, choices, largest_entropy
from rl_src.training.artifacts.checkpoint import REPLAY, Arrays
from rl_src.training.errors import InvalidCheckpointError, UnsupportedBehaviorError
from rl_src.training.networks.action_distribution import action_size
from rl_src.training.networks.network import UNITY_LIMIT, PolicyNetwork
from rl_src.training.settings.config import ResolvedBehavior

STATISTICS = (
    "policy_loss",
    "q1_loss",
    "q2_loss",
    "entropy",
    "mean_q",
    "alpha_continuous",
    "alpha_discrete",
    "grad_norm",
    "reward_scale",
)

CONTINUOUS_TARGET = -1.0
"""Entropy that is aimed at, for each continuous value, which lies in -1 to 1: ML-Agents' and the paper's."""

DISCRETE_TARGET = 0.2
"""Share of the entropy of choosing at random that is aimed at: ML-Agents' (`sac/optimizer_torch.py`)."""

TEMPERATURE_LR = 1e-3
"""More than the networks have: a temperature is one number, and may have to fall far within a short training."""


class SAC(PolicyTwice):
    """The policy of one behavior and its learner, in this process; the interface is `algorithm.PPO`'s. Close it.

    Args:
        config: its settings.
        behavior: its specs.
        learns_temperature: false leaves the temperatures as they are at first.

    Raises:
        UnsupportedBehaviorError: the policy is to have a memory.
    """

    def __init__(self, config: ResolvedBehavior, behavior: BehaviorSpec, *, learns_temperature: bool = True) -> None:
        if config.network.memory is not None:
            raise UnsupportedBehaviorError(
                "SAC does not train policies with memory.", "Leave network.memory out, or choose algorithm PPO."
            )
        self._config, self._settings, self._spec = config, config.sac, behavior.actions
        self._learns_temperature = learns_temperature
        self._threads = torch_threads(config, behavior)
        torch.set_num_threads(self._threads)
        self._device = torch.device(config.hyperparameters.device)
        seed = behavior_seed(config)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.network = PolicyNetwork(behavior.observations, behavior.actions, config.network, with_critic=False)
            self._critics = TwinCritics(behavior.observations, behavior.actions, config.network)
        self.network.to(self._device)
        self._critics.to(self._device)
        self._targets = copy.deepcopy(self._critics).requires_grad_(False)
        self._log_alphas = torch.nn.Parameter(
            torch.full((2,), math.log(self._settings.initial_alpha), device=self._device)
        )
        self._optimizers = {
            "actor": FlatAdam(self.network.actor.parameters(), self._settings.lr),
            "critics": FlatAdam(self._critics.parameters(), self._settings.lr),
            "temperatures": FlatAdam([self._log_alphas], TEMPERATURE_LR),
        }
        self._finite = FiniteSteps([*self._optimizers.values()], looks_at_once=self._device.type == "cpu")
        self._pairs = list(zip(self._targets.parameters(), self._critics.parameters(), strict=True))
        self._noise = torch.Generator().manual_seed(seed)
        self._replay = ReplayBuffer(
            self._settings.replay_capacity,
            [item.shape for item in behavior.observations],
            action_size(self._spec),
            sum(self._spec.discrete_branches),
            seed,
        )
        self._decisions = 0
        self._reward_squares = 0.0
        self._updates_due = 0.0
        self.acting = PolicyNetwork(behavior.observations, behavior.actions, config.network, with_critic=False).eval()
        self.synchronize()

    def learn(self, episodes: list[SingleAgentEpisode], env_steps: int) -> dict[str, float]:
        """Keep the episodes, and update as often as their decisions ask for; `env_steps` (so far) is for schedules.

        Returns:
            The updates' mean statistics; none before there is enough to learn from.

        Raises:
            TrainingDivergedError: a loss is not finite.
        """
        torch.set_num_threads(self._threads)  # of the thread that calls: OpenMP keeps a number for each
        self._take_in(episodes)
        if self._decisions < self._settings.learning_starts:
            return {}
        self._updates_due += sum(len(episode) for episode in episodes) * self._settings.updates_per_step
        updates = round(self._updates_due)
        self._updates_due -= updates
        rate = learning_rate_at(self._settings, env_steps, self._config.stop.env_steps)
        for name in ("actor", "critics"):
            self._optimizers[name].param_groups[0]["lr"] = rate
        with self._finite.of_update():
            told = [self._update(self._sample()) for _ in range(updates)]
        return self._statistics(torch.stack(told).mean(dim=0)) if told else {}

    @property
    def temperatures(self) -> tuple[float, float]:
        """What a nat of entropy is worth, in units of `reward_scale`: of continuous values, of discrete choices."""
        continuous, discrete = self._log_alphas.detach().exp().tolist()
        return continuous, discrete

    @property
    def reward_scale(self) -> float:
        """What rewards are divided by: the root of their mean square. It is 0 only where every reward was."""
        return max(1e-8, math.sqrt(self._reward_squares / max(1, self._decisions))) if self._reward_squares else 1.0

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """All but the policy's weights: plain values as JSON takes them, and arrays."""
        arrays = {
            "noise": self._noise.get_state().numpy(),
            "log_alphas": self._log_alphas.detach().cpu().numpy().copy(),
        }
        plain: dict[str, Any] = {}
        for part, optimizer in self._optimizers.items():
            plain[part] = optimizer.state_dict()
            arrays |= {f"{part}.{name}": plain[part].pop(name).cpu().numpy() for name in ("mean", "square")}
        for part, critics in (("critics", self._critics), ("targets", self._targets)):
            arrays |= {f"{part}.{name}": value.cpu().numpy().copy() for name, value in critics.state_dict().items()}
        arrays |= {f"{REPLAY}{name}": value for name, value in self._replay.state().items()}
        counts = {
            "decisions": self._decisions,
            "reward_squares": self._reward_squares,
            "updates_due": self._updates_due,
        }
        return {"optimizer": plain, "sac": counts}, arrays

    def set_state(self, state: Mapping[str, Any], arrays: Arrays) -> None:
        """The inverse of `state`.

        Raises:
            InvalidCheckpointError: it is of another learner.
        """
        try:
            for part, optimizer in self._optimizers.items():
                moments = {name: torch.from_numpy(arrays[f"{part}.{name}"]) for name in ("mean", "square")}
                optimizer.load_state_dict({**state["optimizer"][part], **moments})
            for part, critics in (("critics", self._critics), ("targets", self._targets)):
                own = {name: torch.from_numpy(arrays[f"{part}.{name}"]) for name in critics.state_dict()}
                critics.load_state_dict(own)
            self._log_alphas.data.copy_(torch.from_numpy(arrays["log_alphas"]))
            self._noise.set_state(torch.from_numpy(arrays["noise"]))
            counts = state["sac"]
            self._decisions, self._reward_squares = int(counts["decisions"]), float(counts["reward_squares"])
            self._updates_due = float(counts["updates_due"])
        except (KeyError, ValueError, RuntimeError) as error:
            raise InvalidCheckpointError(f"the checkpoint's optimizer state does not fit: {error!r}.") from error
        kept = {name: value for name, value in arrays.items() if name.startswith(REPLAY)}
        self._replay.set_state({name.removeprefix(REPLAY): value for name, value in kept.items()})

    def close(self) -> None:
        """Nothing is held beyond memory."""

    def _take_in(self, episodes: list[SingleAgentEpisode]) -> None:
        self._replay.add(episodes)
        for episode in episodes:
            self._decisions += len(episode)
            self._reward_squares += float(np.square(episode.rewards.data, dtype=np.float64).sum())
        if episodes:
            sensors = zip(*(episode.observations.data for episode in episodes), strict=True)
            seen = [np.concatenate([value[:-1] for value in values]) for values in sensors]
            self.network.update_moments([torch.from_numpy(value).to(self._device) for value in seen])

    def _sample(self) -> Transitions:
        """What a gradient step learns from, where it learns."""
        return self._replay.sample(self._settings.minibatch_size).to(self._device)

    def _update(self, batch: Transitions) -> torch.Tensor:
        """One gradient step of critics, policy and temperatures; statistics as `_statistics` reads them."""
        with torch.no_grad():
            now = self.network.normalized(batch.observations)
        first_loss, second_loss, mean_q, critic_norm = self._improve_critics(batch, now)
        chosen = self._choices(now, batch.masks)
        policy_loss, actor_norm = self._improve_policy(now, chosen)
        if self._learns_temperature:
            self._improve_temperatures(chosen, batch.masks)
        self._follow()
        entropy = (chosen.continuous_entropy + chosen.discrete_entropy).detach().mean()
        entropy = entropy + self._spec.continuous_size * math.log(UNITY_LIMIT)  # as PPO's: of the raw Gaussian
        return torch.stack([policy_loss, first_loss, second_loss, entropy, mean_q, critic_norm + actor_norm])

    def _improve_critics(self, batch: Transitions, now: list[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        with torch.no_grad():
            after = self.network.normalized(batch.next_observations)
            chosen = self._choices(after, batch.next_masks)
            value = self._targets.lower(after, chosen) + self._bonus(chosen)
            wanted = batch.rewards / self.reward_scale + self._settings.gamma * (1 - batch.terminated) * value
        first = self._critics.first.of_action(now, batch.actions)
        second = self._critics.second.of_action(now, batch.actions)
        losses = [(found - wanted).square().mean() for found in (first, second)]
        norm = self._step("critics", losses[0] + losses[1])
        return losses[0].detach(), losses[1].detach(), first.detach().mean(), norm

    def _improve_policy(self, now: list[torch.Tensor], chosen: Choices) -> tuple[torch.Tensor, torch.Tensor]:
        self._optimizers["critics"].require_gradients(False)
        loss = -(self._critics.lower(now, chosen) + self._bonus(chosen)).mean()
        norm = self._step("actor", loss)
        self._optimizers["critics"].require_gradients(True)
        return loss.detach(), norm

    def _improve_temperatures(self, chosen: Choices, masks: torch.Tensor) -> None:
        """Entropy above what is aimed at makes it cheaper, below dearer."""
        continuous = chosen.continuous_entropy.detach().mean() - CONTINUOUS_TARGET * self._spec.continuous_size
        discrete = chosen.discrete_entropy.detach() - DISCRETE_TARGET * largest_entropy(masks, self._spec)
        self._step("temperatures", (self._log_alphas * torch.stack([continuous, discrete.mean()])).sum())

    @torch.no_grad()
    def _follow(self) -> None:
        """The target networks move a small share of the way to the critics."""
        for target, critic in self._pairs:
            target.lerp_(critic, self._settings.tau)

    def _choices(self, observations: list[torch.Tensor], masks: torch.Tensor) -> Choices:
        noise = torch.randn((len(masks), self._spec.continuous_size), generator=self._noise)
        return choices(self.network.actor(observations), masks, self._spec, sent(noise, self._device))

    def _bonus(self, chosen: Choices) -> torch.Tensor:
        """What the entropy is worth: [N]."""
        continuous, discrete = self._log_alphas.detach().exp().unbind()
        return continuous * chosen.continuous_entropy + discrete * chosen.discrete_entropy

    def _step(self, part: str, loss: torch.Tensor) -> torch.Tensor:
        optimizer = self._optimizers[part]
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = optimizer.clip_gradients(self._settings.grad_clip)
        self._finite.look(loss, norm)
        optimizer.step()
        return norm

    def _statistics(self, told: torch.Tensor) -> dict[str, float]:
        policy_loss, first_loss, second_loss, entropy, mean_q, norm = told.tolist()
        continuous, discrete = self.temperatures
        found = {
            "policy_loss": policy_loss,
            "q1_loss": first_loss,
            "q2_loss": second_loss,
            "entropy": entropy,
            "mean_q": mean_q,
            "grad_norm": norm,
            "reward_scale": self.reward_scale,
        }
        if self._spec.continuous_size:
            found["alpha_continuous"] = continuous
        if self._spec.discrete_branches:
            found["alpha_discrete"] = discrete
        return found
