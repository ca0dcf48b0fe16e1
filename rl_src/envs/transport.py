"""The server side of the protocol's one RPC: the build calls, our reply is the next command."""

import contextlib
import queue
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import grpc

from rl_src.envs.protocol import EXCHANGE_METHOD

MAX_MESSAGE_BYTES = 512 * 1024 * 1024
"""gRPC's own default of 4 MB for what is received is less than a scene of a few cameras sends."""

_LIVENESS_SECONDS = 0.1
_OPTIONS = (
    ("grpc.so_reuseport", 0),  # a port is ours alone, or binding fails
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
)


class NoMessageError(Exception):
    """The build sent nothing: within the time given, or (`gone`) ever again."""

    def __init__(self, gone: bool) -> None:
        self.gone = gone
        super().__init__("the build is gone" if gone else "the build did not answer in time")


class ExchangeServer:
    """Listens on a port of 127.0.0.1 that the system picked, so that no two servers can want the same.

    Requests and replies are serialized UnityMessageProtos. `receive` and `reply` alternate, from one thread.
    """

    def __init__(self) -> None:
        self._requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._replies: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._waiting = False
        self._closing_reply: bytes | None = None
        # One thread answers; the second takes a build's farewell while the first still waits for our reply.
        self._server = grpc.server(ThreadPoolExecutor(2, "exchange"), options=_OPTIONS)
        service, method = EXCHANGE_METHOD.strip("/").split("/")
        handler = grpc.unary_unary_rpc_method_handler(self._exchange)
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
        self.port: int = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def _exchange(self, request: bytes, _context: grpc.ServicerContext) -> bytes:
        if self._closing_reply is not None:
            return self._closing_reply
        self._requests.put(request)
        return self._replies.get()

    def receive(self, timeout_seconds: float, is_alive: Callable[[], bool]) -> bytes:
        """Wait for the build's next message.

        Raises:
            NoMessageError: the build ended, or time is up.
        """
        deadline = time.monotonic() + timeout_seconds
        while True:
            alive = is_alive()  # asked first: what a build sent before it ended still counts
            with contextlib.suppress(queue.Empty):
                remaining = min(_LIVENESS_SECONDS, deadline - time.monotonic()) if alive else _LIVENESS_SECONDS
                request = self._requests.get(timeout=max(0.0, remaining))
                self._waiting = True
                return request
            if not alive or time.monotonic() >= deadline:
                raise NoMessageError(gone=not alive)

    def reply(self, message: bytes) -> None:
        """Answer the message received last."""
        self._waiting = False
        self._replies.put(message)

    def say_goodbye(self, message: bytes) -> None:
        """From now on answer everything with `message`: the request that waits, if any, and all that come."""
        self._closing_reply = message
        if self._waiting:
            self.reply(message)

    def close(self) -> None:
        """Stop at once. No handler is left waiting for a reply."""
        for _ in range(2):
            self._replies.put(self._closing_reply or b"")
        self._server.stop(grace=None).wait()
