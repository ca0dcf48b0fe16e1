"""Connections of the inference server in this process: time limits by a clock of the test's own, late answers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from rl_src.serving import http_connection
from rl_src.serving.artifact import load_artifact
from rl_src.serving.http_connection import (
    IDLE_SECONDS,
    LINGER_SECONDS,
    REQUEST_SECONDS,
    Connection,
    Connections,
    Reply,
    Request,
    Response,
)
from rl_src.serving.metrics import Metrics
from rl_src.serving.model import Model
from rl_src.serving.problems import problem
from rl_src.serving.service import QUIET_SECONDS, InferenceService
from tests.fakes.onnx_policies import write_artifact

GET = b"GET /%d HTTP/1.1\r\nhost: x\r\n\r\n"


@dataclass
class Late:
    """Keeps every request until the test answers it."""

    asked: list[tuple[Request, Reply]] = field(default_factory=list)

    def answer(self, request: Request, reply: Reply) -> None:
        self.asked.append((request, reply))

    def refuse(self, status: int, detail: str) -> Response:
        return problem(status, "Refused", detail)

    def reply(self, body: bytes) -> None:
        self.asked.pop(0)[1](Response(200, "text/plain", body))

    async def wait_for(self, count: int) -> None:
        while len(self.asked) < count:
            await asyncio.sleep(0.001)


@dataclass
class Bench:
    service: Late
    connections: Connections
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    now: list[float]

    def pass_time(self, seconds: float) -> None:
        self.now[0] += seconds
        self.connections.sweep()

    async def answer(self) -> tuple[int, bytes]:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
        return int(head.split()[1]), await self.reader.readexactly(length)

    async def ended(self) -> bool:
        return await self.reader.read() == b""


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    now = [1000.0]
    service = Late()
    connections = Connections(service, lambda: now[0])
    server = await asyncio.get_running_loop().create_server(lambda: Connection(connections), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    while not connections.open:
        await asyncio.sleep(0.001)
    yield Bench(service, connections, reader, writer, now)
    writer.close()
    server.close()


async def arrived(bench: Bench) -> None:
    """What was written has been read by the other side."""
    (connection,) = bench.connections.open
    while connection.is_idle:
        await asyncio.sleep(0.001)


async def test_a_request_that_is_not_whole_in_time_is_told(bench: Bench) -> None:
    bench.writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n12345")
    await arrived(bench)
    bench.pass_time(REQUEST_SECONDS - 1)
    bench.writer.write(b"678")  # a byte now and then buys no time
    await asyncio.sleep(0.05)
    bench.pass_time(2)
    status, body = await bench.answer()
    assert (status, b"not whole after 60 s" in body) == (408, True)
    assert await bench.ended()


async def test_an_idle_connection_is_closed_after_a_while(bench: Bench) -> None:
    bench.writer.write(GET % 1)
    await bench.service.wait_for(1)
    bench.service.reply(b"one")
    assert await bench.answer() == (200, b"one")
    bench.pass_time(IDLE_SECONDS - 1)
    assert bench.connections.open
    bench.pass_time(2)
    assert await bench.ended()


async def test_a_connection_that_never_asks_is_closed(bench: Bench) -> None:
    bench.pass_time(REQUEST_SECONDS + 1)
    assert await bench.ended()


async def test_a_slow_answer_is_waited_for(bench: Bench) -> None:
    bench.writer.write(GET % 1)
    await bench.service.wait_for(1)
    bench.pass_time(10 * REQUEST_SECONDS)
    bench.service.reply(b"late")
    assert await bench.answer() == (200, b"late")


async def test_one_request_at_a_time_in_their_order(bench: Bench) -> None:
    bench.writer.write(b"".join(GET % number for number in range(3)))
    for number in range(3):
        await bench.service.wait_for(1)
        assert [request.path for request, _ in bench.service.asked] == [b"/%d" % number]
        bench.service.reply(b"%d" % number)
        assert await bench.answer() == (200, b"%d" % number)


async def test_rubbish_behind_a_request_does_not_cost_its_answer(bench: Bench) -> None:
    bench.writer.write(GET % 1 + b"\0\0\0\0")
    await bench.service.wait_for(1)
    bench.service.reply(b"one")
    assert await bench.answer() == (200, b"one")
    assert await bench.ended()


async def test_a_client_that_left_is_forgotten(bench: Bench) -> None:
    bench.writer.write(GET % 1)
    await bench.service.wait_for(1)
    bench.writer.transport.abort()
    bench.service.reply(b"to nobody")
    while bench.connections.open:
        await asyncio.sleep(0.001)


async def test_what_follows_a_refused_body_is_thrown_away_for_a_while(bench: Bench) -> None:
    bench.writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 7000000\r\n\r\n")
    status, _ = await bench.answer()
    assert status == 413
    for _ in range(7):
        bench.writer.write(b" " * 1_000_000)
        await bench.writer.drain()
    assert bench.connections.open
    bench.pass_time(LINGER_SECONDS + 1)
    while bench.connections.open:
        await asyncio.sleep(0.001)


async def test_bodies_that_come_slowly_are_bounded_together(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_connection, "MAX_HELD_BYTES", 1000)
    head = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 900\r\n\r\n"
    bench.writer.write(head + b" " * 800)
    while bench.connections.held_bytes < 800:
        await asyncio.sleep(0.001)
    other_reader, other = await asyncio.open_connection(*bench.writer.get_extra_info("peername"))
    other.write(head + b" " * 300)
    assert (await other_reader.readline()).split()[1] == b"503"
    bench.writer.write(b" " * 100)  # the first is not concerned
    await bench.service.wait_for(1)
    assert bench.connections.held_bytes == 900
    bench.service.reply(b"one")
    assert await bench.answer() == (200, b"one")
    assert bench.connections.held_bytes == 0
    other.close()


async def test_what_a_lost_connection_held_is_given_back(bench: Bench) -> None:
    bench.writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 900\r\n\r\n" + b" " * 800)
    while bench.connections.held_bytes < 800:
        await asyncio.sleep(0.001)
    bench.writer.transport.abort()
    while bench.connections.open:
        await asyncio.sleep(0.001)
    assert bench.connections.held_bytes == 0


async def test_who_takes_no_answer_is_cut_off(bench: Bench) -> None:
    bench.writer.write(GET % 1)
    await bench.service.wait_for(1)
    bench.service.reply(b" " * 50_000_000)
    bench.pass_time(REQUEST_SECONDS + 1)
    while bench.connections.open:
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("is_heavy", [False, True])
async def test_a_heavy_model_answers_from_threads_what_a_light_one_does(tmp_path: Path, is_heavy: bool) -> None:
    served = load_artifact(write_artifact(tmp_path, np.eye(3, dtype=np.float32)))
    model = Model(served, is_heavy, cores=2, metrics=Metrics(lambda: 0.0))
    responses: list[Response] = []
    for body in (b'{"observations":[[[0,1,0]]]}', b'{"observations":[[[0,1]]]}') * 20:
        model.answer(Request(b"POST", b"/invocations", "", "", body), responses.append)
    while len(responses) < 40:
        await asyncio.sleep(0.001)
    assert sorted(response.status for response in responses) == [200] * 20 + [400] * 20
    assert {response.body for response in responses if response.status == 200} == {
        b'{"version":"game-1","behavior":"Game","continuous":[[]],"discrete":[[1]]}'
    }


@pytest.mark.parametrize("is_heavy", [False, True])
async def test_a_model_that_fails_is_an_answer(tmp_path: Path, is_heavy: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    served = load_artifact(write_artifact(tmp_path, np.eye(3, dtype=np.float32)))
    model = Model(served, is_heavy, cores=1, metrics=Metrics(lambda: 0.0))

    def broken(*_: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(served.behaviors["Game"].policy, "run", broken)
    responses: list[Response] = []
    model.answer(Request(b"POST", b"/invocations", "", "", b'{"observations":[[[0,1,0]]]}'), responses.append)
    while not responses:
        await asyncio.sleep(0.001)
    assert responses[0].status == 500
    assert b"the endpoint's log tells why" in responses[0].body


def no_number() -> bool:
    return False


def raising() -> bool:
    raise RuntimeError("out of memory")


@pytest.mark.parametrize("broken", [no_number, raising])
async def test_ping_says_no_while_the_model_answers_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: Callable[[], bool]
) -> None:
    served = load_artifact(write_artifact(tmp_path, np.eye(3, dtype=np.float32)))
    service = InferenceService()
    service.model = Model(served, is_heavy=False, cores=1, metrics=Metrics(lambda: 0.0))

    def ping() -> Response:
        responses: list[Response] = []
        service.answer(Request(b"GET", b"/ping", "", "", b""), responses.append)
        return responses[0]

    with monkeypatch.context() as fault:
        fault.setattr(served.behaviors["Game"].policy, "answers", broken)
        assert ping().status == 200, "it has answered a moment ago"
        service.model.last_answer -= QUIET_SECONDS + 1
        assert (ping().status, b'"ModelBroken"' in ping().body) == (503, True)
    assert ping().status == 200
