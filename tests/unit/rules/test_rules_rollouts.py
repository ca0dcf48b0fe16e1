"""How an update of a real-time endpoint goes in."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.contracts.request import EndpointRequest
from pipeline.rules.rollouts import EXECUTION_SECONDS, MAX_BAKE_SECONDS, kept_count, rollout
from pipeline.settings import DeployEndpointSettings
from pipeline.steps.deployment import DEADLINE_SECONDS
from tests.fakes.expanded_template import source

COUNTS = st.integers(1, 10)
BAKES = st.integers(0, MAX_BAKE_SECONDS)


@given(COUNTS, BAKES)
def test_a_canary_is_never_more_than_half_of_the_new_fleet(count, bake):
    made = rollout(count, bake, ["a"])
    assert made.canary_instances <= count / 2
    assert (made.canary_instances == 0) == (count == 1)


@given(COUNTS, BAKES)
def test_it_is_over_before_sagemaker_or_we_give_up(count, bake):
    made = rollout(count, bake, [])
    steps = 2 if made.canary_instances else 1
    assert steps * made.bake_seconds + made.termination_seconds <= EXECUTION_SECONDS / 2 + made.termination_seconds
    assert EXECUTION_SECONDS < DEADLINE_SECONDS


def test_the_template_lets_it_bake_no_longer():
    assert source()["Parameters"]["BakeSeconds"]["MaxValue"] == MAX_BAKE_SECONDS
    (taken,) = DeployEndpointSettings.fields()["bake_seconds"].__metadata__
    assert taken == range(MAX_BAKE_SECONDS + 1)


@given(COUNTS, st.none() | COUNTS, st.none() | st.integers(1, 30))
def test_the_count_that_autoscaling_made_stays_where_the_request_allows_it(low, more, present):
    high = None if more is None else low + more
    hosting = EndpointRequest(mode="realtime", instance_count=low, max_instance_count=high)
    kept = kept_count(hosting, present)
    allowed = high is not None and present is not None and low <= present <= high
    assert kept == (present if allowed else None)
