"""How a policy is to be served: what goes together, and for how long an endpoint may be idle."""

from datetime import timedelta
from typing import Any

import pytest

from pipeline.contracts.request import EndpointRequest, RunOptions
from pipeline.contracts.validation import InvalidDocumentError, read_document


@pytest.mark.parametrize(
    ("asked", "hours"),
    [
        ({"mode": "serverless"}, None),
        ({"mode": "realtime"}, 24),
        ({"mode": "serverless", "idle_ttl_hours": 2}, 2),
        ({"mode": "realtime", "idle_ttl_hours": 720}, 720),
        ({"mode": "realtime", "idle_ttl_hours": "never"}, None),
    ],
)
def test_an_idle_endpoint_that_costs_goes_after_a_day_unless_the_request_says_otherwise(asked: Any, hours: Any) -> None:
    assert EndpointRequest(**asked).idle_ttl == (None if hours is None else timedelta(hours=hours))


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"max_instance_count": 3}, "mode 'realtime'"),
        ({"mode": "realtime", "instance_count": 4, "max_instance_count": 3}, "at least instance_count, which is 4"),
        ({"idle_ttl_hours": 0}, "idle_ttl_hours"),
        ({"idle_ttl_hours": 721}, "idle_ttl_hours"),
        ({"idle_ttl_hours": "soon"}, "idle_ttl_hours"),
        ({"mode": "realtime", "max_latency_ms": 0}, "max_latency_ms"),
        ({"max_instance_cout": 2}, "max_instance_count"),
    ],
)
def test_what_does_not_go_together_is_refused_by_name(asked: Any, words: str) -> None:
    with pytest.raises(InvalidDocumentError) as caught:
        read_document(RunOptions, {"endpoint": asked})
    assert words in str(caught.value)


def test_scaling_is_asked_for_by_the_larger_number() -> None:
    assert not EndpointRequest(mode="realtime", instance_count=3).is_scaled
    assert EndpointRequest(mode="realtime", max_instance_count=1).is_scaled
