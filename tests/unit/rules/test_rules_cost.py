"""Money: what a run may cost at most, and what is refused."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.contracts.job import BehaviorSettings, StopRule
from pipeline.contracts.request import Evaluation, Instances, RunOptions
from pipeline.contracts.run import RunRecord
from pipeline.contracts.validation import InvalidDocumentError
from pipeline.rules import cost
from pipeline.rules.cost import OVERHEAD_SECONDS, check_affordable, estimate, spent_usd, usd_per_hour, with_price
from tests.fakes.run_documents import at, run_document

DOCUMENT = json.loads((Path(cost.__file__).parent / "instance_prices.json").read_text())
PRICES: dict[str, float] = DOCUMENT["usd_per_hour"]
TRAINING, EVALUATION = "ml.c7i.2xlarge", "ml.c7i.xlarge"


def estimated(options: RunOptions) -> cost.CostEstimate:
    return estimate(options, TRAINING, EVALUATION)


def refused(options: RunOptions) -> tuple[str, str]:
    with pytest.raises(InvalidDocumentError) as raised:
        check_affordable(options, estimated(options))
    (problem,) = raised.value.problems
    return problem.field, problem.message


def test_the_most_is_every_instance_for_as_long_as_it_may_run():
    options = RunOptions(
        instances=Instances(instance_type="ml.g5.xlarge", instance_count=3, max_runtime_seconds=7200, spot=False),
        evaluation=Evaluation(max_runtime_seconds=1800),
    )
    found = estimated(options)
    assert found.training.max_usd == pytest.approx(3 * 2 * PRICES["ml.g5.xlarge"])
    assert found.evaluation.max_usd == pytest.approx(PRICES[EVALUATION] / 2, abs=1e-4)
    assert found.max_usd == pytest.approx(6 * PRICES["ml.g5.xlarge"] + PRICES[EVALUATION] / 2, abs=0.01)
    assert found.prices == f"us-east-1, {DOCUMENT['as_of']}"


def test_spot_costs_its_share_and_evaluations_are_none():
    found = estimated(RunOptions())
    assert (found.training.spot, found.evaluation.spot) == (True, False)
    assert found.training.usd_per_hour == pytest.approx(PRICES[TRAINING] * DOCUMENT["spot_factor"])
    assert usd_per_hour(TRAINING, spot=False) == PRICES[TRAINING]
    assert 0 < DOCUMENT["spot_factor"] < 1


def test_a_training_that_ends_itself_is_not_billed_for_longer():
    found = estimated(RunOptions(stop=StopRule(wall_time_seconds=600)))
    assert found.training.max_seconds == 600 + OVERHEAD_SECONDS
    found = estimated(
        RunOptions(stop=StopRule(budget_usd=1.0, usd_per_hour=2.0), instances=Instances(instance_count=2))
    )
    assert found.training.max_seconds == 900
    assert found.training.max_usd == pytest.approx(1.0)


def test_a_stop_rule_that_not_every_behavior_obeys_bounds_nothing():
    own = {"Goalie": BehaviorSettings(stop=StopRule(env_steps=5))}
    found = estimated(RunOptions(stop=StopRule(wall_time_seconds=600), behaviors=own))
    assert found.training.max_seconds == 24 * 3600


def test_a_price_set_by_hand_counts():
    options = RunOptions(
        instances=Instances(instance_type="ml.z9.huge", max_runtime_seconds=3600),
        stop=StopRule(env_steps=1, usd_per_hour=4.0),
    )
    assert estimated(options).training.max_usd == pytest.approx(4.0)


def test_a_run_that_could_cost_more_is_refused_with_what_would_be_right():
    options = RunOptions(max_cost_usd=1.0)
    field, message = refused(options)
    assert field == "max_cost_usd"
    assert "ml.c7i.2xlarge (spot) for 24 h" in message
    seconds = int(message.partition("max_runtime_seconds to at most ")[2].split()[0])
    budget = float(message.partition("budget_usd to at most ")[2])
    for mended in (
        options.model_copy(update={"instances": Instances(max_runtime_seconds=seconds)}),
        options.model_copy(update={"stop": StopRule(budget_usd=budget)}),
    ):
        check_affordable(mended, estimated(mended))
    longer = options.model_copy(update={"instances": Instances(max_runtime_seconds=seconds + 120)})
    assert refused(longer)[0] == "max_cost_usd"


def test_where_the_evaluation_alone_is_too_dear_that_is_said():
    said = refused(RunOptions(max_cost_usd=0.1))[1]
    assert said.endswith("or lower instances.max_runtime_seconds and evaluation.max_runtime_seconds")


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (RunOptions(instances=Instances(instance_type="ml.c7i.3xlarge"), max_cost_usd=5), "max_cost_usd"),
        (
            RunOptions(instances=Instances(instance_type="ml.c7i.3xlarge"), stop=StopRule(budget_usd=5)),
            "stop.budget_usd",
        ),
    ],
)
def test_an_unknown_price_is_refused_where_it_matters_and_names_its_family(options: RunOptions, field: str):
    where, message = refused(options)
    assert where == field
    assert "ml.c7i.3xlarge is not known" in message
    assert "stop.usd_per_hour" in message
    assert "ml.c7i.2xlarge" in message
    assert "ml.m5" not in message


def test_an_unknown_price_does_no_harm_where_nobody_asks_for_it():
    options = RunOptions(instances=Instances(instance_type="ml.z9.huge"))
    found = estimated(options)
    assert (found.training.max_usd, found.max_usd) == (None, None)
    check_affordable(options, found)


@given(st.floats(0.01, 1000), st.integers(60, 28 * 86_400), st.integers(1, 20), st.sampled_from(sorted(PRICES)))
def test_what_is_let_through_costs_no_more_than_it_may(limit: float, seconds: int, count: int, instance_type: str):
    instances = Instances(instance_type=instance_type, instance_count=count, max_runtime_seconds=seconds)
    options = RunOptions(instances=instances, max_cost_usd=limit)
    found = estimated(options)
    dearest = PRICES[instance_type] * DOCUMENT["spot_factor"] * count * seconds / 3600 + 2 * PRICES[EVALUATION]
    try:
        check_affordable(options, found)
    except InvalidDocumentError:
        assert dearest > limit - 0.01
    else:
        assert dearest <= limit + 0.01


def test_a_budget_is_told_the_price_of_the_lists_instance():
    told = with_price(RunOptions(stop=StopRule(budget_usd=2)), TRAINING)
    assert told.stop is not None
    assert told.stop.usd_per_hour == usd_per_hour(TRAINING, spot=True)
    for options in (RunOptions(), RunOptions(stop=StopRule(budget_usd=2, usd_per_hour=9)), RunOptions(stop=StopRule())):
        assert with_price(options, TRAINING) == options


def test_the_price_list_is_plausible():
    assert {TRAINING, EVALUATION} <= PRICES.keys()  # the template's own defaults
    assert all(0.05 < price < 200 for price in PRICES.values())
    assert all(name.startswith("ml.") for name in PRICES)
    for family in ("ml.c5", "ml.c6i", "ml.c7i", "ml.m5", "ml.m6i", "ml.m7i"):
        by_size = [PRICES[f"{family}.{size}"] for size in ("xlarge", "2xlarge", "4xlarge")]
        assert by_size[1] == pytest.approx(2 * by_size[0], rel=0.01)
        assert by_size[2] == pytest.approx(4 * by_size[0], rel=0.01)
    assert DOCUMENT["region"] == "us-east-1"
    assert DOCUMENT["source"]
    assert DOCUMENT["as_of"]


def job(started: float | None, ended: float | None = None) -> dict[str, Any]:
    """A job by seconds since the run began."""
    times = {"started_at": started, "ended_at": ended}
    told = {name: at(seconds) for name, seconds in times.items() if seconds is not None}
    return {"name": "gamedojo-test-basic-train-1", "status": "InProgress", **told}


def spent(until: float, instance_count: int = 1, **fields: Any) -> float:
    options = RunOptions(instances=Instances(spot=False, instance_count=instance_count))
    told = {"options": options, "estimate": estimated(options), **fields}
    return spent_usd(RunRecord.model_validate(run_document("FinishRun") | told), datetime.fromisoformat(at(until)))


def test_what_was_spent_is_time_by_price_by_instances():
    hour = 3600.0
    assert spent(9 * hour) == 0.0, "nothing was started"
    assert spent(9 * hour, 3, training_job=job(10, 10 + 2 * hour)) == pytest.approx(3 * 2 * PRICES[TRAINING])
    both = {"training_job": job(10, 10 + hour), "evaluation_job": job(2 * hour, 2.5 * hour)}
    assert spent(9 * hour, **both) == pytest.approx(PRICES[TRAINING] + PRICES[EVALUATION] / 2, abs=1e-4)


def test_a_job_whose_end_nobody_knows_is_paid_until_now_and_one_that_waits_for_a_machine_is_not():
    assert spent(3610, training_job=job(10)) == pytest.approx(PRICES[TRAINING])
    assert spent(3610, training_job=job(None)) == 0.0


def test_jobs_of_an_earlier_attempt_were_counted_then():
    assert spent(7200, training_job=job(-3600, -10)) == 0.0


def test_a_run_whose_price_nobody_knows_spends_nothing_that_is_known():
    assert spent(7200, estimate=None, training_job=job(0, 3600)) == 0.0
    unpriced = estimated(RunOptions(instances=Instances(instance_type="ml.z9.huge")))
    assert spent(7200, estimate=unpriced, training_job=job(0, 3600)) == 0.0
