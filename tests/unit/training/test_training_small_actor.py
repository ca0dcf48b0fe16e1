"""The NumPy actor decides as the torch network does."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_src.envs.specs import ActionSpec, ObservationSpec
from rl_src.training.networks.action_distribution import mask_logits, masked_logits
from rl_src.training.networks.network import PolicyNetwork
from rl_src.training.settings.config import Memory, ResolvedNetwork

VECTORS = (ObservationSpec("one", (5,)), ObservationSpec("two", (2, 3)))


def network_of(
    actions: ActionSpec, observations: tuple[ObservationSpec, ...] = VECTORS, **settings: Any
) -> PolicyNetwork:
    defaults = {"hidden_sizes": (7, 9), "activation": "tanh", "normalize_observations": True}
    return PolicyNetwork(observations, actions, ResolvedNetwork(**{**defaults, **settings}), with_critic=False).eval()


def shaken(network: PolicyNetwork, seed: int) -> PolicyNetwork:
    """With weights, spreads and moments as after some learning."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in network.parameters():
            value.copy_(torch.randn(value.shape, generator=generator))
    network.update_moments([torch.randn(20, *item.shape, generator=generator) * 3 + 1 for item in VECTORS])
    return network


@settings(max_examples=60, deadline=None)
@given(
    continuous=st.integers(0, 3),
    branches=st.lists(st.integers(1, 4), max_size=3).map(tuple),
    hidden=st.lists(st.integers(1, 12), max_size=3).map(tuple),
    activation=st.sampled_from(("tanh", "relu", "silu")),
    normalize=st.booleans(),
    agents=st.integers(1, 9),
    scale=st.sampled_from((0.0, 1.0, 100.0)),
    seed=st.integers(0, 1000),
)
def test_any_dense_network(
    continuous: int,
    branches: tuple[int, ...],
    hidden: tuple[int, ...],
    activation: str,
    normalize: bool,
    agents: int,
    scale: float,
    seed: int,
) -> None:
    if not continuous and not branches:
        continuous = 1
    network = network_of(
        ActionSpec(continuous, branches), hidden_sizes=hidden, activation=activation, normalize_observations=normalize
    )
    actor = network.small_actor()
    shaken(network, seed)  # after it was made: it follows
    assert actor is not None
    rng = np.random.default_rng(seed)
    observations = [(rng.standard_normal((agents, *item.shape)) * scale).astype(np.float32) for item in VECTORS]
    with torch.no_grad():
        expected, _ = network.step([torch.from_numpy(value) for value in observations])
    np.testing.assert_allclose(actor(observations), expected.numpy(), rtol=1e-4, atol=1e-4)


def test_it_follows_loaded_weights() -> None:
    network, other = network_of(ActionSpec(2)), shaken(network_of(ActionSpec(2)), 3)
    actor = network.small_actor()
    assert actor is not None
    observations = [np.ones((4, *item.shape), np.float32) for item in VECTORS]
    before = actor(observations)
    network.load_state_dict(other.state_dict())
    expected = other.distribution_inputs([torch.from_numpy(value) for value in observations]).detach().numpy()
    assert np.abs(before - expected).max() > 0.1
    np.testing.assert_allclose(actor(observations), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "network",
    [
        network_of(ActionSpec(0, (3,)), (ObservationSpec("picture", (3, 20, 20)),)),
        network_of(ActionSpec(0, (3,)), memory=Memory(size=4, sequence_length=4)),
        network_of(ActionSpec(2), squash=True),
        network_of(ActionSpec(2), state_dependent_std=True),
    ],
    ids=["pictures", "memory", "squashed means", "spread that is seen"],
)
def test_other_networks_are_left_to_torch(network: PolicyNetwork) -> None:
    assert network.small_actor() is None


def test_masks_rule_out_what_torch_rules_out() -> None:
    spec = ActionSpec(1, (3, 2))
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((6, 7)).astype(np.float32)
    masks = rng.integers(0, 2, (6, 5)).astype(np.float32)
    expected = mask_logits(torch.from_numpy(inputs), torch.from_numpy(masks), spec).numpy()
    np.testing.assert_array_equal(masked_logits(inputs, masks, spec), expected)
