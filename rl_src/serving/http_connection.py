"""HTTP/1.1 for a container: one connection, parsed by llhttp (httptools), without a framework between.

A framework's share of an answer that takes 50 µs is most of it. What is kept of one: keep-alive, pipelining, chunked
bodies, `Expect: 100-continue`, limits of head and body, time limits for slow senders, and back-pressure.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Protocol, cast

import httptools

MAX_HEAD_BYTES = 65_536
MAX_BODY_BYTES = 6_291_456
"""SageMaker's limit of a real-time invocation (API reference, InvokeEndpoint)."""

MAX_HELD_BYTES = 268_435_456
"""Of all bodies that are coming in or waiting: many slow senders of large ones must not fill the memory."""

REQUEST_SECONDS = 60.0
"""A request must be whole, and an answer taken, within this: SageMaker gives an invocation no more."""
IDLE_SECONDS = 120.0
"""Longer than SageMaker's router keeps its connections."""
LINGER_SECONDS = 5.0
"""How long the rest of a refused body is read and thrown away, so that its sender gets to see the answer."""

_WANTED = {b"content-type": "content_type", b"accept": "accept", b"content-length": "length", b"expect": "expect"}


@dataclass(frozen=True, slots=True)
class Request:
    """One request, whole."""

    method: bytes
    path: bytes
    content_type: str
    accept: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Response:
    """Status, body, its type, and further header lines (each ends in CRLF)."""

    status: int
    content_type: str
    body: bytes
    headers: bytes = b""


Reply = Callable[[Response], None]


class Service(Protocol):
    """What answers."""

    def answer(self, request: Request, reply: Reply) -> None:
        """Call `reply` once, at once or later, from the event loop's thread."""

    def refuse(self, status: int, detail: str) -> Response:
        """The answer to what is no whole request."""


@dataclass
class Connections:
    """All that are open, for time limits and for the end."""

    service: Service
    clock: Callable[[], float]
    open: "set[Connection]" = field(default_factory=set)
    draining: bool = False
    held_bytes: int = 0

    def sweep(self) -> None:
        """End those that are beyond their time."""
        now = self.clock()
        for connection in [one for one in self.open if one.deadline < now]:
            connection.expire()

    def close_idle(self) -> None:
        """Those that wait for no answer."""
        for connection in [one for one in self.open if one.is_idle]:
            connection.close()


class Connection(asyncio.Protocol):
    """One client. Its requests are answered in their order, one at a time."""

    def __init__(self, connections: Connections) -> None:
        self.deadline = connections.clock() + REQUEST_SECONDS
        self._connections = connections
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[tuple[Request, bool]] = deque()
        self._begun = False  # a request is coming in
        self._busy = False  # one is being answered
        self._stuck = False  # the client does not take its answers
        self._paused = False  # nothing is read
        self._at_eof = False  # the client sends no more
        self._refused = False  # what else comes is thrown away
        self._advancing = False
        self._held_bytes = 0

    @property
    def is_idle(self) -> bool:
        """Whether nothing was asked that is not answered."""
        return not (self._begun or self._busy or self._waiting)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has come."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass
        self._connections.open.add(self)

    def connection_lost(self, _error: Exception | None) -> None:
        """Nobody is there to be answered."""
        self._transport = None
        self._connections.open.discard(self)
        self._waiting.clear()
        self._release()

    def data_received(self, data: bytes) -> None:
        """Parse what came; whole requests are answered in their order."""
        if self._refused:
            return
        self._new = False
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(400, "no other protocol than HTTP/1.1 is spoken here")
        except httptools.HttpParserError as error:
            self._refuse(400, f"this is no HTTP request: {error}")
        if self._begun and self._in_head and not self._new:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(431, f"at most {MAX_HEAD_BYTES} bytes of headers are read")
        if self._waiting and not self._paused and self._transport is not None:
            self._transport.pause_reading()
            self._paused = True

    def eof_received(self) -> bool:
        """A client may close its side and still read the answer."""
        self._at_eof = True
        return self._busy or bool(self._waiting)

    def pause_writing(self) -> None:
        """The client does not take its answers: it gets no more, and its time runs."""
        self._stuck = True
        self.deadline = self._connections.clock() + REQUEST_SECONDS

    def resume_writing(self) -> None:
        """The client takes its answers again."""
        self._stuck = False
        self._advance()

    # The parser's calls

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._begun = self._in_head = self._new = True
        self._head_bytes = self._size = 0
        self._path = b""
        self._fields: dict[str, bytes] = {}
        self._parts: list[bytes] = []
        self.deadline = self._connections.clock() + REQUEST_SECONDS

    def on_url(self, url: bytes) -> None:
        """A part of the path."""
        self._path += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        wanted = _WANTED.get(name.lower())
        if wanted is not None:
            self._fields[wanted] = value

    def on_headers_complete(self) -> None:
        """Refuse what is announced as too large, before it is sent."""
        self._in_head = False
        length = self._fields.get("length", b"")
        if len(length) > 18 or int(length or 0) > MAX_BODY_BYTES:
            self._refuse_body()
        elif self._fields.get("expect", b"").lower() == b"100-continue" and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        if self._refused:
            return
        self._size += len(body)
        self._held_bytes += len(body)
        self._connections.held_bytes += len(body)
        if self._size > MAX_BODY_BYTES:
            self._refuse_body()
        elif self._connections.held_bytes > MAX_HELD_BYTES:
            self._refuse(503, f"{MAX_HELD_BYTES} bytes of other requests are waiting; try again")
        else:
            self._parts.append(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._begun = False
        if self._refused:
            return
        fields, parts = self._fields, self._parts
        request = Request(
            self._parser.get_method(),
            self._path,
            fields.get("content_type", b"").decode("latin-1"),
            fields.get("accept", b"").decode("latin-1"),
            parts[0] if len(parts) == 1 else b"".join(parts),
        )
        self._parts = []
        self._waiting.append((request, self._parser.should_keep_alive()))
        self._advance()

    # Answers

    def _advance(self) -> None:
        """Answer what waits, then read on. Answers that come at once do not go deeper into the stack."""
        if self._advancing:
            return
        self._advancing = True
        while self._waiting and not (self._busy or self._stuck):
            self._busy = True
            request, keep_alive = self._waiting.popleft()
            self._connections.service.answer(request, partial(self._reply, keep_alive))
        self._advancing = False
        if self._busy or self._stuck or self._transport is None:
            return
        self._release()
        if self._at_eof:
            self.close()
        elif self._paused:
            self._paused = False
            self._transport.resume_reading()

    def _reply(self, keep_alive: bool, response: Response) -> None:
        self._busy = False
        if self._transport is None:
            return
        self.deadline = self._connections.clock() + IDLE_SECONDS
        keep_alive = keep_alive and not self._refused and not self._connections.draining
        self._write(response, keep_alive)
        if not keep_alive:
            self._waiting.clear()
            self._refused = True
            self.close()
        self._advance()

    def _release(self) -> None:
        """What was held of bodies is answered, or thrown away."""
        self._connections.held_bytes -= self._held_bytes
        self._held_bytes = 0

    def _write(self, response: Response, keep_alive: bool) -> None:
        assert self._transport is not None
        self._transport.write(
            b"%b%b%bcontent-length: %d\r\n\r\n%b"
            % (
                _head(response.status, response.content_type),
                response.headers,
                b"" if keep_alive else b"connection: close\r\n",
                len(response.body),
                response.body,
            )
        )

    def _refuse_body(self) -> None:
        self._refuse(413, f"at most {MAX_BODY_BYTES} bytes are taken")

    def _refuse(self, status: int, detail: str) -> None:
        """Answer a request that is not whole.

        What else comes is read and thrown away for a while: a client that is reset while it sends does not get to see
        the answer.
        """
        if self._refused:
            return
        self._refused, self._parts, self._begun = True, [], False
        self._waiting.clear()
        self._release()
        if self._busy or self._transport is None:  # the answer before it is still to come, and will be the last
            return
        self._write(self._connections.service.refuse(status, detail), keep_alive=False)
        self._transport.write_eof()
        self.deadline = self._connections.clock() + LINGER_SECONDS

    def close(self) -> None:
        """After what was written."""
        if self._transport is not None:
            self._transport.close()

    def expire(self) -> None:
        """Beyond its time: a slow sender is told, who takes no answer is cut off, who is silent is closed."""
        if self._transport is None:
            return
        if self._stuck:
            self._transport.abort()
        elif self._busy:
            self.deadline = self._connections.clock() + REQUEST_SECONDS
        elif self._begun and not self._refused:
            self._refuse(408, f"the request was not whole after {REQUEST_SECONDS:g} s")
        else:
            self.close()


def _head(status: int, content_type: str) -> bytes:
    head = _HEADS.get((status, content_type))
    if head is None:
        head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: {content_type}\r\n".encode()
        _HEADS[status, content_type] = head
    return head


_HEADS: dict[tuple[int, str], bytes] = {}
