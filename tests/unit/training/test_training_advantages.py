"""Generalised advantage estimation against answers known in closed form."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rl_src.training.algorithms.train_batch import generalized_advantages

number = st.floats(-5, 5, width=32)
stretches = st.integers(1, 20).flatmap(
    lambda length: st.tuples(
        st.lists(number, min_size=length, max_size=length), st.lists(number, min_size=length + 1, max_size=length + 1)
    )
)


def arrays(stretch: tuple[list[float], list[float]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array(stretch[0], dtype=np.float32), np.array(stretch[1], dtype=np.float32)


@given(stretches, st.booleans())
def test_lambda_zero_is_the_one_step_error(stretch, terminated):
    rewards, values = arrays(stretch)
    following = values[1:].copy()
    if terminated:
        following[-1] = 0
    expected = rewards + 0.9 * following - values[:-1]
    np.testing.assert_allclose(generalized_advantages(rewards, values, terminated, 0.9, 0.0), expected, atol=1e-4)


@given(stretches, st.booleans())
def test_lambda_one_is_the_discounted_return_minus_the_value(stretch, terminated):
    rewards, values = arrays(stretch)
    gamma = 0.8
    tail = 0.0 if terminated else float(values[-1])
    expected = []
    for reward in rewards[::-1]:
        tail = float(reward) + gamma * tail
        expected.append(tail)
    found = generalized_advantages(rewards, values, terminated, gamma, 1.0)
    np.testing.assert_allclose(found, np.array(expected[::-1]) - values[:-1], atol=1e-3)


def test_true_values_leave_nothing_to_be_gained_wherever_the_stretch_is_cut():
    """Reward 1 for ever is worth 1 / (1 - gamma): truncation must not look like the end."""
    rewards, values = np.ones(7, np.float32), np.full(8, 10.0, np.float32)
    np.testing.assert_allclose(generalized_advantages(rewards, values, False, 0.9, 0.95), 0.0, atol=1e-5)
    assert generalized_advantages(rewards, values, True, 0.9, 0.95)[-1] == -9.0


def test_worked_example():
    found = generalized_advantages(
        np.array([1.0, 2.0], np.float32), np.array([0.5, 1.0, 4.0], np.float32), False, 0.5, 0.5
    )
    # errors: 1 + 0.5*1 - 0.5 = 1 and 2 + 0.5*4 - 1 = 3; the first also gets 0.25 of the second
    np.testing.assert_allclose(found, [1.75, 3.0])
