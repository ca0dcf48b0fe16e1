"""A policy's weights as they are kept: by the names that RLlib's module gives them, whoever trains it."""

import numpy as np
import torch

from rl_src.training.artifacts.best import Weights
from rl_src.training.errors import InvalidCheckpointError
from rl_src.training.networks.network import PolicyNetwork

_PREFIX = "network."


class PolicyTwice:
    """A learner that has its policy twice: `network` learns while `acting` plays."""

    network: PolicyNetwork
    acting: PolicyNetwork

    def synchronize(self) -> None:
        """Act with what has been learned."""
        self.acting.load_state_dict(self.network.state_dict())

    def weights(self) -> Weights:
        """The policy's weights by name, copied."""
        return weights_of(self.network)

    def set_weights(self, weights: Weights) -> None:
        """Load weights into the policy that learns and into what acts.

        Raises:
            InvalidCheckpointError: names or shapes are of another network.
        """
        load_weights(self.network, weights)
        self.synchronize()


def weights_of(network: PolicyNetwork) -> Weights:
    """By name, copied."""
    return {f"{_PREFIX}{name}": value.cpu().numpy().copy() for name, value in network.state_dict().items()}


def load_policy(network: PolicyNetwork, weights: Weights) -> None:
    """Load those of `weights` that the network has, which may be without a critic."""
    own = network.state_dict()
    network.load_state_dict({name: torch.from_numpy(np.array(weights[f"{_PREFIX}{name}"])) for name in own})


def load_weights(network: PolicyNetwork, weights: Weights) -> None:
    """The inverse of `weights_of`.

    Raises:
        InvalidCheckpointError: names or shapes are of another network.
    """
    own = {f"{_PREFIX}{name}": value.shape for name, value in network.state_dict().items()}
    if own != {name: value.shape for name, value in weights.items()}:
        raise InvalidCheckpointError("the checkpoint's weights are of another network than the one to be trained.")
    network.load_state_dict(
        {name.removeprefix(_PREFIX): torch.from_numpy(np.array(value)) for name, value in weights.items()}
    )
