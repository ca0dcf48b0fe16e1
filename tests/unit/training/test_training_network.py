"""Networks: any sensors fit, statistics are true, rescaling changes no prediction."""

import math

import numpy as np
import pytest
import torch

from rl_src.envs.specs import ActionSpec, ObservationSpec
from rl_src.training.networks.action_distribution import distribution_size
from rl_src.training.networks.network import Critic, PolicyNetwork
from rl_src.training.networks.normalization import PictureMoments, RunningMoments
from rl_src.training.settings.config import ResolvedNetwork

PLAIN = ResolvedNetwork((16,), "tanh", False)
NORMALIZING = ResolvedNetwork((16, 8), "silu", True)

SENSORS = [
    [(8,)],
    [(1,), (7,)],
    [(3, 84, 84)],
    [(1, 5, 4), (3,)],
    [(2, 1, 1)],
    [(4, 6), (2,)],
]


@pytest.mark.parametrize("network", [PLAIN, NORMALIZING])
@pytest.mark.parametrize("shapes", SENSORS)
def test_any_sensors_fit(shapes, network):
    specs = [ObservationSpec(f"sensor {i}", shape) for i, shape in enumerate(shapes)]
    actions = ActionSpec(2, (3, 2))
    policy = PolicyNetwork(specs, actions, network)
    observations = [torch.randn(5, *shape) for shape in shapes]
    assert policy.distribution_inputs(observations).shape == (5, distribution_size(actions))
    assert policy.critic is not None
    assert policy.critic.values(policy.normalized(observations)).shape == (5,)


def test_the_first_policy_is_close_to_uniform_whatever_the_seed():
    for seed in range(5):
        torch.manual_seed(seed)
        policy = PolicyNetwork([ObservationSpec("one", (20,))], ActionSpec(0, (3,)), PLAIN)
        probabilities = torch.softmax(policy.distribution_inputs([torch.eye(20)]), dim=1)
        assert (probabilities - 1 / 3).abs().max() < 0.02


def test_running_moments_are_those_of_all_batches_together():
    rng = np.random.default_rng(0)
    batches = [rng.normal(3, 2, (n, 4)).astype(np.float32) for n in (1, 50, 7, 300)]
    moments = RunningMoments(4)
    for batch in batches:
        moments.update(torch.from_numpy(batch))
    everything = np.concatenate(batches)
    np.testing.assert_allclose(moments.mean.numpy(), everything.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(moments.variance.numpy(), everything.var(axis=0), rtol=1e-4)
    standard = moments(torch.from_numpy(everything)).numpy()
    np.testing.assert_allclose(standard.mean(axis=0), 0, atol=1e-3)


def test_pictures_are_standardised_by_pixel_and_channel():
    rng = np.random.default_rng(0)
    pictures = rng.uniform(0.2, 0.6, (200, 3, 6, 5)).astype(np.float32)
    pictures[:, 1] *= 0.5
    pictures[:, 2] = np.linspace(0, 1, 30, dtype=np.float32).reshape(6, 5)  # the same in every picture
    moments = PictureMoments((3, 6, 5))
    for part in np.split(pictures, [10, 150]):
        moments.update(torch.from_numpy(part).flatten(1))
    mean = pictures.mean(axis=0)
    expected = (pictures - mean) / pictures.std(axis=(0, 2, 3))[:, None, None]
    np.testing.assert_allclose(moments(torch.from_numpy(pictures)).numpy(), expected, atol=1e-4)
    assert float(moments(torch.from_numpy(pictures))[:, 2].abs().max()) < 1e-4


def test_normalised_observations_are_clipped_at_five():
    moments = RunningMoments(1)
    assert moments(torch.tensor([[1e6], [-1e6]])).ravel().tolist() == [5, -5]


def test_rescaling_values_keeps_every_prediction():
    torch.manual_seed(0)
    critic = Critic([ObservationSpec("one", (3,))], PLAIN)
    observations = [torch.randn(10, 3)]
    for targets in (torch.randn(50) * 300 + 1000, torch.randn(50) * 2 - 7, torch.zeros(50)):
        before = critic.values(observations)
        critic.update_scale(targets)
        torch.testing.assert_close(critic.values(observations), before, rtol=1e-3, atol=1e-2)


def test_first_targets_set_the_scale_at_once():
    critic = Critic([ObservationSpec("one", (3,))], PLAIN)
    targets = torch.tensor([900.0, 1100.0])
    critic.update_scale(targets)
    torch.testing.assert_close(critic.normalize(targets), torch.tensor([-1.0, 1.0]))
    assert math.isclose(float(critic.deviation), 100.0, rel_tol=1e-4)


HYPER = ResolvedNetwork((16, 16), "relu", False, "hyper")
GOAL = ObservationSpec("goal", (2,), is_goal=True)


def test_the_same_picture_can_mean_the_opposite_under_another_goal():
    """The product of what is seen and what is wanted, from eight examples."""
    torch.manual_seed(0)
    policy = PolicyNetwork([ObservationSpec("seen", (1,)), GOAL], ActionSpec(1, ()), HYPER)
    seen = torch.tensor([-1.0, -0.5, 0.5, 1.0]).repeat(2)[:, None]
    goals = torch.eye(2).repeat_interleave(4, dim=0)
    wanted = seen[:, 0] * torch.tensor([1.0] * 4 + [-1.0] * 4)
    optimizer = torch.optim.Adam(policy.parameters(), lr=0.01)
    for _ in range(300):
        error = (policy.distribution_inputs([seen, goals])[:, 0] - wanted).square().mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
    assert float(error.detach()) < 0.01


def test_goal_sensors_may_be_all_that_there_is_or_stand_anywhere():
    only = PolicyNetwork([GOAL], ActionSpec(0, (3,)), HYPER)
    assert only.distribution_inputs([torch.eye(2)]).shape == (2, 3)
    seen = [ObservationSpec("image", (3, 8, 8)), GOAL, ObservationSpec("rays", (5,)), GOAL]
    policy = PolicyNetwork(seen, ActionSpec(0, (3,)), HYPER)
    observations = [torch.randn(4, *item.shape) for item in seen]
    assert policy.distribution_inputs(observations).shape == (4, 3)
    changed = [*observations[:3], observations[3] + 1.0]
    assert not torch.allclose(policy.distribution_inputs(observations), policy.distribution_inputs(changed))
