"""The Predict handler before the inference server's own code: states, tensors, MessagePack, several behaviors."""

import json
from base64 import b64decode, b64encode

import msgspec
import numpy as np
import pytest

from pipeline.contracts.constants import MSGPACK
from pipeline.contracts.policy import ActionSpec, BehaviorSpec, CurrentPolicy, ObservationSpec, PolicySpec
from pipeline.contracts.predict import PredictResponse
from pipeline.contracts.problem import Problem
from predict.app import handler
from tests.fakes.control_stack import LambdaContext, control_stack, forget_handlers, sample_event
from tests.fakes.onnx_policies import write_linear_policy, write_manifest, write_scaling_policy, write_summing_policy
from tests.fakes.runtime_endpoint import runtime_endpoint
from tests.fakes.served_endpoint import serve_artifact

PICTURE = (3, 8, 8)
BEHAVIORS = {"Sums": (2,), "Chooses": (3,), "Sees": PICTURE}
"""Remembers the sum of its observations, which is its action; takes the largest of three; answers half of a picture."""


def behavior(name: str, shape: tuple[int, ...], memory_size: int = 0, **actions) -> BehaviorSpec:
    sensor = ObservationSpec(name="Sensor", shape=shape)
    return BehaviorSpec(
        name=name,
        onnx=f"policies/{name}.onnx",
        observations=(sensor,),
        actions=ActionSpec(**actions),
        memory_size=memory_size,
    )


def spec(version: str) -> PolicySpec:
    behaviors = (
        behavior("Sums", (2,), memory_size=2, continuous_size=2),
        behavior("Chooses", (3,), discrete_branches=(3,)),
        behavior("Sees", PICTURE, continuous_size=192),
    )
    return PolicySpec(policy="game", version=version, behaviors=behaviors)


def deploy(stack, endpoint, folder, version: str) -> None:
    write_summing_policy(folder / "policies" / "Sums.onnx", size=2)
    write_linear_policy(folder / "policies" / "Chooses.onnx", np.eye(3, dtype=np.float32))
    write_scaling_policy(folder / "policies" / "Sees.onnx", 0.5, PICTURE)
    serve_artifact(endpoint, write_manifest(folder, BEHAVIORS, version))
    key = f"policies/game/{version}/policy_spec.json"
    stack.put_document(key, spec(version))
    current = CurrentPolicy(policy="game", version=version, endpoint_name="gamedojo-test-game", spec_key=key)
    stack.put_document("policies/game/current.json", current)
    forget_handlers()


@pytest.fixture(scope="module")
def endpoint():
    with runtime_endpoint() as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", server.url)
        yield server


@pytest.fixture(scope="module")
def stack(endpoint, tmp_path_factory):
    with control_stack() as made:
        deploy(made, endpoint, tmp_path_factory.mktemp("game"), "game-1")
        yield made


def send(body, content_type="application/json", accept="application/json"):
    event = sample_event("predict/post_predict") | {"pathParameters": {"policy": "game"}}
    event["headers"] = {"content-type": content_type, "ACCEPT": accept}  # any case is one header
    if isinstance(body, bytes):
        event |= {"body": b64encode(body).decode(), "isBase64Encoded": True}
    else:
        event["body"] = json.dumps(body)
    return handler(event, LambdaContext())


def actions(answer) -> PredictResponse:
    assert answer["statusCode"] == 200, answer["body"]
    assert not answer.get("isBase64Encoded")
    return PredictResponse.model_validate_json(answer["body"])


def problem(answer, status) -> Problem:
    assert answer["statusCode"] == status, answer["body"]
    return Problem.model_validate_json(answer["body"], strict=True)


def tensor(array, **more) -> dict:
    return {"dtype": array.dtype.name, "shape": list(array.shape), "data": array.tobytes()} | more


def in_json(one: dict) -> dict:
    return one | {"data": b64encode(one["data"]).decode()}


@pytest.fixture(autouse=True)
def _served(stack):
    """Every test asks the same stack."""


# ── memory ──


def test_a_state_that_is_handed_back_is_the_memory_of_all_observations_before():
    state = None
    total = np.zeros(2, np.float32)
    for step in range(1, 6):
        observation = [float(step), -0.25 * step]
        answer = actions(send({"behavior": "Sums", "observations": [observation], "state": state}))
        total += np.asarray(observation, np.float32)
        assert answer.action is not None
        assert answer.action.continuous == tuple(total)
        state = answer.state
        assert isinstance(state, str)


def test_each_agent_of_a_batch_has_a_state_of_its_own_and_null_begins_anew():
    first = actions(send({"behavior": "Sums", "observations": [[[1, 1], [5, 5]]], "state": None}))
    assert isinstance(first.state, tuple)
    states = [first.state[0], None]
    second = actions(send({"behavior": "Sums", "observations": [[[1, 1], [5, 5]]], "state": states}))
    assert second.actions is not None
    assert [one.continuous for one in second.actions] == [(2.0, 2.0), (5.0, 5.0)]


def test_without_a_state_nothing_is_remembered_and_none_is_answered():
    answer = json.loads(send({"behavior": "Sums", "observations": [[3, 4]]})["body"])
    assert answer["action"]["continuous"] == [3, 4]
    assert "state" not in answer


def test_a_behavior_without_memory_answers_a_null_state_with_nothing():
    answer = actions(send({"behavior": "Chooses", "observations": [[0, 1, 0]], "state": None}))
    assert answer.action is not None
    assert (answer.action.discrete, answer.state) == ((1,), None)


@pytest.mark.parametrize(
    ("observations", "state", "said"),
    [
        ([[1, 1]], ["a"], "`state` is a list"),
        ([[[1, 1]]], "a", "`state` is one token"),
        ([[[1, 1]]], ["a", "b"], "1 observations need as many states, 2 given"),
    ],
)
def test_states_that_do_not_fit_the_batch_ask_no_endpoint(endpoint, observations, state, said):
    before = len(endpoint.requests)
    found = problem(send({"behavior": "Sums", "observations": observations, "state": state}), 400)
    assert found.code == "InvalidObservation"
    assert said in found.detail
    assert len(endpoint.requests) == before


def test_a_token_for_a_behavior_without_memory_is_refused_by_name():
    found = problem(send({"behavior": "Chooses", "observations": [[0, 1, 0]], "state": "abc"}), 400)
    assert "'Chooses' has no memory" in found.detail


@pytest.mark.parametrize("token", ["", "abc", "é", "AAAA", "A" * 3000])
def test_a_token_that_is_none_is_the_callers_fault(token):
    found = problem(send({"behavior": "Sums", "observations": [[1, 1]], "state": token}), 400)
    assert found.code in {"InvalidObservation", "StaleState"}


def test_a_state_of_another_version_is_stale_and_says_what_to_do(stack, endpoint, tmp_path):
    state = actions(send({"behavior": "Sums", "observations": [[1, 1]], "state": None})).state
    deploy(stack, endpoint, tmp_path, "game-2")
    found = problem(send({"behavior": "Sums", "observations": [[1, 1]], "state": state}), 400)
    assert found.code == "StaleState"
    assert "null" in found.remedy
    assert actions(send({"behavior": "Sums", "observations": [[1, 1]], "state": None})).version == "game-2"


# ── tensors and MessagePack ──


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.uint8, np.int32])
@pytest.mark.parametrize("batch", [(), (1,), (3,)])
def test_a_tensor_says_the_same_in_json_as_a_list(dtype, batch):
    array = (np.arange(np.prod((*batch, 3)), dtype=np.float64) % 5).astype(dtype).reshape(*batch, 3)
    listed = send({"behavior": "Chooses", "observations": [array.tolist()]})
    given = send({"behavior": "Chooses", "observations": {"Sensor": in_json(tensor(array))}})
    assert actions(given) == actions(listed)


def test_a_picture_of_bytes_is_divided():
    picture = np.arange(192, dtype=np.uint8).reshape(PICTURE)
    answer = actions(send({"behavior": "Sees", "observations": [in_json(tensor(picture, divisor=255.0))]}))
    assert answer.action is not None
    assert np.allclose(answer.action.continuous, picture.reshape(-1) / 255 / 2, rtol=1e-6)


def test_message_pack_passes_through_as_it_is(endpoint):
    body = msgspec.msgpack.encode({"behavior": "Sees", "observations": [tensor(np.ones(PICTURE, np.float32))]})
    answer = send(body, MSGPACK, f"{MSGPACK}, application/json;q=0.5")
    assert answer["statusCode"] == 200, answer["body"]
    assert answer["isBase64Encoded"] is True
    assert answer["headers"]["Content-Type"] == MSGPACK
    document = msgspec.msgpack.decode(b64decode(answer["body"]))
    assert np.frombuffer(document["continuous"]["data"], "<f4").tolist() == [0.5] * 192
    assert endpoint.requests[-1][1] == body
    assert endpoint.media[-1] == (MSGPACK, MSGPACK)


@pytest.mark.parametrize("batch", [(), (2,)])
@pytest.mark.parametrize("content_type", [MSGPACK, "application/x-msgpack", "application/vnd.msgpack; v=1"])
def test_message_pack_is_answered_in_json_unless_it_is_asked_for(content_type, batch):
    array = np.broadcast_to(np.asarray([1, 2], np.float32), (*batch, 2)).copy()
    document = {"behavior": "Sums", "observations": [tensor(array)], "state": None}
    answer = actions(send(msgspec.msgpack.encode(document), content_type, "*/*"))
    found = answer.actions if batch else (answer.action,)
    assert found is not None
    assert [one.continuous for one in found if one] == [(1.0, 2.0)] * (batch[0] if batch else 1)
    again = document | {"state": list(answer.state) if batch else answer.state}
    assert actions(send(msgspec.msgpack.encode(again), content_type)).state not in (None, answer.state)


def test_json_is_answered_in_message_pack_if_it_is_asked_for():
    answer = send({"behavior": "Chooses", "observations": [[0, 0, 1]]}, accept=MSGPACK)
    document = msgspec.msgpack.decode(b64decode(answer["body"]))
    assert np.frombuffer(document["discrete"]["data"], "<i4").tolist() == [2]


@pytest.mark.parametrize(
    ("observation", "said"),
    [
        (tensor(np.zeros(4, np.float32)), "shape [3], or [N, 3] for a batch expected, [4] given"),
        (tensor(np.zeros((0, 3), np.float32)), "[0, 3] given"),
        (tensor(np.zeros(3, np.float32)) | {"data": b"123"}, "takes 12 bytes, 3 given"),
        (tensor(np.asarray([0, np.nan, 0], np.float32)), "no finite number"),
        (tensor(np.asarray([0, np.inf, -np.inf], np.float16)), "no finite number"),
        (tensor(np.zeros(3, np.float32)) | {"shape": []}, "[] given"),
    ],
)
@pytest.mark.parametrize("form", ["json", "msgpack"])
def test_a_tensor_that_does_not_fit_is_refused_by_its_sensor_before_the_endpoint(endpoint, observation, said, form):
    before = len(endpoint.requests)
    if form == "json":
        answer = send({"behavior": "Chooses", "observations": [in_json(observation)]})
    else:
        body = msgspec.msgpack.encode({"behavior": "Chooses", "observations": [observation]})
        answer = send(body, MSGPACK, MSGPACK)
    found = problem(answer, 400)
    assert found.code == "InvalidObservation"
    assert "Sensor" in found.detail
    assert said in found.detail
    assert len(endpoint.requests) == before


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"dtype": "float64"}, "observations.0.dtype"),
        ({"shape": [-1]}, "observations.0.shape.0"),
        ({"shape": [1] * 9}, "observations.0.shape"),
        ({"data": "%"}, "observations.0.data"),
        ({"divisor": 0}, "observations.0.divisor"),
        ({"scale": 2}, "observations.0.scale"),
    ],
)
def test_a_tensor_that_is_none_is_named_by_its_field(change, field):
    given = in_json(tensor(np.zeros(3, np.float32))) | change
    found = problem(send({"behavior": "Chooses", "observations": [given]}), 400)
    assert [one.field for one in found.errors] == [field]


def test_masks_may_be_a_tensor():
    mask = tensor(np.asarray([[1, 1, 0], [0, 1, 1]], np.uint8))
    body = {"behavior": "Chooses", "observations": [[[0, 0, 9], [9, 0, 0]]], "action_masks": in_json(mask)}
    answer = actions(send(body))
    assert answer.actions is not None
    assert [one.discrete for one in answer.actions] == [(0,), (1,)]


@pytest.mark.parametrize("content_type", ["text/html", "image/png", "application/xml; charset=utf-8"])
def test_another_format_is_refused(content_type):
    assert problem(send(b"x", content_type), 415).code == "UnsupportedMediaType"


@pytest.mark.parametrize("content_type", ["", "text/plain;charset=UTF-8", "application/x-www-form-urlencoded"])
def test_what_curl_and_browsers_say_of_json_is_json(content_type):
    assert actions(send({"behavior": "Chooses", "observations": [[1, 0, 0]]}, content_type)).action


def test_several_behaviors_need_a_name_and_the_refusal_lists_them():
    found = problem(send({"observations": [[1, 0, 0]]}), 400)
    assert "Chooses, Sees, Sums" in found.remedy


def test_sampled_actions_are_others():
    likeliest, sampled = (
        actions(send({"behavior": "Chooses", "observations": [[9, 0, 0]], "deterministic": one}))
        for one in (True, False)
    )
    assert likeliest.action is not None
    assert sampled.action is not None
    assert (likeliest.action.discrete, sampled.action.discrete) == ((0,), (2,))
