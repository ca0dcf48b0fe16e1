"""Many requests over real sockets: what comes together is asked together, and nothing is kept of what was answered."""

import http.client
import itertools
import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from rl_src.serving.model import LARGE_BYTES
from tests.fakes.onnx_policies import write_linear_policy, write_manifest, write_summing_policy
from tests.fakes.serving_process import Answer, Serving, answers_of, read_answer
from tests.fakes.started_containers import only_as_process

TOGETHER = 40
WARM_UP, SOAK, CONNECTIONS = 1500, 4500, 5
MOST_GROWN_BYTES = 4 * 1024**2
"""Over the soak: a kilobyte that is kept of each request would be more."""


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    """`Sums` remembers the sum of its observations, which is its action; `Chooses` takes the largest of three."""
    artifact = tmp_path / "artifact"
    write_summing_policy(artifact / "policies" / "Sums.onnx", size=2)
    write_linear_policy(artifact / "policies" / "Chooses.onnx", np.eye(3, dtype=np.float32))
    write_manifest(artifact, {"Sums": (2,), "Chooses": (3,)})
    with Serving(artifact, tmp_path / "ml") as serving:
        yield serving.wait_until_in_service()


def request(body: bytes) -> bytes:
    head = b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return head % len(body) + body


def batch_sizes(serving: Serving) -> list[int]:
    """For how many requests each call of a model was, of fewer calls than a metric has samples."""
    code, stdout, stderr = serving.terminate()
    assert code == 0, stderr
    return [size for line in stdout.splitlines() for size in json.loads(line)["BatchSize"]]


def questions() -> list[bytes]:
    """As many as are asked together, each of another size and with other numbers."""
    return [
        json.dumps({"behavior": "Sums", "observations": [[[index, agent] for agent in range(1 + index % 3)]]}).encode()
        for index in range(TOGETHER)
    ]


def asked_together(serving: Serving, bodies: list[bytes]) -> list[Answer]:
    """They all lie in the server's sockets before it reads the first."""
    with ExitStack() as stack:
        connections = [stack.enter_context(serving.connect()) for _ in bodies]
        for connection in connections:  # so that the server knows each
            connection.sendall(b"GET /ping HTTP/1.1\r\nhost: x\r\n\r\n")
        streams = [stack.enter_context(answers_of(connection)) for connection in connections]
        assert all(stream.next() for stream in streams)
        serving.process.send_signal(signal.SIGSTOP)
        for connection, body in zip(connections, bodies, strict=True):
            connection.sendall(request(body))
        serving.process.send_signal(signal.SIGCONT)
        answers = [stream.next() for stream in streams]
    return [answer for answer in answers if answer is not None]


@only_as_process("it is stopped for a moment")
def test_what_comes_together_is_asked_together_and_answered_as_if_alone(serving: Serving) -> None:
    bodies = questions()
    alone = [serving.invoke(body) for body in bodies]
    together = asked_together(serving, bodies)
    assert [answer.body for answer in together] == [answer.body for answer in alone]
    for index, answer in enumerate(together):
        assert answer.json()["continuous"] == [[index, agent] for agent in range(1 + index % 3)]
    sizes = batch_sizes(serving)
    assert sizes[:TOGETHER] == [1] * TOGETHER
    assert sum(sizes[TOGETHER:]) == TOGETHER
    assert len(sizes[TOGETHER:]) < TOGETHER / 2, "calls of the model"


@only_as_process("it is stopped for a moment")
def test_one_that_cannot_be_read_costs_the_others_nothing(serving: Serving) -> None:
    bodies = questions()
    for index in range(0, TOGETHER, 4):
        bodies[index] = b'{"behavior":"Sums","observations":[[[1,2,3]]]}'
    for index, answer in enumerate(asked_together(serving, bodies)):
        assert answer.status == (200 if index % 4 else 400)
        if index % 4:
            assert answer.json()["continuous"][0][0] == index
    assert sum(batch_sizes(serving)) == TOGETHER * 3 // 4


Check = Callable[[Answer], bool]
Shape = Callable[[np.random.Generator], tuple[bytes, str, Check]]


def choice_in_json(rng: np.random.Generator) -> tuple[bytes, str, Check]:
    observations = rng.normal(size=(rng.integers(1, 65), 3)).round(3)
    right = [[int(best)] for best in observations.astype(np.float32).argmax(axis=1)]
    body = json.dumps({"behavior": "Chooses", "observations": [observations.tolist()]})
    return body.encode(), "application/json", lambda answer: answer.json()["discrete"] == right


def picture_like_body(rng: np.random.Generator) -> tuple[bytes, str, Check]:
    """So large that a thread reads it."""
    count = LARGE_BYTES // 8 + int(rng.integers(1, 2000))
    body = json.dumps({"behavior": "Chooses", "observations": [[[0, 1, 0]] * count]}, separators=(",", ":"))
    return body.encode(), "application/json", lambda answer: answer.json()["discrete"] == [[1]] * count


def memory(rng: np.random.Generator) -> tuple[bytes, str, Check]:
    first = rng.integers(-9, 9, 2).tolist()
    body = json.dumps({"behavior": "Sums", "observations": [first], "state": None})
    return body.encode(), "application/json", lambda answer: answer.json()["continuous"] == first


def tensor(rng: np.random.Generator) -> tuple[bytes, str, Check]:
    data = rng.integers(0, 256, (int(rng.integers(1, 300)), 2)).astype(np.uint8)
    sensor = {"dtype": "uint8", "shape": list(data.shape), "data": data.tobytes()}
    right = data.astype("<f4").tobytes()

    def fits(answer: Answer) -> bool:
        found: dict[str, Any] = msgspec.msgpack.decode(answer.body)
        return bool(found["continuous"]["data"] == right)

    return msgspec.msgpack.encode({"behavior": "Sums", "observations": [sensor]}), "application/msgpack", fits


def refused(rng: np.random.Generator) -> tuple[bytes, str, Check]:
    body = json.dumps({"behavior": "Chooses", "observations": [[[0] * int(rng.integers(4, 50))]]})
    return body.encode(), "application/json", lambda answer: answer.status == 400


def rubbish(rng: np.random.Generator) -> tuple[bytes, str, Check]:
    return rng.bytes(int(rng.integers(1, 500))), "application/msgpack", lambda answer: answer.status == 400


SHAPES: tuple[Shape, ...] = (choice_in_json, memory, tensor, choice_in_json, refused, tensor, memory, rubbish)


def play(serving: Serving, requests: int, rng: np.random.Generator) -> None:
    """Each connection in its turn; one request in fifty is a large one."""
    with ExitStack() as stack:
        connections = [http.client.HTTPConnection("127.0.0.1", serving.port, timeout=30) for _ in range(CONNECTIONS)]
        for connection in connections:
            stack.callback(connection.close)
        turns = zip(range(requests), itertools.cycle(connections), itertools.cycle(SHAPES), strict=False)
        for number, connection, shape in turns:
            body, media, fits = (picture_like_body if number % 50 == 7 else shape)(rng)
            connection.request("POST", "/invocations", body, {"Content-Type": media})
            answer = read_answer(connection.getresponse())
            assert fits(answer), (body[:200], answer.status, answer.body[:200])


def resident_bytes(serving: Serving) -> int:
    pages = int(Path(f"/proc/{serving.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@only_as_process("its memory is looked at by its pid")
def test_thousands_of_requests_of_all_kinds_leave_no_memory_behind(serving: Serving) -> None:
    rng = np.random.default_rng(3)
    play(serving, WARM_UP, rng)
    before = resident_bytes(serving)
    play(serving, SOAK, rng)
    grown = resident_bytes(serving) - before
    assert grown < MOST_GROWN_BYTES, f"{grown / 1024**2:.1f} MB more after {SOAK} requests"
