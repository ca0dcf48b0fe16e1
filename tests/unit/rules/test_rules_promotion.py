"""Whether a policy is deployed: gate, comparison by confidence intervals, and reasons in words."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.contracts.evaluation import EvaluationReport
from pipeline.contracts.request import EndpointRequest, Evaluation, RunOptions
from pipeline.rules.promotion import decide
from tests.fakes.artifact_archives import report

NO_GATE = RunOptions()
values = st.floats(-1e6, 1e6)
widths = st.floats(0, 1e3)


def gated(gate: float) -> RunOptions:
    return RunOptions(evaluation=Evaluation(min_mean_return=gate))


def judged(mean: float, width: float = 0.1) -> EvaluationReport:
    return report("run", mean, width)


@given(values, widths)
def test_a_first_policy_without_a_gate_is_deployed_however_good_it_is(mean: float, width: float) -> None:
    assert decide(NO_GATE, judged(mean, width), None).promote


@given(values, values)
def test_the_gate_is_held_to_the_number(mean: float, gate: float) -> None:
    assert decide(gated(gate), judged(mean), None).promote is (mean >= gate)


@given(values, widths, values, widths)
def test_only_a_policy_that_is_clearly_better_keeps_its_place(
    mean: float, width: float, old: float, old_width: float
) -> None:
    mine, theirs = judged(mean, width), judged(old, old_width)
    clearly_better = theirs.ci95_low > mine.ci95_high
    assert decide(NO_GATE, mine, theirs).promote is not clearly_better


@given(values, widths)
def test_a_policy_as_good_as_the_one_in_service_replaces_it(mean: float, width: float) -> None:
    assert decide(NO_GATE, judged(mean, width), judged(mean, width)).promote


def test_a_better_policy_still_has_to_reach_the_gate() -> None:
    assert not decide(gated(5), judged(4), judged(1)).promote


def test_nothing_is_deployed_against_the_request() -> None:
    decision = decide(RunOptions(endpoint=EndpointRequest(deploy=False)), judged(1e6), None)
    assert not decision.promote
    assert "endpoint.deploy" in decision.reasons[0]


def test_the_reasons_name_the_numbers() -> None:
    assert "0.5" in decide(gated(0.9), judged(0.5), None).reasons[0]
    assert "0.9" in decide(gated(0.9), judged(0.5), None).reasons[0]
    reasons = " ".join(decide(gated(0.4), judged(0.5), judged(0.45)).reasons)
    assert "reaches the gate 0.4" in reasons
    assert "not worse than the policy in service (0.45)" in reasons
    assert "0.7" in decide(NO_GATE, judged(0.1), judged(0.7)).reasons[0]
