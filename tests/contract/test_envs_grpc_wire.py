"""Our gRPC server against two independent peers: grpcio's client, and the h2 library for what grpcio does not do."""

import contextlib
import queue
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import grpc
import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rl_src.envs import transport
from rl_src.envs.protocol import EXCHANGE_METHOD
from rl_src.envs.transport import ExchangeServer, NoMessageError

UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def alive() -> bool:
    return True


class EchoServer:
    """Answers every request with its bytes reversed, until it is left."""

    def __init__(self) -> None:
        self.server = ExchangeServer()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(NoMessageError):
                self.server.reply(self.server.receive(0.2, alive)[::-1])

    def __enter__(self) -> "EchoServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.server.close()


@pytest.fixture(scope="module")
def echo() -> Iterator[EchoServer]:
    with EchoServer() as running:
        yield running


@pytest.fixture(scope="module")
def call(echo: EchoServer) -> Iterator[Any]:
    with grpc.insecure_channel(f"localhost:{echo.server.port}", options=UNLIMITED) as channel:
        yield channel.unary_unary(EXCHANGE_METHOD)


@pytest.mark.parametrize("size", [0, 1, 16_378, 16_379, 16_380, 65_535, 65_536, 5_000_000])
def test_grpcio_gets_its_answer_whatever_the_size(call: Any, size: int) -> None:
    message = bytes(range(256)) * (size // 256) + bytes(range(size % 256))
    assert call(message, timeout=60) == message[::-1]


def test_many_exchanges_on_one_connection(call: Any) -> None:
    for number in range(500):
        message = str(number).encode() * (number % 7)
        assert call(message, timeout=30) == message[::-1]


def test_a_cancelled_call_does_not_disturb_the_next(call: Any) -> None:
    for _ in range(20):
        call.future(b"x" * 100_000).cancel()
        assert call(b"abc", timeout=30) == b"cba"


def test_a_client_may_come_back(echo: EchoServer) -> None:
    for _ in range(3):
        with grpc.insecure_channel(f"localhost:{echo.server.port}") as channel:
            assert channel.unary_unary(EXCHANGE_METHOD)(b"ab", timeout=30) == b"ba"


class H2Client:
    """A client whose frames are under the test's control."""

    def __init__(self, port: int, initial_window: int = 65_535) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self.connection.local_settings = h2.settings.Settings(
            client=True, initial_values={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: initial_window}
        )
        self.connection.initiate_connection()
        self.flush()

    def flush(self) -> None:
        self.socket.sendall(self.connection.data_to_send())

    def open(self, end: bool = False) -> int:
        stream = self.connection.get_next_available_stream_id()
        headers = [(":method", "POST"), (":scheme", "http"), (":authority", "localhost"), (":path", EXCHANGE_METHOD)]
        headers += [("content-type", "application/grpc"), ("te", "trailers"), ("x-long", "y" * 3000)]
        self.connection.send_headers(stream, headers, end_stream=end)
        return stream

    def answer(self, window_step: int | None = None) -> tuple[bytes, dict[str, str], list[h2.events.Event]]:
        """Body, all headers and trailers, and every other event, until the stream ends."""
        body, headers, others = b"", {}, []
        while True:
            for event in self.connection.receive_data(self.socket.recv(65_536)):
                match event:
                    case h2.events.DataReceived():
                        body += event.data
                        if window_step is not None:
                            with contextlib.suppress(h2.exceptions.StreamClosedError):
                                self.connection.increment_flow_control_window(window_step, event.stream_id)
                        self.connection.increment_flow_control_window(max(1, event.flow_controlled_length))
                    case h2.events.ResponseReceived() | h2.events.TrailersReceived():
                        headers |= {_text(name): _text(value) for name, value in event.headers}
                    case h2.events.StreamEnded():
                        self.flush()
                        return body, headers, others
                    case _:
                        others.append(event)
            self.flush()


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode()


def grpc_body(message: bytes) -> bytes:
    return b"\0" + len(message).to_bytes(4, "big") + message


def test_the_answer_is_well_formed_grpc(echo: EchoServer) -> None:
    client = H2Client(echo.server.port)
    stream = client.open()
    client.connection.send_data(stream, grpc_body(b"abc"), end_stream=True)
    client.flush()
    body, headers, _ = client.answer()
    assert body == grpc_body(b"cba")
    assert headers == {":status": "200", "content-type": "application/grpc", "grpc-status": "0"}


def test_a_small_window_is_respected(echo: EchoServer) -> None:
    """The h2 library raises when a window is overrun."""
    message = bytes(range(250)) * 40
    client = H2Client(echo.server.port, initial_window=37)
    stream = client.open()
    for start in range(0, len(message) + 5, 9_999):
        client.connection.send_data(stream, grpc_body(message)[start : start + 9_999])
    client.connection.end_stream(stream)
    client.flush()
    body, _, _ = client.answer(window_step=101)
    assert body == grpc_body(message[::-1])


def test_pings_are_answered(echo: EchoServer) -> None:
    client = H2Client(echo.server.port)
    client.connection.ping(b"12345678")
    stream = client.open()
    client.connection.send_data(stream, grpc_body(b""), end_stream=True)
    client.flush()
    _, _, others = client.answer()
    assert [event.ping_data for event in others if isinstance(event, h2.events.PingAckReceived)] == [b"12345678"]
    assert any(isinstance(event, h2.events.SettingsAcknowledged) for event in others)


def test_pings_are_answered_while_the_caller_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_HOUSEKEEPING_SECONDS", 0.05)
    server = ExchangeServer()
    client = H2Client(server.port)
    stream = client.open()
    client.connection.send_data(stream, grpc_body(b"state"), end_stream=True)
    client.flush()
    assert server.receive(30, alive) == b"state"
    # Nobody receives now: the policy learns.
    client.connection.ping(b"87654321")
    client.flush()
    events: list[h2.events.Event] = []
    while not any(isinstance(event, h2.events.PingAckReceived) for event in events):
        events += client.connection.receive_data(client.socket.recv(65_536))
    server.reply(b"command")
    assert client.answer()[0] == grpc_body(b"command")
    server.close()


def test_padding_is_taken_off(echo: EchoServer) -> None:
    client = H2Client(echo.server.port)
    stream = client.open()
    client.connection.send_data(stream, grpc_body(b"padded"), pad_length=200, end_stream=True)
    client.flush()
    assert client.answer()[0] == grpc_body(b"deddap")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(message=st.binary(max_size=300), cuts=st.lists(st.integers(1, 400), max_size=12))
def test_bytes_may_come_in_any_pieces(echo: EchoServer, message: bytes, cuts: list[int]) -> None:
    client = H2Client(echo.server.port)
    stream = client.open()
    client.connection.send_data(stream, grpc_body(message), end_stream=True)
    data, position = client.connection.data_to_send(), 0
    for cut in cuts:
        client.socket.sendall(data[position : position + cut])
        position += cut
        time.sleep(0.001)
    client.socket.sendall(data[position:])
    assert client.answer()[0] == grpc_body(message[::-1])
    client.socket.close()


@pytest.mark.parametrize(
    "nonsense",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff\xff\xff\x00\x00\x00\x00\x00\x01",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x04\x05\x00\x00\x00\x00\x01" + bytes(4),
    ],
)
def test_a_peer_that_speaks_something_else_is_dropped_and_others_served(echo: EchoServer, nonsense: bytes) -> None:
    with socket.create_connection(("127.0.0.1", echo.server.port), timeout=30) as stranger:
        stranger.sendall(nonsense)
        with contextlib.suppress(ConnectionResetError):
            while stranger.recv(4096):
                pass
    with grpc.insecure_channel(f"localhost:{echo.server.port}") as channel:
        assert channel.unary_unary(EXCHANGE_METHOD)(b"ab", timeout=30) == b"ba"


GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "'GET / HTTP/1.1'"),
        (b"\x16\x03\x01\x02\x00\x01", "began with"),
        (GREETING + b"\xff\xff\xff\x00\x00\x00\x00\x00\x01", "frame of 16777215 bytes"),
        (GREETING + b"\x00\x00\x04\x05\x00\x00\x00\x00\x01" + bytes(4), "push promise"),
        (GREETING + b"\x00\x00\x05\x04\x00\x00\x00\x00\x00" + bytes(5), "settings of 5 bytes"),
        (GREETING + b"\x00\x00\x00\x01\x05\x00\x00\x00\x01", "without a message"),
        (GREETING + b"\x00\x00\x00\x01\x04\x00\x00\x00\x01" + b"\x00\x00\x00\x00\x08\x00\x00\x00\x01", "padding"),
        (
            GREETING + b"\x00\x00\x00\x01\x04\x00\x00\x00\x01" + b"\x00\x00\x01\x00\x08\x00\x00\x00\x01\x01",
            "padding",
        ),
    ],
)
def test_what_broke_the_protocol_is_kept(sent: bytes, told: str) -> None:
    server = ExchangeServer()
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as peer:
        peer.sendall(sent)
        while server.violation is None:
            assert not server.has_message()
    assert told in str(server.violation)
    server.close()


def test_a_peer_that_simply_leaves_breaks_nothing() -> None:
    server = ExchangeServer()
    socket.create_connection(("127.0.0.1", server.port), timeout=30).close()
    client = H2Client(server.port)
    client.socket.close()
    with pytest.raises(NoMessageError):
        server.receive(5, lambda: False)
    assert server.violation is None
    server.close()


def trouble(server: ExchangeServer) -> None:
    """Connect and speak something else, until hung up on."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
        stranger.settimeout(0.01)
        greeting_or_end = b"?"
        while greeting_or_end:
            assert not server.has_message()
            with contextlib.suppress(TimeoutError):
                greeting_or_end = stranger.recv(4096)


def exchange_once(server: ExchangeServer, client: H2Client) -> None:
    stream = client.open()
    client.connection.send_data(stream, grpc_body(b"state"), end_stream=True)
    client.flush()
    assert server.receive(30, alive) == b"state"
    server.reply(b"command")
    assert client.answer()[0] == grpc_body(b"command")


def test_a_stranger_is_not_to_blame_once_the_build_has_been_answered() -> None:
    server = ExchangeServer()
    client = H2Client(server.port)
    trouble(server)
    assert server.violation is not None
    exchange_once(server, client)
    assert server.violation is None
    trouble(server)
    assert server.violation is None
    exchange_once(server, client)
    client.socket.sendall(b"\xff" * 9)  # the head of a frame that is far too long
    with pytest.raises(NoMessageError):
        server.receive(5, lambda: False)
    assert server.violation is not None
    server.close()


def test_a_message_that_waits_is_returned_at_once() -> None:
    server = ExchangeServer()
    client = H2Client(server.port)
    for message in (b"state", b"farewell"):
        client.connection.send_data(client.open(), grpc_body(message), end_stream=True)
    client.flush()
    assert server.receive(30, alive) == b"state"
    while not server.has_message():
        pass
    assert server.receive(0.0, lambda: False) == b"farewell"
    server.close()


@pytest.mark.parametrize("body", [b"\x01\0\0\0\x01x", b"\0\0\0\0\x09x", b"\0"])
def test_a_message_that_is_no_plain_grpc_drops_the_connection(echo: EchoServer, body: bytes) -> None:
    client = H2Client(echo.server.port)
    stream = client.open()
    client.connection.send_data(stream, body, end_stream=True)
    client.flush()
    with contextlib.suppress(ConnectionResetError):
        while client.socket.recv(4096):
            pass


def test_a_second_connection_is_served_while_the_first_idles(echo: EchoServer) -> None:
    idle = H2Client(echo.server.port)
    client = H2Client(echo.server.port)
    stream = client.open()
    client.connection.send_data(stream, grpc_body(b"ab"), end_stream=True)
    client.flush()
    assert client.answer()[0] == grpc_body(b"ba")
    idle.socket.close()


def test_what_a_peer_sent_before_it_ended_still_counts() -> None:
    server = ExchangeServer()
    client = H2Client(server.port)
    stream = client.open()
    client.connection.send_data(stream, grpc_body(b"farewell"), end_stream=True)
    client.flush()
    client.socket.close()
    assert server.receive(5, lambda: False) == b"farewell"
    server.reply(b"nobody hears this")
    with pytest.raises(NoMessageError) as raised:
        server.receive(5, lambda: False)
    assert raised.value.gone
    server.close()


def test_silence_is_not_the_end() -> None:
    server = ExchangeServer()
    with pytest.raises(NoMessageError) as raised:
        server.receive(0.05, alive)
    assert not raised.value.gone
    server.close()
    server.close()


def test_goodbye_answers_all_that_still_comes() -> None:
    server = ExchangeServer()
    answers: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def unity() -> None:
        with grpc.insecure_channel(f"localhost:{server.port}") as channel:
            exchange = channel.unary_unary(EXCHANGE_METHOD)
            for message in (b"state", b"farewell"):
                answers.put(exchange(message, timeout=30))

    thread = threading.Thread(target=unity)
    thread.start()
    assert server.receive(30, alive) == b"state"
    server.say_goodbye(b"quit", lambda: not thread.is_alive(), 30)
    thread.join()
    assert (answers.get(), answers.get()) == (b"quit", b"quit")
    server.close()


def test_servers_never_share_a_port() -> None:
    servers = [ExchangeServer() for _ in range(50)]
    assert len({server.port for server in servers}) == 50
    for server in servers:
        server.close()
