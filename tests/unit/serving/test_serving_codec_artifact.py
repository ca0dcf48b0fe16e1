"""The bodies of /invocations, and the artifact that is served."""

import base64
import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from rl_src.serving import codec
from rl_src.serving.artifact import ServedPolicy, load_artifact
from rl_src.serving.errors import InvalidArtifactError, InvalidRequestError, NotAcceptableError, UnsupportedMediaError
from rl_src.serving.questions import ask
from rl_src.serving.tensors import Tensor, of_array, to_array
from tests.fakes.onnx_policies import write_artifact

WEIGHTS = np.eye(3, dtype=np.float32)
BATCH = [[0, 1, 0], [0, 0, 1]]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> ServedPolicy:
    return load_artifact(write_artifact(tmp_path_factory.mktemp("artifact"), WEIGHTS))


def answer(served: ServedPolicy, body: bytes, media: str = codec.JSON, wanted: str = codec.JSON) -> bytes:
    question = ask(served, codec.decode(body, media))
    results = question.served.policy.run(question.feed, question.deterministic)
    return codec.encode(question.answer(served.version, *results), wanted)


def asked(served: ServedPolicy, **invocation: object) -> dict:
    document = {"behavior": "Game", "observations": [BATCH]} | invocation
    return json.loads(answer(served, json.dumps(document).encode()))


def tensor(array: np.ndarray, **more: object) -> dict:
    """As JSON has it."""
    data = base64.b64encode(array.tobytes()).decode()
    return {"dtype": array.dtype.name, "shape": list(array.shape), "data": data} | more


def test_a_batch_is_answered_in_order_with_the_version(served: ServedPolicy) -> None:
    assert asked(served) == {
        "version": "game-1",
        "behavior": "Game",
        "continuous": [[], []],
        "discrete": [[1], [2]],
    }


@pytest.mark.parametrize(
    "invocation",
    [
        {"observations": {"Sensor": BATCH}},
        {"behavior": None},
        {"observations": [tensor(np.asarray(BATCH, np.float32))]},
        {"observations": {"Sensor": tensor(np.asarray(BATCH, np.uint8))}},
        {"observations": {"Sensor": tensor(np.asarray(BATCH, np.uint8) * 255, divisor=255)}},
        {"observations": [tensor(np.asarray(BATCH, np.float16))]},
        {"observations": [tensor(np.asarray(BATCH, np.int32))]},
        {"action_masks": tensor(np.ones((2, 3), np.uint8))},
    ],
)
def test_every_way_to_say_the_same_has_the_same_answer(served: ServedPolicy, invocation: dict) -> None:
    assert asked(served, **invocation) == asked(served)


@pytest.mark.parametrize("observations", [[[0, 1, 0]], {"Sensor": [0, 1, 0]}])
def test_one_agent_is_answered_without_a_batch_axis(served: ServedPolicy, observations: object) -> None:
    assert asked(served, observations=observations) == {
        "version": "game-1",
        "behavior": "Game",
        "continuous": [],
        "discrete": [1],
    }
    assert asked(served, observations=observations, action_masks=[1, 0, 1])["discrete"] == [0]


def test_sampled_actions_are_asked_for(served: ServedPolicy) -> None:
    assert asked(served, deterministic=False)["discrete"] == [[2], [2]]  # always the last, see write_linear_policy


def test_messagepack_in_and_out(served: ServedPolicy) -> None:
    array = np.asarray(BATCH, np.float32)
    body = msgspec.msgpack.encode({"observations": {"Sensor": of_array(array)}})
    document = msgspec.msgpack.decode(answer(served, body, codec.MSGPACK, codec.MSGPACK))
    assert (document["version"], document["behavior"]) == ("game-1", "Game")
    discrete = msgspec.convert(document["discrete"], Tensor)
    assert (discrete.dtype, discrete.shape) == ("int32", [2, 1])
    assert np.frombuffer(discrete.data, "<i4").tolist() == [1, 2]
    assert msgspec.convert(document["continuous"], Tensor) == Tensor("float32", [2, 0], b"")


@given(arrays.arrays(np.float32, arrays.array_shapes(max_dims=4), elements=st.floats(allow_nan=False, width=32)))
def test_arrays_survive_both_formats(array: np.ndarray) -> None:
    packed = of_array(array)
    for encode, decode in (
        (msgspec.json.encode, msgspec.json.decode),
        (msgspec.msgpack.encode, msgspec.msgpack.decode),
    ):
        np.testing.assert_array_equal(to_array("x", decode(encode(packed), type=Tensor)), array)
    np.testing.assert_array_equal(to_array("x", array.tolist()), array)


@pytest.mark.parametrize("number", [2**64, 10**20, -(10**20), 10**38])
def test_whole_numbers_may_be_longer_than_64_bits(served: ServedPolicy, number: int) -> None:
    """float32 holds them, and JavaScript writes 1e20 with all its digits."""
    assert to_array("x", [[number, 0.5, 1]]).tolist() == [[float(np.float32(number)), 0.5, 1]]
    assert asked(served, observations=[[number, 0, 0]]) == asked(served, observations=[[float(number), 0, 0]])


@given(arrays.arrays(np.uint8, (3, 4, 4)))
def test_bytes_of_a_picture_are_what_the_game_sees(picture: np.ndarray) -> None:
    found = to_array("x", Tensor("uint8", [3, 4, 4], picture.tobytes(), divisor=255.0))
    np.testing.assert_array_equal(found, picture.astype(np.float32) / np.float32(255))


@pytest.mark.parametrize(
    ("invocation", "message"),
    [
        ({"behavior": "Other"}, "no behavior 'Other'; known: Game"),
        ({"observations": [[["a", 1, 0]]]}, "Sensor is no array of numbers"),
        ({"observations": [[[1, 0], [1, 0, 0]]]}, "Sensor is no array of numbers"),
        ({"observations": [[[1e300, 0, 0]]]}, "Sensor holds a value that is no finite"),
        ({"observations": [[[10**400, 0, 0]]]}, "Sensor|the body is no invocation"),
        ({"observations": []}, "0 observations were given"),
        ({"observations": [[[1, 0, 0]], [[1, 0, 0]]]}, "2 observations were given"),
        ({"observations": [[[None, 0, 0]]]}, "Sensor is no array of numbers"),
        ({"observations": [[[10**20, None, 0]]]}, "Sensor is no array of numbers"),
        ({"observations": [[[10**39, 0, 0]]]}, "Sensor holds a value that is no finite"),
        ({"observations": [[1, 0]]}, r"Sensor has shape \[2\]; \[3\] or \[N, 3\] is right"),
        ({"observations": [[[[1, 0, 0]]]]}, r"Sensor has shape \[1, 1, 3\]; \[3\] or \[N, 3\] is right"),
        ({"observations": [[]]}, r"Sensor has shape \[0\]; \[3\] or \[N, 3\] is right"),
        ({"observations": {"Sensor": [[1, 0, 0]], "Nose": [[1]]}}, "no sensor 'Nose'; the sensors are Sensor"),
        ({"observations": {}}, "no observation of 'Sensor' was given"),
        ({"action_masks": [[1, 1]]}, r"action_masks has shape \[1, 2\]"),
        ({"action_masks": [1, 1, 1]}, r"action_masks has shape \[3\]; \[2, 3\] is right"),
        ({"determinstic": True}, "determinstic"),
        ({"deterministic": "yes"}, "deterministic"),
        ({"observations": {"Sensor": 3}}, "observations"),
        ({"observations": [tensor(np.zeros((2, 3), np.float32), shape=[2, 4])]}, r"24 bytes of data; .* takes 32"),
        ({"observations": [tensor(np.zeros((2, 3), np.float32), shape=[-2, -3])]}, r"impossible shape \[-2, -3\]"),
        ({"observations": [tensor(np.zeros((2, 3), np.uint8), divisor=0)]}, "divisor 0.0; a positive number"),
        ({"observations": [tensor(np.zeros((2, 3), np.float64))]}, "float64"),
        ({"observations": [tensor(np.zeros((2, 3), np.float32), data="%%%")]}, "base64"),
        ({"observations": [tensor(np.full((2, 3), np.nan, np.float32))]}, "Sensor holds a value that is no finite"),
    ],
)
def test_what_cannot_be_answered_is_refused_by_name(served: ServedPolicy, invocation: dict, message: str) -> None:
    with pytest.raises(InvalidRequestError, match=message):
        asked(served, **invocation)


def test_a_shape_beyond_all_memory_is_refused_by_its_bytes() -> None:
    with pytest.raises(InvalidRequestError, match="x has 4 bytes"):
        to_array("x", Tensor("float32", [2**62, 2**62], b"\0\0\0\0"))


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_in_words(body: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="the body is no invocation"):
        codec.decode(b"\x00" + body)
    with pytest.raises(InvalidRequestError, match="the body is no invocation"):
        codec.decode(b"\x00" + body, codec.MSGPACK)


@pytest.mark.parametrize(
    ("body", "media"),
    [
        (b'{"behavior":"Game","observations":' + b"[" * 100_000, codec.JSON),
        (b"\x81\xacobservations" + b"\x91" * 100_000, codec.MSGPACK),
        (b'{"behavior":"\xff\xfe","observations":[]}', codec.JSON),
        (b"\x82\xa8behavior\xa2\xff\xfe\xacobservations\x90", codec.MSGPACK),
        (b'{"observations":[[NaN]]}', codec.JSON),
        (b"", codec.JSON),
        (b"", codec.MSGPACK),
    ],
)
def test_endless_depth_broken_text_and_nothing_at_all_are_refused(body: bytes, media: str) -> None:
    with pytest.raises(InvalidRequestError, match="the body is no invocation"):
        codec.decode(body, media)


@pytest.mark.parametrize(
    ("content_type", "accept", "read", "written"),
    [
        ("", "", codec.JSON, codec.JSON),
        ("application/json", "*/*", codec.JSON, codec.JSON),
        ("application/json; charset=utf-8", "application/msgpack", codec.JSON, codec.MSGPACK),
        ("Application/X-MsgPack", "", codec.MSGPACK, codec.MSGPACK),
        ("application/vnd.msgpack", "text/html, application/json;q=0.9, */*;q=0.1", codec.MSGPACK, codec.JSON),
        ("application/msgpack", "text/html, */*;q=0.8", codec.MSGPACK, codec.MSGPACK),
    ],
)
def test_formats_go_by_content_type_and_accept(content_type: str, accept: str, read: str, written: str) -> None:
    assert codec.media_type(content_type) == read
    assert codec.answer_type(accept, read) == written


def test_other_formats_are_refused_by_name() -> None:
    with pytest.raises(UnsupportedMediaError, match="'text/csv'; application/json and application/msgpack"):
        codec.media_type("text/csv")
    with pytest.raises(NotAcceptableError, match="'text/csv'; application/json and application/msgpack"):
        codec.answer_type("text/csv", codec.JSON)


def test_an_altered_model_is_not_served(tmp_path: Path) -> None:
    folder = write_artifact(tmp_path / "a", WEIGHTS)
    path = folder / "policies" / "Game.onnx"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(InvalidArtifactError, match=r"policies/Game\.onnx is not the file"):
        load_artifact(folder)


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    folder = write_artifact(tmp_path / "a", WEIGHTS)
    (folder / "policies" / "Game.onnx").unlink()
    with pytest.raises(InvalidArtifactError, match=r"policies/Game\.onnx is missing"):
        load_artifact(folder)


def test_an_empty_folder_is_no_artifact(tmp_path: Path) -> None:
    with pytest.raises(InvalidArtifactError, match=r"manifest\.json cannot be read"):
        load_artifact(tmp_path)
