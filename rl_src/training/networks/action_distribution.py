"""Distributions over Unity actions: continuous values beside any number of discrete branches.

Packed layouts, all float32, so that one tensor travels through episodes, batches and ONNX:

- distribution inputs [N, 2C + sum(branches)]: Gaussian means, log standard deviations, logits branch by branch
- actions [N, C + B]: raw Gaussian values, then the chosen index of each branch
- action masks [N, sum(branches)]: 1 = allowed

The value that Unity gets for a raw Gaussian `a` is `clamp(a, -3, 3) / 3`, as ML-Agents exports it
(`mlagents/trainers/torch_entities/action_model.py`).
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import one_hot

from rl_src.envs.specs import ActionSpec

FORBIDDEN_LOGIT = -1e8
"""Replaces a masked action's logit: its probability is 0 in float32, and its gradient is finite."""

RAW_LIMIT = 3.0
"""Raw Gaussian values beyond it reach the build as the same action."""

FloatArray = NDArray[np.float32]


def distribution_size(spec: ActionSpec) -> int:
    """Width of the distribution inputs."""
    return 2 * spec.continuous_size + sum(spec.discrete_branches)


def action_size(spec: ActionSpec) -> int:
    """Width of a packed action."""
    return spec.continuous_size + len(spec.discrete_branches)


def encoded_size(spec: ActionSpec) -> int:
    """Width of `encode_actions`."""
    return spec.continuous_size + sum(spec.discrete_branches)


def encode_actions(actions: torch.Tensor, spec: ActionSpec) -> torch.Tensor:
    """Packed actions as a network takes them, one-hot for each branch: [N, C + B] -> [N, C + sum(branches)]."""
    size = spec.continuous_size
    parts = [limited(actions[:, :size])]
    for branch, width in enumerate(spec.discrete_branches):
        parts.append(one_hot(actions[:, size + branch].long(), width).to(actions.dtype))
    return torch.cat(parts, dim=1)


def limited(raw: torch.Tensor) -> torch.Tensor:
    """Raw Gaussian values, where those that are the same to the build are the same."""
    return raw.clamp(-RAW_LIMIT, RAW_LIMIT)


def to_unity_range(raw: FloatArray) -> FloatArray:
    """Raw Gaussian values as Unity gets them, within [-1, 1]."""
    return np.asarray(np.clip(raw, -RAW_LIMIT, RAW_LIMIT) / RAW_LIMIT, dtype=np.float32)


def mask_logits(inputs: torch.Tensor, masks: torch.Tensor | None, spec: ActionSpec) -> torch.Tensor:
    """Forbid what the masks forbid; the Gaussian part is left alone."""
    if masks is None or not spec.discrete_branches:
        return inputs
    gaussian = 2 * spec.continuous_size
    logits = torch.where(masks > 0.5, inputs[:, gaussian:], torch.full_like(inputs[:, gaussian:], FORBIDDEN_LOGIT))
    return torch.cat([inputs[:, :gaussian], logits], dim=1)


def masked_logits(inputs: FloatArray, masks: FloatArray, spec: ActionSpec) -> FloatArray:
    """`mask_logits` in NumPy: [N, 2C + sum(branches)], [N, sum(branches)]."""
    gaussian = 2 * spec.continuous_size
    ruled = inputs.copy()
    ruled[:, gaussian:][masks <= 0.5] = FORBIDDEN_LOGIT
    return ruled


def sample_actions(
    inputs: FloatArray, spec: ActionSpec, rng: np.random.Generator, deterministic: bool = False
) -> FloatArray:
    """Choose an action for each row of `inputs` (already masked): [N, 2C + sum(branches)] -> [N, C + B].

    Discrete branches by the Gumbel-max trick, which needs no normalised probabilities.
    """
    size = spec.continuous_size
    actions = np.empty((len(inputs), action_size(spec)), dtype=np.float32)
    if size:
        actions[:, :size] = inputs[:, :size]
        if not deterministic:
            noise = rng.standard_normal((len(inputs), size), dtype=np.float32)
            actions[:, :size] += np.exp(inputs[:, size : 2 * size]) * noise
    if not spec.discrete_branches:
        return actions
    scores = inputs[:, 2 * size :]
    if not deterministic:
        scores = scores + rng.gumbel(size=scores.shape).astype(np.float32)
    start = 0
    for branch, width in enumerate(spec.discrete_branches):
        actions[:, size + branch] = scores[:, start : start + width].argmax(axis=1)
        start += width
    return actions


def log_probabilities(inputs: torch.Tensor, actions: torch.Tensor, spec: ActionSpec) -> torch.Tensor:
    """Joint log probability (density, for the continuous part) of packed actions: [N]."""
    return _evaluate(inputs, actions, spec)[0]


def log_probabilities_and_entropy(
    inputs: torch.Tensor, actions: torch.Tensor, spec: ActionSpec
) -> tuple[torch.Tensor, torch.Tensor]:
    """Joint log probability and joint entropy: [N], [N]."""
    return _evaluate(inputs, actions, spec)


def _evaluate(inputs: torch.Tensor, actions: torch.Tensor, spec: ActionSpec) -> tuple[torch.Tensor, torch.Tensor]:
    size = spec.continuous_size
    logp = inputs.new_zeros(len(inputs))
    entropy = inputs.new_zeros(len(inputs))
    if size:
        mean, log_std = inputs[:, :size], inputs[:, size : 2 * size]
        standard = (actions[:, :size] - mean) * torch.exp(-log_std)
        logp = logp - (0.5 * standard.square() + log_std + 0.5 * math.log(2 * math.pi)).sum(dim=1)
        entropy = entropy + (log_std + 0.5 * math.log(2 * math.pi * math.e)).sum(dim=1)
    start = 2 * size
    for branch, width in enumerate(spec.discrete_branches):
        log_softmax = torch.log_softmax(inputs[:, start : start + width], dim=1)
        index = actions[:, size + branch].long().unsqueeze(1)
        logp = logp + log_softmax.gather(1, index).squeeze(1)
        entropy = entropy - (log_softmax.exp() * log_softmax).sum(dim=1)
        start += width
    return logp, entropy
