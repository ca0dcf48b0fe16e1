"""A small actor in NumPy, to play with.

Deciding for a handful of agents is a dozen tiny operations, whose cost is calling them. In torch, with its modules,
that took 111 µs for 8 agents and two layers of 64; in NumPy 27 µs (one core, warm), thousands of times a second.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from torch import nn

from rl_src.training.networks.normalization import NORMALIZED_LIMIT, VARIANCE_FLOOR, RunningMoments

FloatArray = NDArray[np.float32]
Operation = Callable[[FloatArray], FloatArray]


class SmallActor:
    """Vector observations to distribution inputs, as the torch network does, within rounding.

    It reads the network's own memory: weights that are written in place, as `load_state_dict` does, hold at once.
    Built by `PolicyNetwork.small_actor`.

    Args:
        moments: of each sensor; None: it is seen as it is.
        layers: of the body and the head: nn.Linear and activations.
        finish: the head's outputs to distribution inputs.
    """

    def __init__(
        self, moments: Sequence[RunningMoments | None], layers: Sequence[nn.Module], finish: Operation
    ) -> None:
        # A second thread costs more than these products, and takes a core from the builds.
        threadpool_limits(1, user_api="blas")
        self._moments = moments
        self._layers = [_in_numpy(layer) for layer in layers]
        self._finish = finish

    def __call__(self, observations: Sequence[FloatArray]) -> FloatArray:
        """One [N, *shape] array for each sensor -> [N, 2C + sum(branches)], unmasked."""
        parts = [_standard(value, moments) for value, moments in zip(observations, self._moments, strict=True)]
        features = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
        for layer in self._layers:
            features = layer(features)
        return self._finish(features)


def _standard(values: FloatArray, moments: RunningMoments | None) -> FloatArray:
    """`RunningMoments.forward`: [N, *shape] -> [N, size]."""
    flat = values.reshape(len(values), -1)
    if moments is None:
        return flat
    standard = (flat - moments.mean.numpy()) / np.sqrt(moments.variance.numpy() + np.float32(VARIANCE_FLOOR))
    limited: FloatArray = np.clip(standard, -NORMALIZED_LIMIT, NORMALIZED_LIMIT)
    return limited


def _in_numpy(layer: nn.Module) -> Operation:
    if isinstance(layer, nn.Linear):
        return _Linear(layer)
    return _ACTIVATIONS[type(layer)]


class _Linear:
    def __init__(self, layer: nn.Linear) -> None:
        self._weight: FloatArray = layer.weight.detach().numpy().T
        self._bias: FloatArray = layer.bias.detach().numpy()

    def __call__(self, features: FloatArray) -> FloatArray:
        out: FloatArray = features @ self._weight
        out += self._bias
        return out


def _silu(values: FloatArray) -> FloatArray:
    """Values times their sigmoid. Where e^-x overflows to infinity the quotient is 0, as it should be."""
    with np.errstate(over="ignore"):
        quotient: FloatArray = values / (1 + np.exp(-values))
    return quotient


def _relu(values: FloatArray) -> FloatArray:
    return np.maximum(values, np.float32(0.0))


_ACTIVATIONS: dict[type[Any], Operation] = {nn.Tanh: np.tanh, nn.ReLU: _relu, nn.SiLU: _silu}


def finish_of(continuous_size: int, log_std: torch.Tensor | None) -> Operation:
    """For actors whose spread does not depend on the observation, and whose means are not squashed."""
    if log_std is None:
        return lambda out: out
    spread: FloatArray = log_std.detach().numpy()

    def finish(out: FloatArray) -> FloatArray:
        inputs = np.empty((len(out), out.shape[1] + continuous_size), np.float32)
        inputs[:, :continuous_size] = out[:, :continuous_size]
        inputs[:, continuous_size : 2 * continuous_size] = np.clip(spread, -5.0, 2.0)
        inputs[:, 2 * continuous_size :] = out[:, continuous_size:]
        return inputs

    return finish
