"""Observations against a policy's spec: every shape that fits is taken, everything else is named."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.contracts.policy import ActionSpec, BehaviorSpec, ObservationSpec, PolicySpec
from pipeline.contracts.predict import PredictResponse
from pipeline.errors import InvalidObservationError, ModelError
from pipeline.rules.answers import Actions, NoAnswerError, read_actions, to_response
from pipeline.rules.observations import FLOAT32_MAX, Checked, check_question
from pipeline.rules.questions import read_question
from pipeline.rules.served import Spec, read_spec


def make_spec(
    *shapes: tuple[int, ...], branches: tuple[int, ...] = (), behaviors: tuple[str, ...] = ("Basic",)
) -> Spec:
    sensors = tuple(ObservationSpec(name=f"s{i}", shape=shape) for i, shape in enumerate(shapes))
    spec = PolicySpec(
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
    return read_spec(spec.model_dump_json().encode())


def full(shape, value=0.5):
    return value if not shape else [full(shape[1:], value) for _ in range(shape[0])]


def ask(spec, observations, **more) -> Checked:
    """As it comes over the wire: Python's JSON writes NaN and Infinity, and reads them."""
    return check_question(spec, read_question(json.loads(json.dumps({"observations": observations, **more}))))


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
def test_what_fits_is_taken_with_its_batch(data, sensor_shapes, batch_size, by_name):
    spec = make_spec(*sensor_shapes)
    whole = [shape if batch_size is None else (batch_size, *shape) for shape in sensor_shapes]
    sent = [data.draw(observations_of(shape)) for shape in whole]
    checked = ask(spec, {f"s{i}": value for i, value in enumerate(sent)} if by_name else sent)
    assert checked.batch_size == batch_size
    assert checked.agents == (batch_size or 1)


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
    assert ask(spec, {"s1": [1, 2], "s0": [0]}).batch_size is None
    assert "No observation of: 's1'" in refusal(spec, {"s0": [0]})
    assert "Unknown sensors: 'eye'" in refusal(spec, {"s0": [0], "s1": [1, 2], "eye": [1]})
    assert "2 sensors expected, 1 given" in refusal(spec, [[0]])


def test_sensors_must_agree_about_the_batch():
    said = refusal(make_spec((1,), (2,)), [[[0], [0]], [[1, 2]]])
    assert "s0 a batch of 2, s1 a batch of 1" in said
    assert "s1 one observation" in refusal(make_spec((1,), (2,)), [[[0]], [1, 2]])


def test_a_policy_of_several_behaviors_wants_one_named():
    spec = make_spec((1,), behaviors=("Striker", "Goalie"))
    assert ask(spec, [[0]], behavior="Goalie").agents == 1
    assert "Goalie, Striker" in refusal(spec, [[0]])
    assert "'Keeper'" in refusal(spec, [[0]], behavior="Keeper")


def test_masks_follow_the_batch_and_leave_every_branch_a_choice():
    spec = make_spec((1,), branches=(3, 2))
    assert ask(spec, [[0]], action_masks=[1, 0, 0, True, 0]).agents == 1
    assert ask(spec, [[[0], [0]]], action_masks=[[1, 1, 1, 1, 1], [0, 0, 1, 0, 1]]).agents == 2
    assert "branch 1" in refusal(spec, [[0]], action_masks=[1, 1, 1, 0, 0])
    assert "5 entries" in refusal(spec, [[0]], action_masks=[1, 1, 1, 1])
    assert "1 (allowed)" in refusal(spec, [[0]], action_masks=[1, 1, 1, 1, 2])
    assert "1 (allowed)" in refusal(spec, [[0]], action_masks=[1, 1, 1, 1, math.nan])
    assert "as many action masks" in refusal(spec, [[[0], [0]]], action_masks=[[1] * 5])
    assert "no discrete actions" in refusal(make_spec((1,)), [[0]], action_masks=[1])


@pytest.mark.parametrize(
    ("more", "remedy"),
    [
        ({"action_masks": [[1] * 5]}, "Send one mask for each agent."),
        ({"action_masks": [[1] * 4] * 2}, "Send the entries of one branch after the other; they have 3, 2."),
        ({"action_masks": [[2] * 5] * 2}, "Send 1 or 0."),
        ({"action_masks": [[0] * 5] * 2}, "Allow one choice at least in every branch."),
        ({"state": [None]}, "Send one token, or null, for each agent."),
    ],
)
def test_masks_and_states_have_remedies_of_their_own(more, remedy):
    with pytest.raises(InvalidObservationError) as refused:
        ask(make_spec((1,), branches=(3, 2)), [[[0], [0]]], **more)
    assert refused.value.remedy == remedy


@given(st.recursive(numbers | st.none() | st.booleans() | st.text(), lambda inner: st.lists(inner, max_size=3)))
def test_nothing_that_is_json_makes_the_check_itself_fail(value):
    spec = make_spec((2, 2), branches=(2,))
    for body in ({"observations": [[value]]}, {"observations": [[[0, 0], [0, 0]]], "action_masks": [value]}):
        question = read_question(body)
        try:
            check_question(spec, question)
        except InvalidObservationError:
            continue


def response(checked: Checked, actions: Actions) -> PredictResponse:
    """What is answered is what the contract says."""
    return PredictResponse.model_validate_json(json.dumps(to_response("basic", checked, actions)), strict=True)


def test_answers_have_the_form_of_the_question():
    spec = make_spec((1,), branches=(3,))
    one, two = ask(spec, [[0]]), ask(spec, [[[0], [1]]])
    single = response(one, read_actions(b'{"version":"r1","behavior":"Basic","continuous":[],"discrete":[2]}', one))
    assert single.action is not None
    assert (single.action.discrete, single.actions, single.version) == ((2,), None, "r1")
    several = b'{"version":"r1","behavior":"Basic","continuous":[[],[]],"discrete":[[2],[0]]}'
    answered = response(two, read_actions(several, two))
    assert answered.action is None
    assert [action.discrete for action in answered.actions or ()] == [(2,), (0,)]
    with pytest.raises(ModelError, match="to 3 observations"):
        response(Checked(3, wants_state=False), read_actions(several, two))
    with pytest.raises(ModelError, match="0 states to 2 agents"):
        response(Checked(2, wants_state=True), read_actions(several, two))


def test_states_are_answered_to_those_who_gave_one():
    batch = b'{"version":"v","behavior":"B","continuous":[[0.5],[1]],"discrete":[[],[]],"state":["a",null]}'
    single = b'{"version":"v","behavior":"B","continuous":[0.5],"discrete":[],"state":"a"}'
    for agents, answer, state in ((2, batch, ("a", None)), (None, single, "a")):
        for wanted in (True, False):
            checked = Checked(agents, wanted)
            assert response(checked, read_actions(answer, checked)).state == (state if wanted else None)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 1},
        {"behavior": None},
        {"continuous": None},
        {"continuous": 0.5},
        {"continuous": [None]},
        {"continuous": [True]},
        {"discrete": [0.5]},
        {"discrete": "none"},
        {"state": 1},
        {"state": {}},
    ],
)
@pytest.mark.parametrize("agents", [None, 1])
def test_what_no_server_answers_is_no_answer(change, agents):
    good = {"version": "v", "behavior": "B", "continuous": [0.5], "discrete": [1], "state": "token"}
    broken = good | change
    if agents:  # the same, with a batch axis
        good = good | {name: [good[name]] for name in ("continuous", "discrete", "state")}
        broken = good | {name: value if name in ("version", "behavior") else [value] for name, value in change.items()}
    read_actions(json.dumps(good).encode(), Checked(agents, wants_state=True))
    with pytest.raises(NoAnswerError):
        read_actions(json.dumps(broken).encode(), Checked(agents, wants_state=True))


@pytest.mark.parametrize("answer", [b"", b"<html>", b"[]", b"null", b"{}", b"\xff", b"{"])
def test_what_is_no_document_is_no_answer(answer):
    with pytest.raises(NoAnswerError):
        read_actions(answer, Checked(None, wants_state=False))
