"""The server side of the protocol's one RPC: the build calls, our reply is the next command."""

import select
import socket
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable

from rl_src.cores import usable_cores
from rl_src.envs.http2 import ConnectionLostError, GrpcConnection, ViolationError
from rl_src.envs.limits import WireLimits

_LIVENESS_SECONDS = 0.1
_HOUSEKEEPING_SECONDS = 5.0
_GOODBYE_SECONDS = 0.02
WAKEFUL_SECONDS = 0.0005
"""For so long a caller looks for the next message without sleeping, as long as messages come that soon."""

_BACKLOG = 4
_MAX_CONNECTIONS = 8
"""A build has one; the others are strangers, or one that was given up."""

_DRAIN_SECONDS = 1.0
"""For so long at most what has come is read without a message among it: a peer can send pings for ever."""


class NoMessageError(Exception):
    """The build sent nothing: within the time given, or (`gone`) ever again."""

    def __init__(self, gone: bool) -> None:
        self.gone = gone
        super().__init__("the build is gone" if gone else "the build did not answer in time")


class ExchangeServer:
    """Listens on a port of 127.0.0.1 that the system picked, so that no two servers can want the same.

    Requests and replies are serialized UnityMessageProtos. `receive` and `reply` alternate. All work is done in the
    caller's thread. Only while the caller is busy elsewhere (a long update of the policy), a thread answers pings and
    settings every few seconds: gRPC clients drop a connection that leaves them unanswered for a minute.

    `limit_bytes`: of a message; by default as the environment says (`limits`).
    """

    def __init__(self, limit_bytes: int | None = None) -> None:
        self._limit_bytes = limit_bytes or WireLimits.from_environment().message_bytes
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
        self.port: int = self._listener.getsockname()[1]
        self._connections: list[GrpcConnection] = []
        self._inbox: deque[tuple[GrpcConnection, int, bytes]] = deque()
        self._pending: tuple[GrpcConnection, int] | None = None
        self._partner: GrpcConnection | None = None
        self._violation: ViolationError | None = None
        # With one core, the build could not answer as long as somebody looks.
        self._is_wakeful = self._may_be_wakeful = usable_cores() > 1
        self._lock = threading.Lock()
        self._ending = threading.Event()
        # The thread must not keep a forgotten server alive.
        threading.Thread(
            target=_keep_house, args=(weakref.ref(self), self._ending), name="exchange-housekeeping", daemon=True
        ).start()
        weakref.finalize(self, self._ending.set)

    def receive(self, timeout_seconds: float, is_alive: Callable[[], bool]) -> bytes:
        """Wait for the build's next message.

        Raises:
            NoMessageError: the build ended, time is up, or another thread closes the server.
        """
        began = time.monotonic()
        deadline = began + timeout_seconds
        with self._lock:
            if self._is_wakeful:
                self._look_until(began + WAKEFUL_SECONDS)
            while not self._inbox:
                remaining_seconds = deadline - time.monotonic()
                if self._ending.is_set() or remaining_seconds < 0:
                    raise NoMessageError(gone=False)
                came = self._pump(min(_LIVENESS_SECONDS, remaining_seconds))
                # What it sent before it ended still counts.
                if not came and not is_alive() and not self._has_message():
                    raise NoMessageError(gone=True)
            self._is_wakeful = self._may_be_wakeful and time.monotonic() < began + WAKEFUL_SECONDS
            return self._take()

    def has_message(self) -> bool:
        """Whether `receive` has something to return already; reads what has come."""
        with self._lock:
            return self._has_message()

    @property
    def violation(self) -> ViolationError | None:
        """How the build broke the protocol, for which it was hung up on; None when it did not.

        A stranger that finds the port counts until the build has been answered.
        """
        return self._violation

    def descriptors(self) -> list[int]:
        """What to poll for the build's next message."""
        return [self._listener.fileno(), *(connection.fileno() for connection in self._connections)]

    def reply(self, message: bytes) -> None:
        """Answer the message received last. A peer that has gone meanwhile shows at the next `receive`."""
        with self._lock:
            if self._pending is not None and self._pending[0] is not self._partner:
                self._partner, self._violation = self._pending[0], None
            self._answer(message)

    def say_goodbye(self, message: bytes, has_ended: Callable[[], bool], timeout_seconds: float) -> None:
        """Answer the request that waits, and all that still come, with `message`, until the build has ended."""
        deadline = time.monotonic() + timeout_seconds
        self._ending.set()
        with self._lock:
            self._answer(message)
            while not has_ended() and time.monotonic() < deadline:
                self._pump(_GOODBYE_SECONDS)
                while self._inbox:
                    self._take()
                    self._answer(message)

    def close(self) -> None:
        """Close all sockets. May be called twice."""
        self._ending.set()
        with self._lock:
            self._listener.close()
            for connection in self._connections:
                connection.close()
            self._connections.clear()

    def keep_house(self) -> None:
        """Answer what HTTP/2 itself asks, unless the caller is doing so."""
        if self._lock.acquire(blocking=False):
            try:
                for connection in list(self._connections):
                    self._read(connection, 0.0)
            finally:
                self._lock.release()

    def _has_message(self) -> bool:
        until = time.monotonic() + _DRAIN_SECONDS
        while not self._inbox and self._pump(0.0) and time.monotonic() < until:
            pass
        return bool(self._inbox)

    def _answer(self, message: bytes) -> None:
        if self._pending is None:
            return
        (connection, stream_id), self._pending = self._pending, None
        try:
            connection.respond(stream_id, message)
        except ConnectionLostError as error:
            self._drop(connection, error)

    def _take(self) -> bytes:
        connection, stream_id, message = self._inbox.popleft()
        self._pending = (connection, stream_id)
        return message

    def _look_until(self, until: float) -> None:
        """Look for the next message again and again.

        To be put to sleep and woken takes 50 µs and more on a virtual machine, whose core has been lent out meanwhile;
        what comes after runs with cold caches.
        """
        while len(self._connections) == 1 and not self._inbox and time.monotonic() < until:
            self._read(self._connections[0], 0.0)

    def _pump(self, timeout_seconds: float) -> bool:
        """Wait for whatever comes, and handle it; False when nothing came in time."""
        # The usual case, one connection, spares the call of select.
        if len(self._connections) == 1 and self._read(self._connections[0], timeout_seconds):
            return True
        by_descriptor = {connection.fileno(): connection for connection in self._connections}
        poll = select.poll()  # not select(): a trainer may have more than 1,024 descriptors open
        for descriptor in (self._listener.fileno(), *by_descriptor):
            poll.register(descriptor, select.POLLIN)
        ready = poll.poll(0 if len(by_descriptor) == 1 else timeout_seconds * 1000)
        for descriptor, _ in ready:
            if descriptor in by_descriptor:
                self._read(by_descriptor[descriptor], 0.0)
            else:
                self._accept()
        return bool(ready)

    def _accept(self) -> None:
        sock, _ = self._listener.accept()
        if len(self._connections) >= _MAX_CONNECTIONS:
            sock.close()
            return
        try:
            self._connections.append(GrpcConnection(sock, self._limit_bytes))
        except ConnectionLostError:
            sock.close()

    def _read(self, connection: GrpcConnection, timeout_seconds: float) -> bool:
        """Whether anything came. A lost connection is dropped; what it had sent whole is kept."""
        try:
            came = connection.read(timeout_seconds)
        except ConnectionLostError as error:
            self._drop(connection, error)
            came = True
        while connection.requests:
            self._inbox.append((connection, *connection.requests.popleft()))
        return came

    def _drop(self, connection: GrpcConnection, error: ConnectionLostError) -> None:
        if isinstance(error, ViolationError) and self._partner in (None, connection):
            self._violation = error
        connection.close()
        if connection in self._connections:
            self._connections.remove(connection)


def _keep_house(server: "weakref.ref[ExchangeServer]", ending: threading.Event) -> None:
    while not ending.wait(_HOUSEKEEPING_SECONDS):
        alive = server()
        if alive is None:
            return
        alive.keep_house()
        del alive
