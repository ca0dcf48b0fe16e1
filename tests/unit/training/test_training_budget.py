"""Money: what instances cost, and when a budget is spent."""

import json
from pathlib import Path

import pytest

from rl_src.training.errors import InvalidTrainingConfigError
from rl_src.training.progress import budget
from rl_src.training.progress.budget import OVERHEAD_SECONDS, Budget, spent_usd

DOCUMENT = json.loads((Path(budget.__file__).parent / "instance_prices.json").read_text())
PRICES: dict[str, float] = DOCUMENT["usd_per_hour"]


def test_an_hour_costs_the_price_for_each_instance():
    assert spent_usd(3600, "ml.g5.xlarge") == pytest.approx(PRICES["ml.g5.xlarge"])
    assert spent_usd(1800, "ml.g5.xlarge", 4) == pytest.approx(2 * PRICES["ml.g5.xlarge"])
    assert spent_usd(0, "ml.g5.xlarge") == 0


def test_spot_costs_its_share():
    full = spent_usd(3600, "ml.c7i.2xlarge")
    assert spent_usd(3600, "ml.c7i.2xlarge", spot=True) == pytest.approx(full * DOCUMENT["spot_factor"])
    assert 0 < DOCUMENT["spot_factor"] < 1


def test_a_price_given_by_hand_is_taken_as_it_is():
    assert spent_usd(3600, "ml.z9.huge", 2, spot=True, usd_per_hour=0.5) == 1.0


def test_an_unknown_type_names_the_field_and_its_own_family():
    with pytest.raises(InvalidTrainingConfigError) as raised:
        spent_usd(1, "ml.c7i.3xlarge")
    assert "ml.c7i.3xlarge is not known" in raised.value.cause
    assert "stop.usd_per_hour" in raised.value.remedy
    assert "ml.c7i.2xlarge" in raised.value.remedy
    assert "ml.m5" not in raised.value.remedy
    with pytest.raises(InvalidTrainingConfigError) as raised:
        spent_usd(1, "ml.z9.huge")
    assert "ml.m5.xlarge" in raised.value.remedy


def test_the_start_of_an_instance_is_paid_for_too():
    own = Budget(1.0, "ml.c7i.2xlarge", 2)
    assert own.spent_usd(0) == pytest.approx(2 * PRICES["ml.c7i.2xlarge"] * OVERHEAD_SECONDS / 3600)


@pytest.mark.parametrize("spot", [False, True])
def test_a_budget_is_spent_after_the_seconds_that_it_is_enough_for(spot):
    own = Budget(2.5, "ml.m5.xlarge", 3, spot)
    assert own.seconds > 3600
    assert own.is_spent(own.seconds + 1e-6)
    assert not own.is_spent(own.seconds - 1)
    assert own.spent_usd(own.seconds) == pytest.approx(2.5)


def test_a_budget_that_does_not_pay_for_the_start_is_spent_at_once():
    own = Budget(0.001, "ml.g5.48xlarge", 8)
    assert own.seconds == 0
    assert own.is_spent(0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"limit_usd": 0}, "above 0 USD"),
        ({"limit_usd": float("nan")}, "above 0 USD"),
        ({"instance_count": 0}, "at least one instance"),
        ({"usd_per_hour": -1.0}, "stop.usd_per_hour must be above 0"),
        ({"instance_type": "ml.z9.huge"}, "is not known"),
    ],
)
def test_a_wrong_budget_is_found_before_the_training(values, message):
    with pytest.raises(InvalidTrainingConfigError, match=message):
        Budget(**{"limit_usd": 1.0, "instance_type": "ml.m5.xlarge", **values})


def test_the_price_list_is_plausible():
    assert {"ml.c7i.xlarge", "ml.c7i.2xlarge"} <= PRICES.keys()  # the template's own defaults
    assert all(0.05 < price < 200 for price in PRICES.values())
    assert all(name.startswith("ml.") for name in PRICES)
    for family in ("ml.c5", "ml.c6i", "ml.c7i", "ml.m5", "ml.m6i", "ml.m7i"):
        by_size = [PRICES[f"{family}.{size}"] for size in ("xlarge", "2xlarge", "4xlarge")]
        assert by_size[1] == pytest.approx(2 * by_size[0], rel=0.01)
        assert by_size[2] == pytest.approx(4 * by_size[0], rel=0.01)
    assert DOCUMENT["region"] == "us-east-1"
    assert DOCUMENT["source"]
    assert DOCUMENT["as_of"]
