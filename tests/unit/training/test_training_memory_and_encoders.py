"""Memory: unrolled as it was stepped. Sets: order and padding do not matter. Encoders tell which pictures they take."""

import numpy as np
import pytest
import torch

from rl_src.envs.specs import ActionSpec, DimensionProperty, ObservationSpec
from rl_src.training.errors import InvalidTrainingConfigError
from rl_src.training.networks.encoders import EntityEncoder, ImageEncoder, entities_present
from rl_src.training.networks.network import PolicyNetwork
from rl_src.training.settings.config import Memory, ResolvedNetwork

ENTITIES = ObservationSpec("others", (5, 4), (DimensionProperty.VARIABLE_SIZE, DimensionProperty.NONE))
VECTOR = ObservationSpec("position", (6,))


def test_a_sequence_is_evaluated_as_its_steps_were_played():
    torch.manual_seed(1)
    policy = PolicyNetwork([VECTOR], ActionSpec(1, (3,)), ResolvedNetwork((8,), "tanh", True, memory=Memory(5, 4)))
    lengths, longest = (4, 1, 3), 4
    decided = torch.tensor([[step < length for step in range(longest)] for length in lengths])
    before = torch.randn(len(lengths), policy.memory_size)
    observations = torch.randn(sum(lengths), 6)
    inputs, values = policy.evaluate([observations], None, before, decided)
    row = 0
    for number, length in enumerate(lengths):
        memory = before[number : number + 1]
        for _ in range(length):
            seen = [observations[row : row + 1]]
            value = policy.values(seen, memory)
            stepped, memory = policy.step(seen, memory)
            torch.testing.assert_close(inputs[row : row + 1], stepped)
            assert policy.critic is not None
            torch.testing.assert_close(values[row : row + 1], policy.critic.normalize(value))
            row += 1


def test_a_policy_without_memory_remembers_nothing():
    policy = PolicyNetwork([VECTOR], ActionSpec(1, ()), ResolvedNetwork((8,), "tanh", False))
    assert policy.memory_size == 0
    assert policy.step([torch.zeros(2, 6)])[1] is None


@pytest.mark.parametrize("normalize", [False, True])
def test_order_and_padding_of_entities_do_not_matter(normalize):
    torch.manual_seed(0)
    policy = PolicyNetwork([ENTITIES, VECTOR], ActionSpec(2, ()), ResolvedNetwork((8,), "tanh", normalize))
    seen = torch.randn(7, 5, 4)
    seen[:, 3:] = 0.0
    policy.update_moments([seen, torch.randn(7, 6)])
    vector = torch.randn(7, 6)
    expected = policy.distribution_inputs([seen, vector])
    for order in ([2, 1, 0, 3, 4], [4, 0, 3, 2, 1]):
        torch.testing.assert_close(policy.distribution_inputs([seen[:, order], vector]), expected)
    assert not torch.allclose(policy.distribution_inputs([seen * 2, vector]), expected)


def test_entities_are_normalised_over_those_that_are_there():
    policy = PolicyNetwork([ENTITIES], ActionSpec(2, ()), ResolvedNetwork((8,), "tanh", True))
    seen = torch.zeros(100, 5, 4)
    seen[:, :2] = torch.randn(100, 2, 4) * 3 + 7
    policy.update_moments([seen])
    np.testing.assert_allclose(policy.moments["0"].mean.numpy(), seen[:, :2].reshape(-1, 4).mean(dim=0), rtol=1e-4)
    (standard,) = policy.normalized([seen])
    assert (standard[:, 2:] == 0).all()
    policy.update_moments([torch.zeros(3, 5, 4)])  # nobody there: nothing to learn
    np.testing.assert_allclose(policy.moments["0"].mean.numpy(), seen[:, :2].reshape(-1, 4).mean(dim=0), rtol=1e-4)


def test_no_entity_at_all_gives_zeros():
    encoder = EntityEncoder(4, 6, torch.nn.Tanh)
    nobody = torch.zeros(2, 5, 4)
    assert (encoder(nobody, entities_present(nobody)) == 0).all()


@pytest.mark.parametrize(
    ("kind", "size"), [("nature_cnn", 64 * 7 * 7), ("resnet", 32 * 11 * 11), ("match3", 144 * 80 * 80)]
)
def test_pictures_of_84_pixels_give_the_published_sizes(kind, size):
    assert ImageEncoder((3, 84, 84), kind, torch.nn.ReLU).size == size


@pytest.mark.parametrize(("kind", "side"), [("nature_cnn", 36), ("match3", 5)])
def test_pictures_that_are_too_small_for_an_encoder_are_refused_with_the_remedy(kind, side):
    ImageEncoder((1, side, side), kind, torch.nn.ReLU)
    with pytest.raises(InvalidTrainingConfigError, match=rf"at least {side} x {side}.*simple"):
        ImageEncoder((1, side + 9, side - 1), kind, torch.nn.ReLU)
