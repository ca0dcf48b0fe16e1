"""A learner that lives in a `LearnerProcess`: both ends of what they say to each other."""

from collections.abc import Mapping
from typing import Any

import torch
from ray.rllib.env.single_agent_episode import SingleAgentEpisode

from rl_src.envs.specs import BehaviorSpec
from rl_src.training.algorithms.learner_process import LearnerProcess
from rl_src.training.algorithms.learners import Learner, make_learner
from rl_src.training.algorithms.placement import with_bytes
from rl_src.training.algorithms.policy_weights import load_policy
from rl_src.training.algorithms.ppo import behavior_seed, seed_everything, torch_threads
from rl_src.training.artifacts.best import Weights
from rl_src.training.artifacts.checkpoint import Arrays
from rl_src.training.imitation.demonstrations import Demonstrations
from rl_src.training.networks.network import PolicyNetwork
from rl_src.training.settings.config import ResolvedBehavior

Learners = dict[str, Learner]


class RemoteLearner:
    """`Learner`, in another process; `acting` and a copy of the weights are here."""

    def __init__(
        self,
        process: LearnerProcess,
        config: ResolvedBehavior,
        behavior: BehaviorSpec,
        demonstrations: Demonstrations | None,
    ) -> None:
        self._process = process
        self._name = behavior.behavior_name
        # Where it keeps pictures as bytes, that is what goes there. A replay buffer holds floats.
        sends_bytes = config.hyperparameters.device != "cpu" and config.algorithm != "SAC"
        self._sent_as_bytes = behavior.observations if sends_bytes else ()
        seed_everything(behavior_seed(config))
        torch.set_num_threads(torch_threads(config, behavior))
        self.acting = PolicyNetwork(behavior.observations, behavior.actions, config.network, with_critic=False).eval()
        self._weights: Weights = self._call("make", config, behavior, demonstrations)
        self.synchronize()

    def learn(self, episodes: list[SingleAgentEpisode], env_steps: int) -> dict[str, float]:
        """Have it learn; its weights come along."""
        statistics: dict[str, float]
        sent = with_bytes(episodes, self._sent_as_bytes)
        statistics, self._weights = self._call("learn", sent, env_steps)
        return statistics

    def synchronize(self) -> None:
        """Act with what has been learned."""
        load_policy(self.acting, self._weights)

    def weights(self) -> Weights:
        """The policy's weights by name, copied."""
        return {name: value.copy() for name, value in self._weights.items()}

    def set_weights(self, weights: Weights) -> None:
        """Learn and act on from these."""
        self._weights = self._call("set_weights", weights)
        self.synchronize()

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """All else that is needed to go on."""
        state: tuple[dict[str, Any], Arrays] = self._call("state")
        return state

    def set_state(self, state: Mapping[str, Any], arrays: Arrays) -> None:
        """The inverse of `state`."""
        self._call("set_state", dict(state), dict(arrays))

    def close(self) -> None:
        """Nothing: learners end with their process."""

    def _call(self, method: str, *arguments: Any) -> Any:
        return self._process.call(self._name, method, *arguments)


def serve_make(
    learners: Learners,
    name: str,
    config: ResolvedBehavior,
    behavior: BehaviorSpec,
    demonstrations: Demonstrations | None,
) -> Weights:
    """In the process: a new learner; its weights."""
    learners[name] = make_learner(config, behavior, demonstrations)
    return learners[name].weights()


def serve_learn(
    learners: Learners, name: str, episodes: list[SingleAgentEpisode], env_steps: int
) -> tuple[dict[str, float], Weights]:
    """In the process: statistics, and the weights afterwards."""
    statistics = learners[name].learn(episodes, env_steps)
    return statistics, learners[name].weights()


def serve_set_weights(learners: Learners, name: str, weights: Weights) -> Weights:
    """In the process."""
    learners[name].set_weights(weights)
    return learners[name].weights()


def serve_state(learners: Learners, name: str) -> tuple[dict[str, Any], Arrays]:
    """In the process."""
    return learners[name].state()


def serve_set_state(learners: Learners, name: str, state: Mapping[str, Any], arrays: Arrays) -> None:
    """In the process."""
    learners[name].set_state(state, arrays)
