"""Every call that a run makes to AWS goes wrong once, in every way, in every scenario."""

from collections.abc import Callable

import pytest

from tests.fakes.fault_invariants import assert_whole, sweep_up, told_to_the_user
from tests.fakes.fault_scenarios import SCENARIOS, calls_of
from tests.fakes.faulty_clients import KINDS, Call
from tests.fakes.pipeline_stack import PipelineStack

CASES = [(scenario, call, kind) for scenario in SCENARIOS for call in calls_of(scenario) for kind in KINDS]


@pytest.mark.parametrize(("scenario", "call", "kind"), CASES, ids=str)
def test_nothing_is_lost_doubled_or_left_running(
    stack: PipelineStack,
    basic: bytes,
    record_property: Callable[[str, object], None],
    scenario: str,
    call: Call,
    kind: str,
) -> None:
    prepare, _ = SCENARIOS[scenario]
    prepare(stack, basic)
    event = stack.put("builds/Basic.zip", basic)
    stack.faults.planned[call] = kind
    stack.execute(event)
    assert stack.faults.hit == [call]
    sweep_up(stack)
    where = (scenario, call.state, f"{call.service}.{call.operation}", kind)
    record_property("fault", (*where, *told_to_the_user(stack)))
    assert_whole(stack)
