"""What a run and a prediction need and cost: answers that can be had on paper."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.scale import arithmetic
from benchmarks.scale.arithmetic import Load, RunNeeds
from benchmarks.scale.limits import LIMITS
from benchmarks.scale.state_machine import LOOPS, events, invocations, transitions, visits
from benchmarks.scale.summary import jain, percentile
from pipeline.contracts.request import EndpointRequest
from pipeline.rules.turns import MOST_WAITING
from tests.fakes.expanded_template import source

LOOKS = {"turn": 4, "training": 50, "evaluation": 20, "endpoint": 6}
NEEDS = RunNeeds(queued=3600, slot=3600, trained=3000, looks=LOOKS, turn_writes=10, longest_queue=100)


def test_ten_turns_of_an_hour_are_240_runs_a_day() -> None:
    assert arithmetic.runs_a_day(10, 3600) == 240
    assert arithmetic.at_once(240 / 86400, 3600) == pytest.approx(10)


@pytest.mark.parametrize("loop", LOOPS)
def test_one_more_look_costs_nine_events_three_transitions_and_one_call(loop: str) -> None:
    without, with_one = visits({}), visits({loop: 1})
    assert events(with_one) - events(without) == 9
    assert transitions(with_one) - transitions(without) == 3
    assert invocations(with_one) - invocations(without) == 1


def test_a_run_that_need_not_wait_visits_each_state_of_its_way_once() -> None:
    visited = visits({})
    assert transitions(visited) == 1 + 10 + 7
    assert invocations(visited) == 10  # checks of jobs and endpoint come with the looks
    assert events(visited) == 2 + 10 * 5 + 7 * 2


def test_the_pipeline_costs_what_its_prices_say() -> None:
    usd = arithmetic.pipeline_usd(LOOKS)
    calls = 10 + 80
    assert usd["Step Functions"] == pytest.approx((1 + 17 + 3 * 80) * 25e-6)
    assert usd["Lambda"] == pytest.approx(calls * (0.2e-6 + 0.5 * 16.6667e-6))
    assert usd["DynamoDB"] == pytest.approx(calls * 20 * 0.625e-6)


def test_by_hand_machines_stand_idle_and_people_are_paid() -> None:
    machines, work = arithmetic.by_hand_usd("ml.c7i.2xlarge", hours=1)
    assert machines == pytest.approx(0.4284 / 1.2 / 0.5)
    assert work == pytest.approx(10)
    with pytest.raises(ValueError, match=r"ml\.unknown\.large is not known"):
        arithmetic.by_hand_usd("ml.unknown.large", hours=1)


def test_a_million_predictions_of_instances_cost_ten_times_as_much_at_a_tenth_of_the_use() -> None:
    full, tenth = (arithmetic.predictions_usd("realtime", used)["endpoint"] for used in (1.0, 0.1))
    assert full == pytest.approx(0.1071 / 0.36)
    assert tenth == pytest.approx(10 * full)
    assert arithmetic.predictions_usd("serverless", 0.1) == arithmetic.predictions_usd("serverless")


def test_from_the_crossing_on_a_months_machines_cost_as_much_as_serverless_predictions() -> None:
    count = arithmetic.cheaper_by_hand_from()
    serverless = sum(arithmetic.predictions_usd("serverless").values()) * count / 1e6
    used = count / (arithmetic.HOURS_A_MONTH * 60 * arithmetic.REALTIME_A_MINUTE)
    assert serverless == pytest.approx(sum(arithmetic.predictions_usd("by hand", used).values()) * count / 1e6)


@given(st.floats(1, 1000), st.floats(1, 1000))
def test_ten_times_the_load_needs_no_less_of_any_quota(runs_a_day: float, predictions: float) -> None:
    load = Load(runs_a_day, 20, predictions)
    once, tenfold = (arithmetic.demands(load.times(factor), NEEDS, 100.0) for factor in (1, 10))
    for name, demand in once.items():
        assert tenfold[name].needed >= demand.needed
        assert tenfold[name].needed == pytest.approx(10 * demand.needed) or name in (
            "alarms",
            "history",
            "partition_writes",
        )


def test_what_does_not_hold_is_said_and_what_nobody_knows_is_not() -> None:
    demands = arithmetic.demands(Load(240.0, 60, 100.0), NEEDS, 240.0)
    assert demands["turns"].holds
    assert demands["serverless_endpoints"].holds is False
    assert demands["training_instances"].holds is None


def test_limits_of_our_own_are_those_of_the_template_and_the_code() -> None:
    parameters = source()["Parameters"]
    assert LIMITS["turns"].value == parameters["MaxConcurrentRuns"]["Default"]
    assert LIMITS["key_requests"].value == parameters["PredictRateLimit"]["Default"]
    assert LIMITS["places"].value == MOST_WAITING
    assert EndpointRequest().invocations_per_minute == arithmetic.REALTIME_A_MINUTE
    assert EndpointRequest().max_concurrency == 5


def test_thousands_that_wait_ask_little_more_often_than_hundreds() -> None:
    hundred, thousand = (arithmetic.asks_a_second(waiting, 10, 20) for waiting in (100, 1000))
    assert hundred < thousand < 3 * hundred < 1


def test_jains_index_of_equals_is_one_and_of_one_that_has_everything_its_share() -> None:
    assert jain([3.0] * 5) == pytest.approx(1)
    assert jain([1.0, 0.0, 0.0, 0.0]) == pytest.approx(0.25)
    assert jain([0.0, 0.0]) == 1


def test_percentiles_are_values_that_occur() -> None:
    values = list(range(1, 101))
    assert [percentile(values, share) for share in (0.5, 0.95, 0.99, 1.0)] == [50, 95, 99, 100]
    assert percentile([7.0], 0.5) == 7
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)
