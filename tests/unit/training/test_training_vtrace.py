"""V-trace against answers known in closed form."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_src.training.algorithms.train_batch import generalized_advantages
from rl_src.training.algorithms.vtrace import VTrace, vtrace

number = st.floats(-5, 5, width=32)
share = st.floats(0, 1)


@st.composite
def stretches(draw, largest_ratio=2.0):
    """Up to four stretches: rewards [L], values [L + 1], log ratios [L], whether it terminated."""
    made = []
    for _ in range(draw(st.integers(1, 4))):
        length = draw(st.integers(1, 8))
        ratio = st.floats(-largest_ratio, largest_ratio, width=32)
        rewards, values, ratios = (
            np.array(draw(st.lists(element, min_size=count, max_size=count)), dtype=np.float32)
            for element, count in ((number, length), (number, length + 1), (ratio, length))
        )
        made.append((rewards, values, ratios, draw(st.booleans())))
    return made


def on(made, *, log_ratios=None, gamma=0.9, lambda_=1.0, clip_rho=1.0) -> VTrace:
    """`vtrace` of stretches one behind the other."""
    following, last = [], []
    for rewards, values, _, terminated in made:
        following.append(values[1:].copy())
        if terminated:
            following[-1][-1] = 0.0
        last.append(np.arange(len(rewards)) == len(rewards) - 1)
    ratios = np.concatenate([item[2] for item in made])
    return vtrace(
        np.concatenate([item[0] for item in made]),
        np.concatenate([item[1][:-1] for item in made]),
        np.concatenate(following),
        np.concatenate(last),
        ratios if log_ratios is None else log_ratios,
        gamma=gamma,
        lambda_=lambda_,
        clip_rho=clip_rho,
    )


@given(stretches(largest_ratio=0.0), share, share, st.floats(1, 10))
def test_with_equal_policies_it_is_generalised_advantage_estimation(made, gamma, lambda_, clip_rho):
    found = on(made, gamma=gamma, lambda_=lambda_, clip_rho=clip_rho)
    expected = np.concatenate(
        [generalized_advantages(rewards, values, ended, gamma, lambda_) for rewards, values, _, ended in made]
    )
    np.testing.assert_allclose(found.advantages, expected, atol=1e-3)
    np.testing.assert_allclose(found.targets, expected + np.concatenate([item[1][:-1] for item in made]), atol=1e-3)


@given(stretches(largest_ratio=0.0), share)
def test_with_equal_policies_and_lambda_one_targets_are_the_discounted_return(made, gamma):
    expected = []
    for rewards, values, _, terminated in made:
        tail, own = 0.0 if terminated else float(values[-1]), []
        for reward in rewards[::-1].tolist():
            tail = reward + gamma * tail
            own.append(tail)
        expected += own[::-1]
    np.testing.assert_allclose(on(made, gamma=gamma).targets, expected, atol=1e-3)


@given(stretches(), share, share, st.floats(1, 4))
def test_targets_are_the_papers_sum(made, gamma, lambda_, clip_rho):
    """Equation 1: V + sum over t of gamma^(t - s) (product of c from s to t - 1) rho_t times the one-step error."""
    expected = []
    for rewards, values, log_ratios, terminated in made:
        following = [*values[1:-1].tolist(), 0.0 if terminated else float(values[-1])]
        ratios = np.exp(log_ratios.astype(np.float64))
        for s in range(len(rewards)):
            total = float(values[s])
            for t in range(s, len(rewards)):
                trace = np.prod([lambda_ * min(1.0, ratio) for ratio in ratios[s:t]])
                error = float(rewards[t]) + gamma * following[t] - float(values[t])
                total += gamma ** (t - s) * trace * min(clip_rho, ratios[t]) * error
            expected.append(total)
    found = on(made, gamma=gamma, lambda_=lambda_, clip_rho=clip_rho)
    np.testing.assert_allclose(found.targets, expected, atol=1e-3)


@given(stretches(), share, share)
def test_stretches_know_nothing_of_each_other(made, gamma, lambda_):
    together = on(made, gamma=gamma, lambda_=lambda_)
    alone = [on([item], gamma=gamma, lambda_=lambda_) for item in made]
    np.testing.assert_array_equal(together.targets, np.concatenate([item.targets for item in alone]))
    np.testing.assert_array_equal(together.advantages, np.concatenate([item.advantages for item in alone]))


@given(stretches(), share)
def test_true_values_leave_nothing_to_be_learned_whoever_played(made, gamma):
    for rewards, values, _, terminated in made:
        ahead = 0.0 if terminated else float(values[-1])
        for t in range(len(rewards) - 1, -1, -1):
            ahead = values[t] = float(rewards[t]) + gamma * ahead
    found = on(made, gamma=gamma)
    np.testing.assert_allclose(found.advantages, 0.0, atol=1e-3)
    np.testing.assert_allclose(found.targets, np.concatenate([item[1][:-1] for item in made]), atol=1e-3)


def test_worked_example():
    """Ratios 4, 0.5 and 2; gamma 0.5.

    One-step errors: 1 + 0.5 x 2 - 1 = 1; 2 + 0.5 x 4 - 2 = 2; 3 + 0.5 x 6 - 4 = 2.
    Weighted by rho = 2 (cut), 0.5, 2: 2, 1, 4. Traces c = 1 (cut), 0.5, 1.
    Targets minus values: 4; 1 + 0.5 x 0.5 x 4 = 2; 2 + 0.5 x 1 x 2 = 3.
    Advantages: 1 + 0.5 x 2 = 2; 2 + 0.5 x 4 = 4; 2.
    """
    stretch = (
        np.array([1, 2, 3], np.float32), np.array([1, 2, 4, 6], np.float32), np.log([4, 0.5, 2]), False,
    )  # fmt: skip
    found = on([stretch], gamma=0.5, clip_rho=2.0)
    np.testing.assert_allclose(found.targets, [1 + 3, 2 + 2, 4 + 4], atol=1e-6)
    np.testing.assert_allclose(found.advantages, [2, 4, 2], atol=1e-6)


@pytest.mark.parametrize("clip_rho", [1.0, 1.5, 1e6])
def test_what_is_found_are_the_values_of_the_policy_that_the_threshold_makes(clip_rho):
    """One choice, one step: the expected target is the value of the policy in proportion to min(clip x old, new)."""
    old, new, rewards = np.array([0.6, 0.3, 0.1]), np.array([0.1, 0.2, 0.7]), np.array([1.0, -2.0, 3.0], np.float32)
    between = np.minimum(clip_rho * old, new)
    value = float((between / between.sum()) @ rewards)
    every = [
        (rewards[i : i + 1], np.array([value, 9.0], np.float32), np.log(new / old)[i : i + 1], True) for i in range(3)
    ]
    assert float(old @ on(every, clip_rho=clip_rho).targets) == pytest.approx(value, abs=1e-5)
