"""Every call that a run makes to AWS goes wrong once, in every way that it can, in every scenario."""

from collections.abc import Callable

import pytest

from tests.fakes.aws_refusals import UNKNOWN
from tests.fakes.fault_invariants import assert_whole, sweep_up, told_to_the_user
from tests.fakes.fault_scenarios import SCENARIOS, calls_of, run_dropped
from tests.fakes.faulty_clients import Call
from tests.fakes.pipeline_stack import PipelineStack

CASES = [
    (scenario, call, kind)
    for scenario in SCENARIOS
    for call in calls_of(scenario).made
    for kind in calls_of(scenario).kinds(call)
]

FOR_GOOD = {"access denied", "not found"}
"""May fail a run; the others pass, and are nothing that a run fails of."""
LEASE_IS_ANOTHERS = (Call("VerifyEndpoint", "dynamodb", "update_item", 0), "conflict")


@pytest.mark.parametrize(("scenario", "call", "kind"), CASES, ids=str)
def test_nothing_is_lost_doubled_or_left_running(
    stack: PipelineStack,
    basic: bytes,
    record_property: Callable[[str, object], None],
    scenario: str,
    call: Call,
    kind: str,
) -> None:
    build = SCENARIOS[scenario].prepare(stack, basic)
    stack.faults.planned[call] = kind
    run_dropped(stack, build)
    assert stack.faults.hit == [call]
    sweep_up(stack)
    outcome, words = told_to_the_user(stack)
    record_property("fault", (*_where(scenario, call, kind), outcome, words))
    assert_whole(stack)
    if kind not in FOR_GOOD and (call, kind) != LEASE_IS_ANOTHERS:
        assert outcome == SCENARIOS[scenario].outcome.value, words


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_what_is_left_out_has_a_reason(record_property: Callable[[str, object], None], scenario: str) -> None:
    made, left_out = calls_of(scenario)
    for (call, kind), why in left_out.items():
        assert call in made
        assert why != UNKNOWN, "say in aws_refusals what AWS answers"
        record_property("left out", (*_where(scenario, call, kind), why))


def _where(scenario: str, call: Call, kind: str) -> tuple[str, str, str, str]:
    return scenario, call.state, f"{call.service}.{call.operation}", kind
