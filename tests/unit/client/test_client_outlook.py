from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamedojo.models import Run
from gamedojo.outlook import Limit, limits_of, most_seconds_left, spent_usd
from gamedojo.reading import read
from tests.fakes.run_documents import BEGAN, at, training

NOW = BEGAN + timedelta(seconds=122)


def job(usd_per_hour: float | None = 3.6, instance_count: int = 1) -> dict[str, Any]:
    return {
        "instance_type": "ml.c7i.large",
        "instance_count": instance_count,
        "spot": False,
        "max_seconds": 3600,
        "usd_per_hour": usd_per_hour,
        "max_usd": None,
    }


def run(stop: dict[str, Any] | None = None, training_price: dict | None = None, **fields: Any) -> Run:
    """A training that began at the second 22, a hundred seconds ago."""
    document = {
        **training(10_000, 0.5),
        "options": {"stop": stop},
        "training_job": {"name": "t", "started_at": at(22)},
        "estimate": {"training": training_price or job(), "evaluation": job(), "max_usd": None, "prices": "of today"},
        **fields,
    }
    return read(Run, document)


def limit(name: str, one: Run, first_return: float | None = None) -> Limit:
    return {found.name: found for found in limits_of(one, NOW, first_return)}[name]


def test_env_steps_are_known_without_a_rule_of_the_users_own() -> None:
    (only,) = limits_of(run(), NOW)
    assert (only.name, only.share, only.text) == ("env steps", 0.2, "10,000 of 50,000")
    assert only.seconds_left == pytest.approx(40_000 / 1204.5)


def test_a_steadier_speed_than_the_last_iterations_tells_the_time_better() -> None:
    (only,) = limits_of(run(), NOW, env_steps_per_second=400.0)
    assert only.seconds_left == 100.0


def test_time_is_the_training_jobs_own() -> None:
    assert limit("time", run({"wall_time_seconds": 400})) == Limit("time", 0.25, "1:40 of 6:40", 300.0)


def test_a_budget_is_spent_by_all_instances_of_the_training() -> None:
    found = limit("budget", run({"budget_usd": 1.0}, job(3.6, 2)))
    assert (found.share, found.text) == (pytest.approx(0.2), "0.20 USD of 1.00 USD")
    assert found.seconds_left == pytest.approx(400.0)


def test_a_price_of_the_request_wins_over_the_lists() -> None:
    assert limit("budget", run({"budget_usd": 1.0, "usd_per_hour": 18.0})).share == pytest.approx(0.5)


def test_a_budget_without_a_price_is_no_limit_that_can_be_shown() -> None:
    assert [one.name for one in limits_of(run({"budget_usd": 1.0}, job(None)), NOW)] == ["env steps"]


@pytest.mark.parametrize(("first", "share"), [(None, None), (0.0, 0.5), (0.25, pytest.approx(1 / 3)), (0.6, 0.0)])
def test_a_target_is_reached_from_where_the_training_began(first: float | None, share: float | None) -> None:
    found = limit("target", run({"mean_return": 1.0}), first)
    assert (found.share, found.text, found.seconds_left) == (share, "0.500 of 1.000", None)


def test_a_target_that_is_reached_is_full_and_one_without_a_return_empty() -> None:
    assert limit("target", run({"mean_return": 0.5})).share == 1.0
    assert limit("target", run({"mean_return": 0.5}, progress={})).share is None


def test_the_limit_that_is_reached_first_ends_the_training() -> None:
    found = limits_of(run({"wall_time_seconds": 110, "budget_usd": 99, "mean_return": 0.9}), NOW)
    assert most_seconds_left(found) == 10.0
    assert most_seconds_left(()) is None


@given(st.floats(0, 1e5), st.floats(1, 1e4), st.floats(0.01, 1e3), st.floats(-1e3, 1e3), st.floats(-1e3, 1e3))
def test_shares_are_shares_and_no_time_is_negative(
    seconds: float, wall: float, budget: float, target: float, first: float
) -> None:
    one = run({"wall_time_seconds": wall, "budget_usd": budget, "mean_return": target})
    for found in limits_of(one, BEGAN + timedelta(seconds=seconds), first):
        assert found.share is None or 0 <= found.share <= 1
        assert found.seconds_left is None or found.seconds_left >= 0


def test_what_was_spent_is_of_both_jobs_and_stops_with_them() -> None:
    both = {
        "training_job": {"name": "t", "started_at": at(0), "ended_at": at(100)},
        "evaluation_job": {"name": "e", "started_at": at(112)},
    }
    assert spent_usd(run(None, job(3.6, 2), **both), NOW) == pytest.approx(0.2 + 0.01)


@pytest.mark.parametrize("fields", [{"estimate": None}, {"training_price": job(None)}])
def test_without_a_price_nobody_knows_what_was_spent(fields: dict) -> None:
    assert spent_usd(run(None, **fields), NOW) is None


def test_before_a_job_has_begun_nothing_is_spent() -> None:
    assert spent_usd(run(None, job(None), training_job=None), NOW) == 0.0
