"""The gate, and the comparison with what is in service."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.contracts.evaluation import BehaviorEvaluation, EvaluationReport, PlayedEpisodes
from pipeline.contracts.request import EndpointRequest, Evaluation, RunOptions
from pipeline.rules.promotion import decide

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


@given(RETURNS, st.floats(0, 1e3), RETURNS, st.floats(0, 1e3))
def test_only_a_policy_that_is_clearly_better_is_kept_in_service(mean, half, other, other_half):
    ours, theirs = report(mean, half), report(other, other_half)
    kept = not decide(RunOptions(), ours, theirs).promote
    assert kept == (other - other_half > mean + half)
    if kept:
        assert decide(RunOptions(), theirs, ours).promote, "of two, one can be deployed"


def test_the_reason_says_by_how_much_the_other_is_better():
    (reason,) = decide(RunOptions(), report(0.5, 0.1), report(0.9, 0.05)).reasons
    for figure in ("0.9 [0.85, 0.95]", "0.5 [0.4, 0.6]"):
        assert figure in reason


@pytest.mark.parametrize("in_service", [None, report(-1)])
def test_a_request_may_forbid_deployment(in_service):
    options = RunOptions(endpoint=EndpointRequest(deploy=False))
    decision = decide(options, report(1), in_service)
    assert not decision.promote
    assert "endpoint.deploy" in decision.reasons[0]
