"""What all learners have in common, and which one an algorithm has."""

from collections.abc import Mapping
from typing import Any, Protocol

from ray.rllib.env.single_agent_episode import SingleAgentEpisode

from rl_src.envs.specs import BehaviorSpec
from rl_src.training.algorithms.poca import POCA
from rl_src.training.algorithms.ppo import PPO
from rl_src.training.algorithms.sac import SAC
from rl_src.training.artifacts.best import Weights
from rl_src.training.artifacts.checkpoint import Arrays
from rl_src.training.imitation.demonstrations import Demonstrations
from rl_src.training.networks.network import PolicyNetwork
from rl_src.training.settings.config import ResolvedBehavior


class Learner(Protocol):
    """The policy of one behavior, and what learns it.

    `acting` plays: it is changed by `set_weights` and by whoever plays with it, never by learning, so that playing and
    learning may go on side by side.
    """

    acting: PolicyNetwork

    def learn(self, episodes: list[SingleAgentEpisode], env_steps: int) -> dict[str, float]:
        """Learn from a batch; `env_steps` (so far) is for schedules. Returns mean statistics."""

    def weights(self) -> Weights:
        """The policy's weights by name, copied."""

    def set_weights(self, weights: Weights) -> None:
        """Learn and act on from these weights.

        Raises:
            InvalidCheckpointError: they are of another network.
        """

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """All else that is needed to go on: plain values as JSON takes them, and arrays."""

    def set_state(self, state: Mapping[str, Any], arrays: Arrays) -> None:
        """The inverse of `state`.

        Raises:
            InvalidCheckpointError: it is of another learner.
        """

    def close(self) -> None:
        """Release what it holds."""


def make_learner(config: ResolvedBehavior, behavior: BehaviorSpec, demonstrations: Demonstrations | None) -> Learner:
    """The learner of this behavior, in this process."""
    if config.algorithm == "SAC":
        return SAC(config, behavior)
    if config.algorithm == "poca":
        return POCA(config, behavior)
    return PPO(config, behavior, demonstrations=demonstrations)
