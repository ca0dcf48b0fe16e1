"""Whatever is sent to predict, it is answered: with actions, or with a problem that has a code, and never by a 5xx.

Between handler and endpoint nothing is fake but SageMaker itself: the inference server's own code answers.
"""

import json
import math
from base64 import b64encode
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipeline.api.codes import all_codes
from pipeline.api.prediction import MAX_ANSWER_BYTES
from pipeline.api.predictor import MAX_REQUEST_BYTES
from pipeline.contracts.constants import MSGPACK
from pipeline.contracts.predict import PredictResponse
from pipeline.contracts.problem import Problem
from predict.app import handler
from tests.fakes.control_stack import LambdaContext, control_stack, sample_event
from tests.fakes.runtime_endpoint import runtime_endpoint
from tests.integration.api.test_api_predict_served import PICTURE, deploy

CODES = {(one.code, int(one.status)) for one in all_codes()}
LAMBDA_ANSWER_BYTES = 6_291_556
"""What Lambda says of an answer that is larger: "Response payload size exceeded maximum allowed payload size"."""
QUICK = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)

ODD_NUMBERS = st.sampled_from(
    [math.nan, math.inf, -math.inf, 1e39, -1e39, 3.5e38, 5e-324, -0.0, 2**63, -(2**63), 10**400, 0, 1, True, 0.5]
)
NUMBERS = ODD_NUMBERS | st.integers() | st.floats(width=32)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
LISTS = st.integers(0, 4).flatmap(lambda size: st.lists(NUMBERS, min_size=size, max_size=size))
TENSORS = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["float32", "float16", "uint8", "int32", "float64", "", None]),
        "shape": st.lists(st.integers(-1, 4) | st.sampled_from([2**31, 2**63]), max_size=9) | JSON_VALUES,
        "data": st.binary(max_size=24).map(lambda data: b64encode(data).decode()) | st.text(max_size=8) | JSON_VALUES,
    },
    optional={"divisor": NUMBERS, "scale": NUMBERS},
)
SENSORS = LISTS | st.lists(LISTS, max_size=3) | TENSORS | JSON_VALUES
REQUESTS = st.fixed_dictionaries(
    {
        "observations": st.lists(SENSORS, max_size=2)
        | st.dictionaries(st.sampled_from(["Sensor", "x"]), SENSORS, max_size=2)
    },
    optional={
        "behavior": st.sampled_from(["Sums", "Chooses", "Sees", "", "x", None, 1]),
        "action_masks": SENSORS,
        "deterministic": st.booleans() | JSON_VALUES,
        "state": st.none()
        | st.text(max_size=20)
        | st.lists(st.none() | st.text(max_size=20), max_size=3)
        | JSON_VALUES,
        "memory": JSON_VALUES,
    },
)


@pytest.fixture(scope="module", autouse=True)
def _served(tmp_path_factory):
    with runtime_endpoint() as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", server.url)
        with control_stack() as made:
            deploy(made, server, tmp_path_factory.mktemp("game"), "game-1")
            yield


def send(body: bytes | str, content_type: str = "application/json", accept: str = "*/*") -> dict[str, Any]:
    event = sample_event("predict/post_predict") | {"pathParameters": {"policy": "game"}}
    event["headers"] = {"Content-Type": content_type, "Accept": accept}
    binary = isinstance(body, bytes)
    event |= {"body": b64encode(body).decode() if isinstance(body, bytes) else body, "isBase64Encoded": binary}
    return handler(event, LambdaContext())


def check(answer: dict[str, Any]) -> int:
    status = answer["statusCode"]
    if status == 200:
        if not answer.get("isBase64Encoded"):
            PredictResponse.model_validate_json(answer["body"])
        return 200
    found = Problem.model_validate_json(answer["body"], strict=True)
    assert (found.code, status) in CODES
    assert status < 500, found
    assert found.remedy
    assert "Traceback" not in answer["body"]
    assert len(answer["body"]) < 20_000
    return int(status)


@QUICK
@given(REQUESTS)
@example({"observations": [[math.nan, 1]], "behavior": "Sums"})
@example({"observations": [[10**400, 1]], "behavior": "Sums"})
@example({"observations": [[True, False]], "behavior": "Sums"})
@example({"observations": [], "behavior": "Sums"})
@example({"observations": [[]], "behavior": "Sums"})
@example({"observations": [[[]]], "behavior": "Sums", "state": []})
@example({"observations": [[[1, 2], [1]]], "behavior": "Sums"})
@example({"observations": [[[1, 2], 1]], "behavior": "Sums"})
@example({"observations": [["1", "2"]], "behavior": "Sums"})
@example({"observations": [[None, None]], "behavior": "Sums"})
@example({"observations": [{"dtype": "float32", "shape": [2], "data": "AACAfwAAgP8="}], "behavior": "Sums"})
@example({"observations": [{"dtype": "uint8", "shape": [2], "data": "//8=", "divisor": 5e-324}], "behavior": "Sums"})
@example({"observations": [{"dtype": "uint8", "shape": [2, 0], "data": ""}], "behavior": "Sums"})
def test_any_request_in_json(request_):
    check(send(json.dumps(request_)))


@QUICK
@given(REQUESTS | JSON_VALUES, st.sampled_from([MSGPACK, "*/*"]))
def test_any_request_in_message_pack(request_, accept):
    try:
        body = msgspec.msgpack.encode(request_)
    except OverflowError:
        return  # an integer that the format has no room for
    check(send(body, MSGPACK, accept))


@QUICK
@given(st.binary(max_size=60), st.sampled_from(["application/json", MSGPACK, "", "image/png"]))
@example(b"\xff\xfe{}", "application/json")
@example(b'{"observations": [["\xc3\x28"]]}', "application/json")
@example("{}".encode("utf-16"), "application/json")
def test_any_bytes(body, content_type):
    assert check(send(body, content_type)) in {400, 415}


@QUICK
@given(st.text(max_size=60) | JSON_VALUES.map(json.dumps))
@example("\ud800")
@example('{"observations": [[NaN, Infinity]], "behavior": "Sums"}')
@example('{"observations": [[1e999, 1]], "behavior": "Sums"}')
@example('{"observations": [[1, 1]], "observations": 1}')
@example('{"observations": [[1, 1]], "behavior": "\\ud800"}')
@example('{"observations": {"\\ud800": [1, 1]}, "behavior": "Sums"}')
@example('{"observations": [[1, 1]], "behavior": "Sums", "state": "\\ud800"}')
@example('{"observations": [["\\ud800", 1]], "behavior": "Sums"}')
def test_any_text(body):
    assert check(send(body)) == 400


@pytest.mark.parametrize("opening", ["[", '{"observations":', '{"observations":[' + "[" * 50, '{"a":{"b":'])
@pytest.mark.parametrize("times", [100, 100_000])
def test_json_of_any_depth(opening, times):
    assert check(send((opening * times)[:MAX_REQUEST_BYTES])) == 400


@pytest.mark.parametrize("depth", [1, 3, 4, 60, 900])
def test_observations_of_any_depth(depth):
    body = json.dumps({"behavior": "Sums", "observations": ["X"]}).replace('"X"', "[" * depth + "1" + "]" * depth)
    assert check(send(body)) == 400


def filled(size: int) -> str:
    """A good request of so many bytes."""
    start, end = '{"behavior":"Sees","observations":[[', "]]}"
    agent = json.dumps(np.full(PICTURE, 0.125).tolist(), separators=(",", ":"))
    count = (size - len(start) - len(end) + 1) // (len(agent) + 1)
    text = start + ",".join([agent] * count) + end
    return text + " " * (size - len(text))


def test_three_mebibytes_are_taken_and_one_byte_more_is_not():
    assert check(send(filled(MAX_REQUEST_BYTES))) == 200
    answer = send(filled(MAX_REQUEST_BYTES) + " ")
    assert check(answer) == 413
    assert json.loads(answer["body"])["code"] == "RequestTooLarge"


@pytest.mark.parametrize("size", [6 * 1024**2, 6 * 1024**2 + 1, LAMBDA_ANSWER_BYTES + 1])
@pytest.mark.parametrize("media", ["application/json", MSGPACK])
def test_what_is_larger_by_far_is_refused_without_a_look(size, media):
    body = b"\xff" * size
    answer = send(body, media)
    assert check(answer) == 413
    assert str(size) in json.loads(answer["body"])["detail"]


def test_an_answer_that_no_lambda_can_give_is_told():
    count = 300_000
    body = '{"behavior":"Sums","observations":[[' + ",".join(["[9e9,9e9]"] * count) + "]]}"
    assert len(body) < MAX_REQUEST_BYTES
    answer = send(body)
    assert check(answer) == 400
    found = json.loads(answer["body"])
    assert f"{MAX_ANSWER_BYTES} can be answered" in found["detail"]
    assert found["remedy"] == "Ask for fewer agents at once."


def test_the_largest_answer_fits_into_what_a_lambda_may_answer():
    def ask(count: int) -> dict[str, Any]:
        return send('{"behavior":"Chooses","observations":[[' + ",".join(["[0,9,0]"] * count) + "]]}")

    bytes_of_two = len(json.dumps(ask(2))) - len(json.dumps(ask(1)))
    most = MAX_ANSWER_BYTES // bytes_of_two
    largest = next(answer for count in range(most, 0, -1) if (answer := ask(count))["statusCode"] == 200)
    assert MAX_ANSWER_BYTES - 2000 < len(json.dumps(largest)) <= LAMBDA_ANSWER_BYTES
    assert ask(most + most // 50)["statusCode"] == 400


def test_three_mebibytes_of_message_pack_are_taken_and_one_byte_more_is_not():
    count = (MAX_REQUEST_BYTES - 100) // 8
    sensor = {"dtype": "float32", "shape": [count, 2], "data": np.ones((count, 2), "<f4").tobytes()}
    assert check(send(msgspec.msgpack.encode({"behavior": "Sums", "observations": [sensor]}), MSGPACK, MSGPACK)) == 200
    assert check(send(bytes(MAX_REQUEST_BYTES + 1), MSGPACK, MSGPACK)) == 413


def test_a_million_numbers_in_lists_of_message_pack_are_refused_by_their_shape():
    body = msgspec.msgpack.encode({"behavior": "Sums", "observations": [[1] * 1_000_000]})
    assert check(send(body, MSGPACK)) == 400


@pytest.mark.parametrize("policy", ["", "..", "a/b", "Game", "é", "\x00", "x" * 1000, "game "])
def test_any_name_of_a_policy(policy):
    event = sample_event("predict/post_predict") | {"pathParameters": {"policy": policy}}
    assert check(handler(event, LambdaContext())) == 404


@pytest.mark.parametrize(
    "change", [{"headers": None}, {"body": None}, {"pathParameters": {"policy": "game"}, "headers": {}}]
)
def test_an_event_with_little_in_it(change):
    check(handler(sample_event("predict/post_predict") | change, LambdaContext()))
