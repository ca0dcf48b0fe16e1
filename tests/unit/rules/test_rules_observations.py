"""Observations against a policy's spec: every shape that fits is taken, everything else is named."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.contracts.policy import ActionSpec, BehaviorSpec, ObservationSpec, PolicySpec
from pipeline.contracts.predict import InvocationRequest, InvocationResponse, PredictRequest
from pipeline.contracts.validation import read_document
from pipeline.errors import InvalidObservationError, ModelError
from pipeline.rules.observations import FLOAT32_MAX, check_request, to_response


def make_spec(*shapes: tuple[int, ...], branches: tuple[int, ...] = (), behaviors: tuple[str, ...] = ("Basic",)):
    sensors = tuple(ObservationSpec(name=f"s{i}", shape=shape) for i, shape in enumerate(shapes))
    return PolicySpec(
        policy="basic",
        version="r1",
        behaviors=tuple(
            BehaviorSpec(
                name=name,
                onnx=f"policies/{name}.onnx",
                observations=sensors,
                actions=ActionSpec(continuous_size=0 if branches else 2, discrete_branches=branches),
            )
            for name in behaviors
        ),
    )


def full(shape, value=0.5):
    return value if not shape else [full(shape[1:], value) for _ in range(shape[0])]


def ask(spec, observations, **more):
    """As it comes over the wire: Python's JSON writes NaN and Infinity, and the contract's reader lets them through."""
    request = read_document(PredictRequest, json.dumps({"observations": observations, **more}))
    return check_request(spec, request)


def refusal(spec, observations, **more) -> str:
    with pytest.raises(InvalidObservationError) as caught:
        ask(spec, observations, **more)
    return str(caught.value)


shapes = st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple)
numbers = st.floats(width=32, allow_nan=False, allow_infinity=False) | st.integers(-(2**31), 2**31)


@st.composite
def observations_of(draw, shape, values=numbers):
    return draw(values) if not shape else [draw(observations_of(shape[1:], values)) for _ in range(shape[0])]


@given(st.data(), st.lists(shapes, min_size=1, max_size=3), st.none() | st.integers(1, 3), st.booleans())
def test_what_fits_reaches_the_endpoint_unchanged(data, sensor_shapes, batch_size, by_name):
    spec = make_spec(*sensor_shapes)
    whole = [shape if batch_size is None else (batch_size, *shape) for shape in sensor_shapes]
    sent = [data.draw(observations_of(shape)) for shape in whole]
    checked = ask(spec, {f"s{i}": value for i, value in enumerate(sent)} if by_name else sent)
    assert checked.batch_size == batch_size
    assert checked.invocation.observations == (sent if batch_size else [[value] for value in sent])
    # what was put together without validation is valid
    assert InvocationRequest.model_validate_json(checked.invocation.model_dump_json()) == checked.invocation


@given(st.data(), shapes, st.none() | st.integers(1, 3))
def test_any_single_bad_value_is_found_and_located(data, shape, batch_size):
    whole = shape if batch_size is None else (batch_size, *shape)
    index = tuple(data.draw(st.integers(0, size - 1)) for size in whole)
    bad = data.draw(
        st.sampled_from([math.nan, math.inf, -math.inf, 1e39, -1e300, 10**400, True, "1", None, {}]), label="bad"
    )
    value = full(whole)
    row = value
    for position in index[:-1]:
        row = row[position]
    row[index[-1]] = bad
    said = refusal(make_spec(shape), [value])
    assert "'s0'" in said
    assert "".join(f"[{i}]" for i in index) in said or bad == {} or bad is None


@given(shapes, shapes, st.none() | st.integers(1, 3))
def test_any_other_shape_is_refused_with_both_shapes(expected, given_shape, batch_size):
    whole = given_shape if batch_size is None else (batch_size, *given_shape)
    if whole == expected or whole[1:] == expected:
        return
    said = refusal(make_spec(expected), [full(whole)])
    assert "'s0'" in said
    assert str(list(expected))[1:-1] in said or "at [" in said


def test_the_error_names_sensor_expected_and_given_shape():
    said = refusal(make_spec((20,)), {"s0": [0.0] * 19})
    assert "Sensor 's0': shape [20], or [N, 20] for a batch expected, [19] given." in said


def test_a_ragged_batch_is_located():
    assert "shape [3] expected at [1], [2] given" in refusal(make_spec((3,)), [[[1, 2, 3], [1, 2]]])


@pytest.mark.parametrize("value", [[], [[]]])
def test_an_empty_batch_is_refused(value):
    assert "given" in refusal(make_spec((3,)), [value])


def test_the_largest_float32_is_taken_and_the_next_double_is_not():
    spec = make_spec((1,))
    assert ask(spec, [[FLOAT32_MAX]]).batch_size is None
    assert "no finite 32-bit number" in refusal(spec, [[math.nextafter(FLOAT32_MAX, math.inf)]])


def test_large_values_whose_sum_overflows_no_double_are_taken():
    ask(make_spec((1000,)), [[FLOAT32_MAX] * 1000])


def test_sensors_by_name_may_come_in_any_order_but_must_all_come():
    spec = make_spec((1,), (2,))
    assert ask(spec, {"s1": [1, 2], "s0": [0]}).invocation.observations == [[[0]], [[1, 2]]]
    assert "No observation of: 's1'" in refusal(spec, {"s0": [0]})
    assert "Unknown sensors: 'eye'" in refusal(spec, {"s0": [0], "s1": [1, 2], "eye": [1]})
    assert "2 sensors expected, 1 given" in refusal(spec, [[0]])


def test_sensors_must_agree_about_the_batch():
    said = refusal(make_spec((1,), (2,)), [[[0], [0]], [[1, 2]]])
    assert "s0 a batch of 2, s1 a batch of 1" in said
    assert "s1 one observation" in refusal(make_spec((1,), (2,)), [[[0]], [1, 2]])


def test_a_policy_of_several_behaviors_wants_one_named():
    spec = make_spec((1,), behaviors=("Striker", "Goalie"))
    assert ask(spec, [[0]], behavior="Goalie").invocation.behavior == "Goalie"
    assert "Goalie, Striker" in refusal(spec, [[0]])
    assert "'Keeper'" in refusal(spec, [[0]], behavior="Keeper")


def test_masks_follow_the_batch_and_leave_every_branch_a_choice():
    spec = make_spec((1,), branches=(3, 2))
    assert ask(spec, [[0]], action_masks=[1, 0, 0, True, 0]).invocation.action_masks == [[1.0, 0.0, 0.0, 1.0, 0.0]]
    assert ask(spec, [[[0], [0]]], action_masks=[[1, 1, 1, 1, 1], [0, 0, 1, 0, 1]]).invocation.action_masks is not None
    assert "branch 1" in refusal(spec, [[0]], action_masks=[1, 1, 1, 0, 0])
    assert "5 entries" in refusal(spec, [[0]], action_masks=[1, 1, 1, 1])
    assert "1 (allowed)" in refusal(spec, [[0]], action_masks=[1, 1, 1, 1, 2])
    assert "1 (allowed)" in refusal(spec, [[0]], action_masks=[1, 1, 1, 1, math.nan])
    assert "as many action masks" in refusal(spec, [[[0], [0]]], action_masks=[[1] * 5])
    assert "no discrete actions" in refusal(make_spec((1,)), [[0]], action_masks=[1])


@given(st.recursive(numbers | st.none() | st.booleans() | st.text(), lambda inner: st.lists(inner, max_size=3)))
def test_nothing_that_is_json_makes_the_check_itself_fail(value):
    spec = make_spec((2, 2), branches=(2,))
    for body in ({"observations": [[value]]}, {"observations": [[[0, 0], [0, 0]]], "action_masks": [value]}):
        request = read_document(PredictRequest, json.dumps(body))
        try:
            check_request(spec, request)
        except InvalidObservationError:
            continue


def test_answers_have_the_form_of_the_question():
    spec = make_spec((1,), branches=(3,))
    one, two = ask(spec, [[0]]), ask(spec, [[[0], [1]]])
    answer = InvocationResponse(version="r1", behavior="Basic", continuous=[[]], discrete=[[2]])
    single = to_response("basic", one, answer)
    assert single.action is not None
    assert (single.action.discrete, single.actions, single.version) == ((2,), None, "r1")
    several = to_response("basic", two, answer.model_copy(update={"continuous": [[], []], "discrete": [[2], [0]]}))
    assert several.action is None
    assert [action.discrete for action in several.actions or ()] == [(2,), (0,)]
    with pytest.raises(ModelError, match="to 2 observations"):
        to_response("basic", two, answer)
