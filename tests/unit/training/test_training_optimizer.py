"""Adam on one flat tensor against the paper's algorithm, and against being cut off."""

import numpy as np
import pytest
import torch

from rl_src.training.algorithms.optimizer import BETAS, EPSILON, FlatAdam


def adam(values: np.ndarray, gradients: list[np.ndarray], lr: float) -> np.ndarray:
    """Algorithm 1 of arXiv:1412.6980."""
    mean, square = np.zeros_like(values), np.zeros_like(values)
    for t, gradient in enumerate(gradients, 1):
        mean = BETAS[0] * mean + (1 - BETAS[0]) * gradient
        square = BETAS[1] * square + (1 - BETAS[1]) * gradient**2
        corrected = mean / (1 - BETAS[0] ** t), square / (1 - BETAS[1] ** t)
        values = values - lr * corrected[0] / (np.sqrt(corrected[1]) + EPSILON)
    return values


def test_steps_are_those_of_the_paper():
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=6), [rng.normal(size=6) for _ in range(20)]
    first = torch.nn.Parameter(torch.tensor(start[:4].reshape(2, 2)))
    second = torch.nn.Parameter(torch.tensor(start[4:]))
    optimizer = FlatAdam([first, second], lr=0.01)
    for gradient in gradients:
        optimizer.zero_grad()
        weights = torch.tensor(gradient)
        ((first.flatten() * weights[:4]).sum() + (second * weights[4:]).sum()).backward()
        optimizer.step()
    found = torch.cat([first.flatten(), second]).detach().numpy()
    np.testing.assert_allclose(found, adam(start, gradients, 0.01), rtol=1e-7)


def test_gradients_are_clipped_by_their_common_norm():
    parameters = [torch.nn.Parameter(torch.zeros(1)), torch.nn.Parameter(torch.zeros(1))]
    optimizer = FlatAdam(parameters)
    (parameters[0] * 3 + parameters[1] * 4).sum().backward()
    assert optimizer.clip_gradients(1.0).item() == pytest.approx(5.0)
    assert [item.grad.item() for item in parameters] == pytest.approx([0.6, 0.8])
    optimizer.zero_grad()
    (parameters[0] * 0.3).sum().backward()
    optimizer.clip_gradients(1.0)
    assert parameters[0].grad.item() == pytest.approx(0.3)


def test_a_restored_optimizer_makes_the_same_next_step():
    def step(layer: torch.nn.Linear, optimizer: FlatAdam) -> None:
        optimizer.zero_grad()
        layer(torch.ones(1, 3)).square().sum().backward()
        optimizer.step()

    torch.manual_seed(0)
    layer = torch.nn.Linear(3, 2)
    optimizer = FlatAdam(layer.parameters())
    for _ in range(3):
        step(layer, optimizer)
    other = torch.nn.Linear(3, 2)
    restored = FlatAdam(other.parameters())
    other.load_state_dict(layer.state_dict())
    restored.load_state_dict(optimizer.state_dict())
    step(layer, optimizer)
    step(other, restored)
    for ours, theirs in zip(layer.parameters(), other.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_moments_of_another_network_are_refused():
    small, large = (FlatAdam([torch.nn.Parameter(torch.zeros(n))]) for n in (2, 3))
    with pytest.raises(ValueError, match="2 moments for 3 parameters"):
        large.load_state_dict(small.state_dict())
