"""The inference server as a process, over real sockets: formats, limits, bad requests, slow and dropped clients."""

import base64
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.onnx_policies import write_artifact
from tests.fakes.serving_process import Serving, answers_of

LIMIT = 6_291_456
QUESTION = json.dumps({"behavior": "Game", "observations": [[[0, 1, 0]]]}).encode()
REQUEST = b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (len(QUESTION), QUESTION)
PING = b"GET /ping HTTP/1.1\r\nhost: x\r\n\r\n"
DISCRETE = [[1]]


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("serving")
    artifact = write_artifact(folder / "artifact", np.eye(3, dtype=np.float32))
    with Serving(artifact, folder / "ml") as serving:
        yield serving.wait_until_in_service()


def still_answers(serving: Serving) -> bool:
    return serving.invoke(QUESTION).json()["discrete"] == DISCRETE and serving.ask("GET", "/ping").status == 200


def test_json_and_messagepack_go_by_their_headers(serving: Serving) -> None:
    tensor = {"dtype": "uint8", "shape": [2, 3], "data": b"\0\1\0\0\0\1"}
    packed = msgspec.msgpack.encode({"observations": {"Sensor": tensor}})
    answer = serving.invoke(packed, content_type="application/msgpack", accept="application/json")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json()["discrete"] == [[1], [2]]
    binary = serving.invoke(packed, content_type="application/msgpack")
    assert binary.headers["content-type"] == "application/msgpack"
    assert msgspec.msgpack.decode(binary.body)["discrete"] == {
        "dtype": "int32",
        "shape": [2, 1],
        "data": np.asarray([1, 2], "<i4").tobytes(),
    }
    tensor["data"] = base64.b64encode(b"\0\1\0\0\0\1").decode()
    assert serving.invoke({"observations": {"Sensor": tensor}}).json()["discrete"] == [[1], [2]]


def test_every_answer_names_the_version_where_sagemaker_passes_it_on(serving: Serving) -> None:
    assert serving.invoke(QUESTION).headers["x-amzn-sagemaker-custom-attributes"] == "version=game-1"


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "code"),
    [
        ("POST", "/elsewhere", {}, 404, "RouteNotFound"),
        ("GET", "/invocations", {}, 405, "MethodNotAllowed"),
        ("POST", "/ping", {}, 405, "MethodNotAllowed"),
        ("POST", "/invocations", {"content_type": "text/csv"}, 415, "UnsupportedMediaType"),
        ("POST", "/invocations", {"content_type": "application/json", "accept": "image/png"}, 406, "NotAcceptable"),
    ],
)
def test_what_is_not_there_is_told(
    serving: Serving, method: str, path: str, headers: dict[str, str], status: int, code: str
) -> None:
    answer = serving.ask(method, path, QUESTION, **headers)
    assert (answer.status, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


def in_chunks(size: int) -> Iterator[bytes]:
    step = 1024 * 1024
    for start in range(0, size, step):
        yield b" " * min(step, size - start)


@pytest.mark.parametrize("as_chunks", [False, True])
def test_the_limit_is_a_byte_and_an_answer(serving: Serving, as_chunks: bool) -> None:
    for size, status in ((LIMIT, 400), (LIMIT + 1, 413), (3 * LIMIT, 413)):
        body = in_chunks(size) if as_chunks else b" " * size
        answer = serving.ask("POST", "/invocations", body)
        assert answer.status == status
    assert "at most 6291456 bytes" in answer.json()["detail"]
    assert still_answers(serving)


def test_a_large_body_is_refused_before_it_is_sent(serving: Serving) -> None:
    head = b"POST /invocations HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: %d\r\n\r\n"
    connection = serving.connect()
    with answers_of(connection) as answers:
        connection.sendall(head % (LIMIT + 1))
        refused = answers.next()
        assert refused is not None
        assert refused.status == 413
        assert answers.next() is None
    connection = serving.connect()
    with answers_of(connection) as answers:
        connection.sendall(head % len(QUESTION))
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(QUESTION)
        answer = answers.next()
        assert answer is not None
        assert answer.json()["discrete"] == DISCRETE


@pytest.mark.parametrize("length", [b"99999999999999999999999999", b"-1", b"x", b"1, 2"])
def test_an_impossible_length_is_refused(serving: Serving, length: bytes) -> None:
    connection = serving.connect()
    with answers_of(connection) as answers:
        connection.sendall(b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-length: " + length + b"\r\n\r\n{}")
        answer = answers.next()
        assert answer is not None
        assert answer.status in (400, 413)
    assert still_answers(serving)


def test_two_lengths_are_refused(serving: Serving) -> None:
    """Otherwise two servers could disagree about where the next request begins."""
    connection = serving.connect()
    with answers_of(connection) as answers:
        connection.sendall(
            b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
        )
        answer = answers.next()
        assert answer is not None
        assert answer.status == 400
        assert answers.next() is None


def test_endless_headers_are_refused(serving: Serving) -> None:
    connection = serving.connect()
    with answers_of(connection) as answers:
        connection.sendall(b"GET /ping HTTP/1.1\r\nx: ")
        for _ in range(40):
            connection.sendall(b"a" * 16_384)
        answer = answers.next()
        assert answer is not None
        assert answer.status == 431


def test_requests_sent_at_once_are_answered_in_their_order(serving: Serving) -> None:
    connection = serving.connect()
    with answers_of(connection) as answers:
        connection.sendall((PING + REQUEST) * 1000)
        for _ in range(1000):
            ping, answer = answers.next(), answers.next()
            assert ping is not None
            assert answer is not None
            assert (ping.body, answer.json()["discrete"]) == (b"{}", DISCRETE)


def test_a_client_may_close_its_side_before_the_answer(serving: Serving) -> None:
    connection = serving.connect()
    with answers_of(connection) as answers:
        connection.sendall(REQUEST)
        connection.shutdown(socket.SHUT_WR)
        answer = answers.next()
        assert answer is not None
        assert answer.json()["discrete"] == DISCRETE
        assert answers.next() is None


@pytest.mark.parametrize("version", [b"HTTP/1.0", b"HTTP/1.1\r\nconnection: close"])
def test_a_connection_is_closed_where_it_is_asked_for(serving: Serving, version: bytes) -> None:
    connection = serving.connect()
    with answers_of(connection) as answers:
        connection.sendall(b"GET /ping " + version + b"\r\nhost: x\r\n\r\n")
        answer = answers.next()
        assert answer is not None
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert answers.next() is None


def test_slow_senders_hold_nobody_up(serving: Serving) -> None:
    slow = [serving.connect() for _ in range(200)]
    for index, connection in enumerate(slow):
        connection.sendall(REQUEST[: 1 + index % (len(REQUEST) - 1)])
    assert still_answers(serving)
    for index, connection in enumerate(slow):
        with answers_of(connection) as answers:
            connection.sendall(REQUEST[1 + index % (len(REQUEST) - 1) :])
            answer = answers.next()
            assert answer is not None
            assert answer.json()["discrete"] == DISCRETE


def test_dropped_connections_hold_nobody_up(serving: Serving) -> None:
    for index in range(200):
        connection = serving.connect()
        # RST and not FIN: the server's next write or read fails
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.sendall(REQUEST[: len(REQUEST) - index % 3])
        connection.close()
    assert still_answers(serving)


def test_who_takes_no_answers_gets_no_more(serving: Serving) -> None:
    """The server stops reading: neither its memory grows, nor do others wait."""
    connection = serving.connect()
    connection.setblocking(False)
    rest, refusals = memoryview(REQUEST * 1_000_000), 0
    while rest and refusals < 100:
        try:
            rest, refusals = rest[connection.send(rest[:1_000_000]) :], 0
        except BlockingIOError:
            refusals += 1
            time.sleep(0.01)
    assert rest, "the server took everything"
    assert still_answers(serving)
    connection.close()
    assert still_answers(serving)


@given(st.binary(min_size=1, max_size=400))
@settings(max_examples=150, deadline=None)
def test_any_bytes_for_a_request_leave_the_server_alive(serving: Serving, garbage: bytes) -> None:
    connection = serving.connect()
    with answers_of(connection) as answers:
        connection.sendall(garbage)
        connection.shutdown(socket.SHUT_WR)
        answer = answers.next()
        assert answer is None or 400 <= answer.status < 500
    assert serving.process.poll() is None


NUMBERS = st.floats() | st.integers() | st.sampled_from([1e999, -1e999, 10**400, 3.5e38, 5e-324, 2**63])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)
TENSORS = st.fixed_dictionaries(
    {},
    optional={
        "dtype": st.sampled_from(["float32", "float16", "uint8", "int32", "float64", ""]),
        "shape": st.lists(st.integers(-(2**65), 2**65), max_size=4) | st.sampled_from([[3], [1, 3], [2, 3]]),
        "data": st.binary(max_size=24).map(lambda data: base64.b64encode(data).decode()) | st.text(max_size=5),
        "divisor": NUMBERS,
    },
)
OBSERVATION = st.lists(st.lists(NUMBERS, min_size=3, max_size=3), min_size=1, max_size=2) | VALUES | TENSORS
INVOCATIONS = st.fixed_dictionaries(
    {},
    optional={
        "observations": st.lists(OBSERVATION, max_size=2)
        | st.dictionaries(st.sampled_from(["Sensor", "Nose", ""]), OBSERVATION, max_size=2)
        | VALUES,
        "behavior": st.sampled_from(["Game", "Other", None]) | VALUES,
        "action_masks": OBSERVATION,
        "deterministic": st.booleans() | VALUES,
        "state": VALUES,
        "memory": OBSERVATION,
        "more": VALUES,
    },
)


@given(INVOCATIONS, st.booleans())
@settings(max_examples=400, deadline=None)
def test_whatever_is_asked_is_answered_or_refused_in_words(serving: Serving, document: dict, packed: bool) -> None:
    if packed:
        try:
            answer = serving.invoke(msgspec.msgpack.encode(document), content_type="application/msgpack")
        except OverflowError:  # MessagePack has no such integers
            return
    else:
        answer = serving.invoke(document)  # NaN and Infinity as Python writes them: no JSON
    if answer.status == 200:
        return
    assert answer.status == 400, (document, answer)
    assert answer.json()["code"] == "InvalidRequest"
    assert answer.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"observations":' + b"[" * 1_000_000,
        b'{"observations":[' + b"[" * 500 + b"1" + b"]" * 500 + b"]}",
        b'{"observations":[[[' + b"9" * 100_000 + b",0,0]]]}",
        b'{"observations":[[[0,1,0]]],"behavior":"\xff\xfe"}',
        b"\x00" * 1000,
        b"null",
        b"",
    ],
)
def test_bodies_that_are_meant_to_break_a_reader_are_refused(serving: Serving, body: bytes) -> None:
    answer = serving.invoke(body)
    assert (answer.status, answer.json()["code"]) == (400, "InvalidRequest")
    assert still_answers(serving)


def test_a_body_of_the_limit_is_answered(serving: Serving) -> None:
    row = b"[0,1,0],"
    count = (LIMIT - 60) // len(row)
    body = b'{"observations":[[' + row * count + b"[0,0,1]]]}"
    answer = serving.invoke(body.ljust(LIMIT))
    assert answer.status == 200
    assert answer.json()["discrete"] == [[1]] * count + [[2]]


def open_files(serving: Serving) -> int:
    return sum(1 for _ in Path(f"/proc/{serving.process.pid}/fd").iterdir())


def test_the_server_grows_by_no_connection(serving: Serving) -> None:
    for _ in range(300):
        serving.ask("GET", "/ping")
    descriptors = open_files(serving)
    for _ in range(300):
        serving.ask("GET", "/ping")
    assert open_files(serving) <= descriptors + 5


def test_an_artifact_folder_is_only_read(serving: Serving) -> None:
    model = Path(f"/proc/{serving.process.pid}/cwd").resolve() / "model"
    assert {path.name for path in model.iterdir()} == {"manifest.json", "policies", "policy_spec.json"}
