"""Packed distributions against torch.distributions, and samples against their probabilities."""

import numpy as np
import pytest
import torch
from torch.distributions import Categorical, Normal

from rl_src.envs.specs import ActionSpec
from rl_src.training.networks.action_distribution import (
    action_size,
    distribution_size,
    log_probabilities_and_entropy,
    mask_logits,
    sample_actions,
    to_unity_range,
)

SPECS = [ActionSpec(0, (3,)), ActionSpec(0, (2, 4, 3)), ActionSpec(2, ()), ActionSpec(2, (3, 2))]


@pytest.mark.parametrize("spec", SPECS)
def test_log_probability_and_entropy_are_the_sums_of_the_parts(spec):
    torch.manual_seed(1)
    inputs = torch.randn(50, distribution_size(spec))
    actions = torch.from_numpy(sample_actions(inputs.numpy(), spec, np.random.default_rng(2)))
    assert actions.shape == (50, action_size(spec))
    size = spec.continuous_size
    gaussian = Normal(inputs[:, :size], inputs[:, size : 2 * size].exp())
    logp, entropy = gaussian.log_prob(actions[:, :size]).sum(1), gaussian.entropy().sum(1)
    start = 2 * size
    for branch, width in enumerate(spec.discrete_branches):
        categorical = Categorical(logits=inputs[:, start : start + width])
        logp = logp + categorical.log_prob(actions[:, size + branch])
        entropy = entropy + categorical.entropy()
        start += width
    found_logp, found_entropy = log_probabilities_and_entropy(inputs, actions, spec)
    torch.testing.assert_close(found_logp, logp)
    torch.testing.assert_close(found_entropy, entropy)


def test_discrete_samples_follow_the_probabilities():
    spec, probabilities = ActionSpec(0, (2, 3)), np.array([0.3, 0.7, 0.2, 0.1, 0.7])
    inputs = np.tile(np.log(probabilities).astype(np.float32), (100_000, 1))
    actions = sample_actions(inputs, spec, np.random.default_rng(0)).astype(int)
    first, second = np.bincount(actions[:, 0]) / 1e5, np.bincount(actions[:, 1]) / 1e5
    np.testing.assert_allclose(np.concatenate([first, second]), probabilities, atol=0.01)


def test_continuous_samples_follow_mean_and_deviation():
    inputs = np.tile(np.array([1.0, -2.0, np.log(0.5), np.log(2.0)], dtype=np.float32), (100_000, 1))
    actions = sample_actions(inputs, ActionSpec(2, ()), np.random.default_rng(0))
    np.testing.assert_allclose(actions.mean(axis=0), [1.0, -2.0], atol=0.03)
    np.testing.assert_allclose(actions.std(axis=0), [0.5, 2.0], rtol=0.02)


def test_deterministic_takes_the_mean_and_the_likeliest_index():
    inputs = np.array([[0.4, 3.0, 1.0, 5.0, 2.0]], dtype=np.float32)
    actions = sample_actions(inputs, ActionSpec(1, (3,)), np.random.default_rng(0), deterministic=True)
    np.testing.assert_allclose(actions, [[0.4, 1.0]])


def test_a_forbidden_action_is_never_taken_and_has_no_part_in_the_entropy():
    spec = ActionSpec(1, (3,))
    inputs = torch.tensor([[0.0, 0.0, 1.0, 9.0, 1.0]]).repeat(5000, 1).requires_grad_()
    masked = mask_logits(inputs, torch.tensor([[1.0, 0.0, 1.0]]).repeat(5000, 1), spec)
    actions = sample_actions(masked.detach().numpy(), spec, np.random.default_rng(0))
    assert set(actions[:, 1]) == {0.0, 2.0}
    logp, entropy = log_probabilities_and_entropy(masked, torch.from_numpy(actions), spec)
    gaussian_entropy = 0.5 * np.log(2 * np.pi * np.e)
    np.testing.assert_allclose(entropy.detach().numpy(), np.log(2) + gaussian_entropy, rtol=1e-5)
    (logp.sum() + entropy.sum()).backward()
    assert torch.isfinite(inputs.grad).all()


def test_values_reach_unity_within_its_range():
    np.testing.assert_allclose(to_unity_range(np.array([-9, -1.5, 0, 3, 4], np.float32)), [-1, -0.5, 0, 1, 1])
