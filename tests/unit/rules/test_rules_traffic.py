"""Periods of a window, and CloudWatch's numbers in them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.rules.traffic import STATISTICS, periods, told

NOW = datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)
WINDOWS = {"1h": timedelta(hours=1), "24h": timedelta(hours=24), "7d": timedelta(days=7)}


@pytest.mark.parametrize(("window", "seconds", "count"), [("1h", 60, 60), ("24h", 900, 96), ("7d", 7200, 84)])
def test_a_window_has_as_many_periods_as_a_chart_can_show(window, seconds, count):
    found = periods(window, NOW)
    assert (found.seconds, len(found.starts)) == (seconds, count)


@given(st.sampled_from(list(WINDOWS)), st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))
def test_periods_are_whole_follow_one_another_and_end_with_the_present_one(window, now):
    found = periods(window, now)
    assert found.starts[-1] <= now < found.end
    assert found.end - found.starts[0] == WINDOWS[window]
    assert all(int(start.timestamp()) % found.seconds == 0 for start in found.starts)
    assert {later - start for start, later in zip(found.starts, found.starts[1:], strict=False)} == {
        timedelta(seconds=found.seconds)
    }


def test_where_cloudwatch_has_nothing_nobody_asked():
    chosen = periods("1h", NOW)
    at, other = chosen.starts[-1], chosen.starts[0] - timedelta(minutes=1)
    found = told(
        "basic",
        "gamedojo-test-basic",
        "1h",
        chosen,
        {
            "invocations": {at: 3.0, other: 9.0},
            "errors_5xx": {at: 1.0},
            "latency_ms_mean": {at: 1234.5678},
        },
    )
    assert found.columns.keys() == STATISTICS.keys()
    assert found.columns["invocations"] == (*[0.0] * 59, 3.0)
    assert found.columns["errors_4xx"] == (0.0,) * 60
    assert found.columns["latency_ms_mean"] == (*[None] * 59, 1.235)
    assert found.columns["latency_ms_p99"] == (None,) * 60
    assert found.total.model_dump() == {"invocations": 3, "errors_4xx": 0, "errors_5xx": 1}
