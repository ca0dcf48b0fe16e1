"""The gate, and the comparison with what is in service."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.contracts.evaluation import (
    BehaviorComparison,
    BehaviorEvaluation,
    ComparisonResult,
    EvaluationReport,
    IncumbentComparison,
    PlayedEpisodes,
    ReturnDifference,
    ReturnStatistics,
)
from pipeline.contracts.request import EndpointRequest, Evaluation, RunOptions
from pipeline.rules.promotion import InService, decide

RETURNS = st.floats(-1e6, 1e6)


def report(mean: float, half_interval: float = 0.0) -> EvaluationReport:
    low, high = mean - half_interval, mean + half_interval
    statistics = PlayedEpisodes(
        episodes=10,
        mean_return=mean,
        std_return=0,
        min_return=low,
        max_return=high,
        ci95_low=low,
        ci95_high=high,
        mean_length=1,
    )
    return EvaluationReport(
        run_id="basic-1",
        seed=0,
        behaviors=(BehaviorEvaluation(behavior="Basic", deterministic=statistics),),
        mean_return=mean,
        ci95_low=low,
        ci95_high=high,
        wall_time_seconds=1,
    )


def gated(min_mean_return: float | None) -> RunOptions:
    return RunOptions(evaluation=Evaluation(min_mean_return=min_mean_return))


@given(RETURNS)
def test_the_first_policy_without_a_gate_is_deployed_whatever_it_is_worth(mean):
    decision = decide(RunOptions(), report(mean), None)
    assert decision.promote
    assert decision.reasons[-1] == "No policy is in service yet."


@given(RETURNS, RETURNS)
def test_the_gate_is_reached_by_what_is_not_below_it(mean, gate):
    decision = decide(gated(gate), report(mean), None)
    assert decision.promote == (mean >= gate)


def test_a_gate_of_zero_is_a_gate():
    decision = decide(gated(0.0), report(-0.5), None)
    assert not decision.promote
    assert decision.reasons == ("The mean return -0.5 is below evaluation.min_mean_return 0.",)


INCUMBENT = "basic-0123456789ab"
OTHER = "basic-ba9876543210"


def difference(low: float, mean: float, high: float) -> ReturnDifference:
    return ReturnDifference(mean=mean, ci95_low=low, ci95_high=high)


def compared(found: ReturnDifference, run_id: str = INCUMBENT) -> EvaluationReport:
    """A report whose job played the policy in service, too."""
    statistics = report(0.5).behaviors[0].deterministic
    incumbent = ReturnStatistics(**{name: getattr(statistics, name) for name in ReturnStatistics.model_fields})
    result = ComparisonResult(
        episodes=10,
        mean_return=0.5,
        ci95_low=0.5,
        ci95_high=0.5,
        difference=found,
        behaviors=(BehaviorComparison(behavior="Basic", incumbent=incumbent, difference=found),),
    )
    return report(0.9).model_copy(update={"incumbent": IncumbentComparison(run_id=run_id, result=result)})


def against(promote_if: str) -> RunOptions:
    return RunOptions(evaluation=Evaluation(promote_if=promote_if))


@given(st.tuples(RETURNS, RETURNS, RETURNS).map(sorted), st.sampled_from(["better", "not_worse", "always"]))
def test_what_counts_is_the_interval_of_the_difference(ends: list[float], promote_if: str) -> None:
    found = difference(*ends)
    decision = decide(against(promote_if), compared(found), InService(INCUMBENT, report(1e9)))
    rule = {"better": found.ci95_low > 0, "not_worse": found.ci95_high >= 0, "always": True}
    assert decision.promote == rule[promote_if]
    assert decision.compared_with == INCUMBENT
    assert decision.difference == (None if promote_if == "always" else found)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (difference(0.1, 0.2, 0.3), "better than the policy in service by 0.2 [0.1, 0.3]"),
        (difference(-0.3, -0.2, -0.1), "The policy in service is better: difference -0.2 [-0.3, -0.1]"),
        (difference(-0.1, 0.2, 0.5), "raise evaluation.episodes"),
        (difference(0.0, 0.0, 0.0), "say evaluation.promote_if = not_worse"),
    ],
)
def test_the_reason_says_by_how_much_and_what_would_help(found: ReturnDifference, words: str) -> None:
    decision = decide(RunOptions(), compared(found), InService(INCUMBENT, None))
    assert words in decision.reasons[-1]


def test_where_every_episode_is_alike_more_of_them_are_not_advised() -> None:
    decision = decide(RunOptions(), compared(difference(0.0, 0.0, 0.0)), InService(INCUMBENT, None))
    assert "evaluation.episodes" not in decision.reasons[0]


def test_a_policy_in_service_that_cannot_play_the_build_gives_way() -> None:
    incumbent = IncumbentComparison(run_id=INCUMBENT, not_comparable="the observations are others")
    candidate = report(-5).model_copy(update={"incumbent": incumbent})
    decision = decide(RunOptions(), candidate, InService(INCUMBENT, report(1)))
    assert decision.promote
    assert "the observations are others" in decision.reasons[-1]


@given(RETURNS, st.floats(0, 1e3), RETURNS, st.floats(0, 1e3))
def test_one_that_came_into_service_meanwhile_is_compared_by_its_own_evaluation(
    mean: float, half: float, other: float, other_half: float
) -> None:
    # The job has played another policy, and beaten it.
    candidate = compared(difference(1.0, 2.0, 3.0), run_id=OTHER).model_copy(
        update={"mean_return": mean, "ci95_low": mean - half, "ci95_high": mean + half}
    )
    in_service = InService(INCUMBENT, report(other, other_half))
    assert decide(RunOptions(), candidate, in_service).promote == (mean - half > other + other_half)
    assert decide(against("not_worse"), candidate, in_service).promote == (other - other_half <= mean + half)


def test_one_that_left_no_evaluation_gives_way() -> None:
    assert decide(RunOptions(), report(-1), InService(INCUMBENT, None)).promote


def test_the_gate_comes_before_the_comparison() -> None:
    options = RunOptions(evaluation=Evaluation(min_mean_return=1.0, promote_if="always"))
    decision = decide(options, compared(difference(1.0, 2.0, 3.0)), InService(INCUMBENT, None))
    assert not decision.promote
    assert "min_mean_return" in decision.reasons[0]


@pytest.mark.parametrize("in_service", [None, InService(INCUMBENT, report(-1))])
def test_a_request_may_forbid_deployment(in_service):
    options = RunOptions(endpoint=EndpointRequest(deploy=False))
    decision = decide(options, report(1), in_service)
    assert not decision.promote
    assert "endpoint.deploy" in decision.reasons[0]
