"""A build that abuses the connection itself is hung up on, by name, and nobody waits for it."""

import socket
import struct
from collections.abc import Iterator

import h2.config
import h2.connection
import pytest

from rl_src.envs.http2 import MessageTooLargeError
from rl_src.envs.transport import ExchangeServer, NoMessageError


class Abuser:
    """An HTTP/2 client that does as it likes."""

    def __init__(self, server: ExchangeServer) -> None:
        self.server = server
        self.socket = socket.create_connection(("127.0.0.1", server.port))
        self.http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self.http.initiate_connection()
        self.send()
        self.serve()
        self.http.receive_data(self.socket.recv(65_536))

    def call(self, body: bytes, end: bool = False) -> int:
        stream = self.http.get_next_available_stream_id()
        self.http.send_headers(stream, [(":method", "POST"), (":path", "/x"), (":scheme", "http"), (":authority", "x")])
        for start in range(0, len(body), 16_000):
            self.http.send_data(stream, body[start : start + 16_000], end and start + 16_000 >= len(body))
        self.send()
        return int(stream)

    def send(self) -> None:
        self.socket.sendall(self.http.data_to_send())

    def serve(self) -> None:
        """Let the server read; a request that comes whole would fail the test."""
        with pytest.raises(NoMessageError):
            self.server.receive(0.05, lambda: True)


@pytest.fixture
def abuser() -> Iterator[Abuser]:
    server = ExchangeServer(1_000_000)
    client = Abuser(server)
    yield client
    client.socket.close()
    server.close()


def test_a_message_is_refused_as_soon_as_its_length_is_announced(abuser: Abuser) -> None:
    abuser.call(struct.pack(">BI", 0, 1_000_001))
    abuser.serve()
    assert isinstance(abuser.server.violation, MessageTooLargeError)
    assert str(abuser.server.violation) == "it sent a message of more than 1000000 bytes"


def test_more_than_was_announced(abuser: Abuser) -> None:
    abuser.call(struct.pack(">BI", 0, 10) + bytes(11))
    abuser.serve()
    assert "incomplete" in str(abuser.server.violation)


def test_calls_without_number(abuser: Abuser) -> None:
    for number in range(17):
        stream = 1 + 2 * number
        # Written by hand: the library keeps to what it was told.
        abuser.socket.sendall(b"\0\0\1\1\4" + struct.pack(">I", stream) + b"\x83")
    abuser.serve()
    assert "more than 16 calls at once" in str(abuser.server.violation)


def test_messages_that_are_cancelled_and_sent_again(abuser: Abuser) -> None:
    """Each is within the limit, and none is waited for."""
    body = struct.pack(">BI", 0, 60_000) + bytes(60_000)
    for _ in range(100):
        if abuser.server.violation is not None:
            break
        abuser.http.reset_stream(abuser.call(body, end=True))
        abuser.send()
        abuser.server.has_message()
        abuser.server.keep_house()
    assert "more than 2000000 bytes at once" in str(abuser.server.violation)


def test_pings_without_end_do_not_keep_the_caller(abuser: Abuser) -> None:
    for _ in range(1000):
        abuser.http.ping(bytes(8))
    abuser.send()
    assert not abuser.server.has_message()


@pytest.mark.parametrize(("name", "value"), [(5, 0), (5, 2**24), (4, 2**31)])
def test_settings_that_cannot_be(abuser: Abuser, name: int, value: int) -> None:
    abuser.socket.sendall(b"\0\0\x06\x04\0\0\0\0\0" + struct.pack(">HI", name, value))
    abuser.serve()
    assert f"the HTTP/2 setting {name} as {value}" in str(abuser.server.violation)


def test_strangers_without_number() -> None:
    server = ExchangeServer()
    strangers = []
    for _ in range(20):
        strangers.append(socket.create_connection(("127.0.0.1", server.port)))
        with pytest.raises(NoMessageError):
            server.receive(0.01, lambda: True)
    assert len(server.descriptors()) <= 1 + 8
    for stranger in strangers:
        stranger.close()
    server.close()
