"""Predict's call of the endpoint in the request's trace: what the X-Ray daemon hears on its socket."""

import json
import re
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pipeline.aws.traces import traced
from pipeline.errors import InvalidObservationError, ModelError, ThrottledError
from tests.fakes.control_stack import control_stack
from tests.fakes.runtime_endpoint import runtime_endpoint
from tests.integration.api.test_api_predict import ENDPOINT, ONE_HOT, call, go_right, serve

TRACE = "Root=1-67891233-abcdef012345678912345678;Parent=53995c3f42cd8ad8;Sampled=1;Lineage=1:a87bd80c:0"

Subsegments = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Iterator[Subsegments]:
    """Stands beside the function, as in Lambda; answers what it has heard since the last look."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.setblocking(False)
        monkeypatch.setenv("AWS_XRAY_DAEMON_ADDRESS", f"127.0.0.1:{listening.getsockname()[1]}")
        monkeypatch.setenv("AWS_REGION", "eu-central-1")
        monkeypatch.setenv("_X_AMZN_TRACE_ID", TRACE)

        def heard() -> list[dict[str, Any]]:
            found = []
            while True:
                try:
                    header, document = listening.recv(65_536).split(b"\n")
                except BlockingIOError:
                    return found
                assert json.loads(header) == {"format": "json", "version": 1}
                found.append(json.loads(document))

        yield heard


def ask(endpoint_name: str, body: bytes, media: str, answer_media: str) -> bytes:
    return b"|".join((endpoint_name.encode(), body, media.encode(), answer_media.encode()))


def test_the_call_is_a_subsegment_of_the_functions_own_segment(daemon: Subsegments) -> None:
    assert traced(ask)("gamedojo-test-basic", b"body", "a", "b") == b"gamedojo-test-basic|body|a|b"
    (told,) = daemon()
    assert re.fullmatch(r"[0-9a-f]{16}", told.pop("id"))
    assert told.pop("start_time") <= told.pop("end_time")
    assert told == {
        "type": "subsegment",
        "trace_id": "1-67891233-abcdef012345678912345678",
        "parent_id": "53995c3f42cd8ad8",
        "name": "runtime.sagemaker",
        "namespace": "aws",
        "aws": {"operation": "InvokeEndpoint", "region": "eu-central-1"},
        "annotations": {"endpoint": "gamedojo-test-basic"},
    }


def test_each_call_is_one_of_its_own(daemon: Subsegments) -> None:
    for _ in range(3):
        traced(ask)("e", b"", "", "")
    assert len({one["id"] for one in daemon()}) == 3


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ModelError("the container failed"), {"fault": True}),
        (RuntimeError("nobody foresaw it"), {"fault": True}),
        (InvalidObservationError("the caller's"), {"error": True}),
        (ThrottledError("too many"), {"error": True, "throttle": True}),
    ],
)
def test_a_call_that_fails_is_told_with_whose_fault_it_was(
    daemon: Subsegments, error: Exception, outcome: dict[str, bool]
) -> None:
    def failing(*_: Any) -> bytes:
        raise error

    with pytest.raises(type(error)):
        traced(failing)("e", b"", "", "")
    (told,) = daemon()
    assert {name: told[name] for name in ("error", "throttle", "fault") if name in told} == outcome


@pytest.mark.parametrize("trace", ["", TRACE.replace("Sampled=1", "Sampled=0"), "Sampled=1", "nonsense"])
def test_nothing_is_told_of_a_request_that_is_not_sampled(
    daemon: Subsegments, monkeypatch: pytest.MonkeyPatch, trace: str
) -> None:
    monkeypatch.setenv("_X_AMZN_TRACE_ID", trace)
    assert traced(ask)("e", b"", "", "") == b"e|||"
    assert daemon() == []


@pytest.mark.parametrize("address", ["", "127.0.0.1:1", "203.0.113.1:2000"])
def test_no_daemon_no_harm(daemon: Subsegments, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("AWS_XRAY_DAEMON_ADDRESS", address)
    for _ in range(3):
        assert traced(ask)("e", b"", "", "") == b"e|||"


def test_a_prediction_is_traced_to_its_endpoint_and_hands_the_trace_on(
    daemon: Subsegments, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "predict")
    with runtime_endpoint() as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", endpoint.url)
        endpoint.respond = go_right()
        with control_stack() as stack:
            serve(stack, "basic-0001")
            answer = call({"observations": [ONE_HOT]})
    assert answer["statusCode"] == 200, answer["body"]
    (told,) = daemon()
    assert (told["annotations"], told["parent_id"]) == ({"endpoint": ENDPOINT}, "53995c3f42cd8ad8")
    assert "observations" not in json.dumps(told), "nothing of what is asked"
    assert endpoint.traces == [TRACE]
