"""Events that come twice, late, together or in another order, while calls go wrong: one run each, one job each."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from tests.fakes.fault_invariants import assert_whole, sweep_up
from tests.fakes.fault_scenarios import calls_of, packed_build
from tests.fakes.interleaving import execute_interleaved
from tests.fakes.pipeline_stack import PipelineStack, pipeline_stack
from tests.fakes.running_cloud import with_options

pytestmark = pytest.mark.timeout(1800)  # a dozen examples and more, each of several runs through the whole machine

KEYS = ("builds/Basic.zip", "builds/basic/again.zip", "builds/other.zip")
"""Two builds of one policy, and one of another."""

CALLS = calls_of("first run")
faults = st.lists(
    st.sampled_from([(call, kind) for call in CALLS.made for kind in CALLS.kinds(call)]),
    max_size=3,
    unique_by=lambda planned: planned[0],
)
deliveries = st.lists(st.integers(0, len(KEYS) - 1), min_size=2, max_size=5)


def deliver(stack: PipelineStack, order: list[int], data: st.DataObject) -> list[str]:
    build = with_options(packed_build(), {"evaluation": {"promote_if": "always"}})  # each run changes the endpoint
    puts = [stack.put(key, build) for key in KEYS]
    events: list[dict[str, Any]] = [puts[number] for number in order]

    return execute_interleaved(stack, events, lambda waiting: data.draw(st.permutations(waiting)))


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(order=deliveries, data=st.data())
def test_each_build_is_trained_once_however_often_and_in_whatever_order_it_is_told(
    order: list[int], data: st.DataObject
) -> None:
    with pipeline_stack() as stack:
        deliver(stack, order, data)
        records = stack.runs.list(limit=100).runs
        assert len(records) == len(set(order))
        assert len(stack.sagemaker.jobs) == 2 * len(records)
        assert {record.status.value for record in records} == {"SUCCEEDED"}
        assert stack.sagemaker.calls.count("CreateEndpoint") + stack.sagemaker.calls.count("UpdateEndpoint") == len(
            records
        )
        assert_whole(stack)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(order=deliveries, planned=faults, data=st.data())
def test_whatever_goes_wrong_meanwhile_nothing_is_lost_doubled_or_left_running(
    order: list[int], planned: list[tuple[Any, str]], data: st.DataObject
) -> None:
    with pipeline_stack() as stack:
        stack.faults.planned.update(planned)
        deliver(stack, order, data)
        sweep_up(stack)
        note(f"hit: {stack.faults.hit}")
        assert len(stack.runs.list(limit=100).runs) == len(set(order))
        assert_whole(stack)


@pytest.mark.parametrize("times", [2, 5])
def test_the_same_event_again_after_the_run_does_nothing(stack: PipelineStack, basic: bytes, times: int) -> None:
    event = stack.put("builds/Basic.zip", basic)
    stack.execute(event)
    calls = list(stack.sagemaker.calls)
    for _ in range(times):
        assert stack.execute(event)["states"][-1] == "DuplicateRun"
    assert stack.sagemaker.calls == calls
    assert_whole(stack)
