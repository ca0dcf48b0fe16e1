"""How a DeploymentConfig shifts traffic."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.sagemaker.errors import NotImplementedLocallyError, ValidationError
from local.sagemaker.traffic import DeploymentPlan, Split


def policy(kind: str, **sizes: dict) -> dict:
    routing = {"Type": kind, "WaitIntervalInSeconds": 60, **sizes}
    return {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing, "TerminationWaitInSeconds": 30}}


def percent(value: int) -> dict:
    return {"Type": "CAPACITY_PERCENT", "Value": value}


@given(value=st.integers(1, 50))
def test_linear_steps_are_even_and_end_with_everything(value: int):
    shares = DeploymentPlan.of(policy("LINEAR", LinearStepSize=percent(value)), 1).shares
    assert shares[-1] == 1
    assert list(shares) == sorted(shares)
    before = (0.0, *shares[:-1])
    assert all(after - earlier <= value / 100 + 1e-9 for earlier, after in zip(before, shares, strict=True))


@pytest.mark.parametrize(
    ("config", "count", "shares"),
    [
        (None, 1, (1.0,)),
        (policy("ALL_AT_ONCE"), 1, (1.0,)),
        (policy("CANARY", CanarySize=percent(10)), 1, (0.1, 1.0)),
        (policy("CANARY", CanarySize={"Type": "INSTANCE_COUNT", "Value": 1}), 4, (0.25, 1.0)),
        (policy("LINEAR", LinearStepSize=percent(50)), 2, (0.5, 1.0)),
    ],
)
def test_shares_of_the_new_fleet(config: dict | None, count: int, shares: tuple[float, ...]):
    assert DeploymentPlan.of(config, count).shares == shares


def test_what_cannot_be_is_refused():
    with pytest.raises(ValidationError, match="CanarySize is required"):
        DeploymentPlan.of(policy("CANARY"), 1)
    with pytest.raises(ValidationError, match="at most 50 %"):
        DeploymentPlan.of(policy("CANARY", CanarySize={"Type": "INSTANCE_COUNT", "Value": 1}), 1)
    with pytest.raises(NotImplementedLocallyError, match="RollingUpdatePolicy"):
        DeploymentPlan.of({"RollingUpdatePolicy": {}}, 1)


@given(percent_of_new=st.integers(0, 100), count=st.integers(1, 500))
def test_a_split_is_as_even_as_whole_invocations_allow(percent_of_new: int, count: int):
    split = Split(percent_of_new / 100)
    given_to_new = 0
    for asked in range(1, count + 1):
        given_to_new += split.is_for_new()
        assert abs(given_to_new - asked * percent_of_new / 100) <= 1 + 1e-6
