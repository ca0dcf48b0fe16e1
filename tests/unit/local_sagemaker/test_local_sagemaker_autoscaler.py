"""How many instances follow from what an endpoint was asked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.sagemaker.autoscaler import IN_MINUTES, wanted_count
from local.sagemaker.clock import Clock
from local.sagemaker.demand import Demand

ASKED = st.lists(st.integers(0, 1000), min_size=IN_MINUTES, max_size=IN_MINUTES)
COUNTS = st.integers(1, 10)
TARGETS = st.floats(1, 500)


@pytest.mark.parametrize(
    ("asked", "count", "wanted"),
    [
        ([0] * 12 + [25, 25, 25], 1, 3),
        ([0] * 12 + [99, 9, 99], 1, 1),  # one minute within the target
        ([20] * 15, 2, 2),  # just right
        ([18] * 15, 2, 2),  # within a tenth
        ([9] * 15, 2, 1),
        ([0] * 14 + [9], 2, 2),  # a minute without data says nothing
        ([1] * 15, 1, 1),  # never none
    ],
)
def test_the_target_of_ten_a_minute_is_tracked(asked: list[int], count: int, wanted: int) -> None:
    assert wanted_count(asked, count, 10.0) == wanted


@given(ASKED, COUNTS, TARGETS)
def test_a_step_ends_what_called_for_it(asked: list[int], count: int, target: float) -> None:
    wanted = wanted_count(asked, count, target)
    if wanted > count:
        assert asked[-1] <= wanted * target
    if wanted < count:
        assert max(asked) <= wanted * target or wanted == 1
    if asked[-1] > 0 and len(set(asked)) == 1:
        assert wanted_count(asked, wanted, target) == wanted, "what stays the same calls for no second step"


def test_demand_is_counted_by_whole_minutes() -> None:
    clock = Clock()
    demand = Demand(clock)
    clock.advance(60 - clock.now() % 60)
    for times in (3, 0, 5):
        for _ in range(times):
            demand.count("e")
        clock.advance(60)
    demand.count("e")
    assert demand.of_last_minutes("e", 4) == [0, 3, 0, 5]
    assert demand.of_last_minutes("other", 2) == [0, 0]
    for _ in range(200):
        demand.count("e")
        clock.advance(60)
    assert demand.of_last_minutes("e", 3) == [1, 1, 1]
