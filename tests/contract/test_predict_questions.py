"""Predict reads requests, and what is in service, in plain classes: as the contracts do, and as the container does."""

import json
import math
from base64 import b64encode
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.api.prediction import UnreadableBodyError, read_body
from pipeline.contracts import predict as contract
from pipeline.contracts.constants import JSON, LEAST_DIVISOR, MAX_DIMENSIONS, MSGPACK
from pipeline.contracts.policy import ActionSpec, BehaviorSpec, CurrentPolicy, ObservationSpec, PolicySpec
from pipeline.contracts.validation import InvalidDocumentError, read_document, read_object
from pipeline.rules.questions import Question
from pipeline.rules.served import read_current, read_spec
from pipeline.rules.tensors import Tensor
from rl_src.serving import codec
from rl_src.serving.tensors import to_array

TEXTS = st.text(max_size=6)
NUMBERS = (
    st.sampled_from([0, 1, -1, 1.0, True, math.nan, math.inf, 10**400, 2**63, LEAST_DIVISOR, LEAST_DIVISOR / 2, -0.0])
    | st.integers(-3, 300)
    | st.floats()
)
ANYTHING = st.recursive(
    st.none() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=6,
)
SIZES = st.lists(NUMBERS | st.integers(0, 3), max_size=MAX_DIMENSIONS + 1)
BASE64 = st.binary(max_size=6).map(lambda data: b64encode(data).decode())
TENSORS = st.fixed_dictionaries(
    {"dtype": st.sampled_from(["float32", "float16", "uint8", "int32"]) | ANYTHING, "shape": SIZES | ANYTHING},
    optional={"data": BASE64 | ANYTHING, "divisor": NUMBERS | ANYTHING, "scale": ANYTHING},
) | st.fixed_dictionaries(
    {"dtype": st.sampled_from(["float32", "uint8"]), "shape": st.lists(st.integers(0, 3), max_size=3), "data": BASE64},
    optional={"divisor": NUMBERS},
)
VALUES = st.lists(NUMBERS | st.lists(NUMBERS, max_size=2), max_size=3) | TENSORS | ANYTHING
REQUESTS = (
    st.fixed_dictionaries(
        {"observations": st.lists(VALUES, max_size=2) | st.dictionaries(TEXTS, VALUES, max_size=2)},
        optional={
            "behavior": st.none() | TEXTS | ANYTHING,
            "action_masks": st.none() | VALUES,
            "deterministic": st.booleans() | ANYTHING,
            "state": st.none() | TEXTS | st.lists(st.none() | TEXTS, max_size=2) | ANYTHING,
            "memory": ANYTHING,
        },
    )
    | ANYTHING
)


def plain(request: contract.PredictRequest) -> Question:
    """The contract's request in Predict's classes."""

    def values(value: Any) -> Any:
        return Tensor(**dict(value)) if isinstance(value, contract.Tensor) else value

    given = request.observations
    return Question(
        observations={name: values(one) for name, one in given.items()}
        if isinstance(given, dict)
        else [values(one) for one in given],
        behavior=request.behavior,
        action_masks=values(request.action_masks),
        state=request.state,
        wants_state=request.wants_state,
    )


def of_contract(document: object, media: str) -> Question | None:
    try:
        if media == JSON:
            return plain(read_document(contract.PredictRequest, json.dumps(document)))
        return plain(read_object(contract.PredictRequest, document))
    except InvalidDocumentError:
        return None


def of_predict(body: bytes, media: str) -> Question | None:
    try:
        return read_body(body, media)
    except UnreadableBodyError:
        return None


@given(REQUESTS)
@example({"observations": [[math.nan]]})
@example({"observations": []})
@example({"observations": {}, "state": None, "behavior": None, "action_masks": None})
@example({"observations": [], "deterministic": None})
@example({"observations": [], "deterministic": 1})
@example({"observations": [{"dtype": "uint8", "shape": [True], "data": ""}]})
@example({"observations": [{"dtype": "uint8", "shape": [1.0], "data": ""}]})
@example({"observations": [{"dtype": "uint8", "shape": [], "data": "A==="}]})
@example({"observations": [{"dtype": "uint8", "shape": [], "data": "é"}]})
@example({"observations": [{"dtype": "uint8", "shape": [], "data": "", "divisor": 10**400}]})
@example({"observations": [{"dtype": ["uint8"], "shape": [], "data": ""}]})
def test_predict_takes_of_json_what_the_contract_takes(document: object) -> None:
    found = of_predict(json.dumps(document).encode(), JSON)
    assert repr(found) == repr(of_contract(document, JSON))  # as text: NaN equals itself there


@given(REQUESTS)
@example({"observations": [{"dtype": "uint8", "shape": [1], "data": b"\0", "divisor": 2}]})
@example({"observations": [{"dtype": "uint8", "shape": [1], "data": [0]}]})
def test_predict_takes_of_message_pack_what_the_contract_takes(document: object) -> None:
    try:
        body = msgspec.msgpack.encode(document)
    except OverflowError:
        return  # an integer that the format has no room for
    assert repr(of_predict(body, MSGPACK)) == repr(of_contract(document, MSGPACK))


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, "{}".encode("utf-16"), b"\xef\xbb\xbf{}"])
def test_what_is_no_json_is_refused_with_words(body: bytes) -> None:
    assert of_predict(body, JSON) is None
    with pytest.raises(InvalidDocumentError, match="JSON"):
        read_document(contract.PredictRequest, body)


SHAPES = st.lists(st.integers(1, 3), min_size=1, max_size=3)
FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False) | st.integers(-(2**31), 2**31)


@given(st.data(), SHAPES, st.sampled_from([JSON, MSGPACK]), st.booleans())
def test_the_container_reads_of_the_same_body_what_was_asked(data: Any, shape: list[int], media: str, by_name: bool):
    """A body passes through as the caller sent it."""
    size = math.prod(shape)
    numbers = np.reshape(data.draw(st.lists(FLOATS, min_size=size, max_size=size)), shape).tolist()
    document = {"observations": {"Sensor": numbers} if by_name else [numbers], "behavior": "B", "state": None}
    body = json.dumps(document).encode() if media == JSON else msgspec.msgpack.encode(document)
    asked, invocation = read_body(body, media), codec.decode(body, media)
    assert asked.observations == invocation.observations
    (sensor,) = invocation.observations.values() if by_name else invocation.observations
    assert np.array_equal(to_array("Sensor", sensor), np.asarray(numbers, np.float32))
    assert (asked.behavior, asked.state, asked.wants_state) == (invocation.behavior, invocation.state, True)


@given(st.booleans(), st.text(), st.lists(SHAPES, min_size=1, max_size=3), st.lists(st.integers(1, 5), max_size=2))
def test_what_is_in_service_is_read_as_the_contracts_wrote_it(
    asleep: bool, name: str, shapes: list[list[int]], branches: list[int]
) -> None:
    current = CurrentPolicy(policy="basic", version="basic-1", endpoint_name=name, spec_key=name, asleep=asleep)
    assert vars(read_current(current.model_dump_json().encode())) == dict(current)
    sensors = tuple(ObservationSpec(name=f"{name}{i}", shape=tuple(shape)) for i, shape in enumerate(shapes))
    actions = ActionSpec(continuous_size=1, discrete_branches=tuple(branches))
    behavior = BehaviorSpec(name=name, onnx="x", observations=sensors, actions=actions, memory_size=len(shapes))
    spec = PolicySpec(policy="basic", version="basic-1", behaviors=(behavior, behavior))
    found = read_spec(spec.model_dump_json().encode())
    assert len(found.behaviors) == 2
    for one in found.behaviors:
        assert (one.name, one.branches, one.memory_size) == (name, tuple(branches), len(shapes))
        assert [(sensor.name, sensor.shape) for sensor in one.sensors] == [(one.name, one.shape) for one in sensors]
