"""Money: when a budget is spent."""

import pytest

from rl_src.training.errors import InvalidTrainingConfigError
from rl_src.training.progress.budget import OVERHEAD_SECONDS, Budget


def test_an_hour_costs_the_price_for_each_instance_and_the_start_is_paid_for_too():
    assert Budget(9.0, 1.5, 4).spent_usd(3600 - OVERHEAD_SECONDS) == pytest.approx(6.0)
    assert Budget(9.0, 3.6, 2).spent_usd(0) == pytest.approx(2 * 3.6 * OVERHEAD_SECONDS / 3600)


def test_a_budget_is_spent_after_the_seconds_that_it_is_enough_for():
    own = Budget(2.5, 0.23, 3)
    assert own.seconds > 3600
    assert own.is_spent(own.seconds + 1e-6)
    assert not own.is_spent(own.seconds - 1)
    assert own.spent_usd(own.seconds) == pytest.approx(2.5)


def test_a_budget_that_does_not_pay_for_the_start_is_spent_at_once():
    own = Budget(0.001, 20.0, 8)
    assert own.seconds == 0
    assert own.is_spent(0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"limit_usd": 0}, "above 0 USD"),
        ({"limit_usd": float("nan")}, "above 0 USD"),
        ({"instance_count": 0}, "at least one instance"),
        ({"usd_per_hour": -1.0}, "stop.usd_per_hour must be above 0"),
        ({"usd_per_hour": float("nan")}, "stop.usd_per_hour must be above 0"),
    ],
)
def test_a_wrong_budget_is_found_before_the_training(values, message):
    with pytest.raises(InvalidTrainingConfigError, match=message):
        Budget(**{"limit_usd": 1.0, "usd_per_hour": 1.0, **values})
