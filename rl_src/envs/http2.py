"""The part of HTTP/2 and gRPC that one unary RPC with one client needs, on a plain socket (RFC 9113; gRPC over HTTP2).

grpcio's server hands every call through three threads that compete for the interpreter's lock, which costs several
hundred microseconds an exchange. Here the caller's own thread reads the request and writes the reply.

Request headers are not decoded: every call is taken for the one method that there is, so no HPACK state is needed.
"""

import socket
import struct
from collections import deque
from dataclasses import dataclass

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_STALL_SECONDS = 60.0
"""How long a peer may leave a reply of ours untaken."""

_QUOTED_BYTES = 40
_MAX_FRAME_BYTES = 1024 * 1024
_BUFFER_BYTES = 2 * _MAX_FRAME_BYTES  # only what is used of it takes memory
_MAX_WINDOW = 2**31 - 1
_MAX_STREAMS = 16
_FRAME_BYTES_THAT_MAY_BE = range(2**14, 2**24)  # RFC 9113 6.5.2
_DEFAULT_WINDOW = 65_535
_DEFAULT_FRAME_BYTES = 16_384

_DATA, _HEADERS, _PRIORITY, _RST_STREAM, _SETTINGS = 0x0, 0x1, 0x2, 0x3, 0x4
_PUSH_PROMISE, _PING, _GOAWAY, _WINDOW_UPDATE, _CONTINUATION = 0x5, 0x6, 0x7, 0x8, 0x9
_ACK = _END_STREAM = 0x1
_END_HEADERS, _PADDED = 0x4, 0x8
_SETTING_MAX_CONCURRENT_STREAMS, _SETTING_INITIAL_WINDOW, _SETTING_MAX_FRAME = 0x3, 0x4, 0x5

_FRAME_HEADER = struct.Struct(">HBBBI")  # length (16 + 8 bits), type, flags, stream
_SETTING = struct.Struct(">HI")
_GRPC_PREFIX = struct.Struct(">BI")  # compressed?, length


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    length = len(payload)
    return _FRAME_HEADER.pack(length >> 8, length & 0xFF, kind, flags, stream) + payload


# HPACK without indexing (RFC 7541 6.2.2): ":status: 200" is static entry 8, "content-type" is static name 31.
_RESPONSE_HEADERS = b"\x88" + b"\x0f\x10\x10application/grpc"
_TRAILERS = b"\x00\x0bgrpc-status\x010"
_GREETING = _frame(
    _SETTINGS,
    0,
    0,
    _SETTING.pack(_SETTING_MAX_CONCURRENT_STREAMS, _MAX_STREAMS)
    + _SETTING.pack(_SETTING_INITIAL_WINDOW, _MAX_WINDOW)
    + _SETTING.pack(_SETTING_MAX_FRAME, _MAX_FRAME_BYTES),
) + _frame(_WINDOW_UPDATE, 0, 0, struct.pack(">I", _MAX_WINDOW - _DEFAULT_WINDOW))


class ConnectionLostError(Exception):
    """The peer is gone, or has to be hung up on."""


class ViolationError(ConnectionLostError):
    """The peer speaks no gRPC over HTTP/2. The words say what it did: "it sent ..."."""


class MessageTooLargeError(ViolationError):
    """More than a message may have."""


class _Body:
    """A request that is still coming in. Its memory is used again: messages with images are megabytes each time."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._data = bytearray()
        self._length = 0
        self._whole = 0  # as announced; 0: not known yet

    def __len__(self) -> int:
        return self._length

    def append(self, part: memoryview) -> None:
        """Copy a part behind the others.

        Raises:
            MessageTooLargeError: as soon as a length is announced that is too large.
            ViolationError: more comes than was announced.
        """
        end = self._length + len(part)
        if end > len(self._data):
            self._data.extend(bytes(max(end, min(2 * len(self._data), self._whole)) - len(self._data)))
        self._data[self._length : end] = part
        self._length = end
        if not self._whole and end >= _GRPC_PREFIX.size:
            self._whole = _GRPC_PREFIX.size + _GRPC_PREFIX.unpack_from(self._data)[1]
            if self._whole - _GRPC_PREFIX.size > self._limit_bytes:
                raise MessageTooLargeError(f"it sent a message of more than {self._limit_bytes} bytes")
        if end > self._whole and self._whole:
            raise ViolationError("it sent a compressed or incomplete message")

    def take_message(self) -> bytes:
        """The gRPC message that all parts make together; begins anew."""
        length, self._length, self._whole = self._length, 0, 0
        if length < _GRPC_PREFIX.size:
            raise ViolationError("it sent an empty request")
        compressed, announced = _GRPC_PREFIX.unpack_from(self._data)
        if compressed or announced != length - _GRPC_PREFIX.size:
            raise ViolationError("it sent a compressed or incomplete message")
        return bytes(memoryview(self._data)[_GRPC_PREFIX.size : length])


@dataclass
class _Stream:
    send_window: int
    received_bytes: int = 0
    body: _Body | None = None  # made, or taken over from an earlier stream, with the first data


class GrpcConnection:
    """One client's connection. Complete requests wait in `requests` as (stream, message).

    `limit_bytes`: of a message. Twice as much may come in before it is answered.
    """

    def __init__(self, sock: socket.socket, limit_bytes: int) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.requests: deque[tuple[int, bytes]] = deque()
        self._socket = sock
        self._limit_bytes = limit_bytes
        self._held_bytes = 0  # of messages that are coming in, or were not answered
        self._unanswered: dict[int, int] = {}
        self._buffer = bytearray(_BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._begin = self._end = 0  # of what was received and not handled yet
        self._spare_body: _Body | None = None
        self._greeted = False
        self._streams: dict[int, _Stream] = {}
        self._send_window = _DEFAULT_WINDOW
        self._initial_window = _DEFAULT_WINDOW
        self._frame_bytes = _DEFAULT_FRAME_BYTES
        self._unacknowledged = 0
        self._answers = bytearray()
        self._send(_GREETING)

    def fileno(self) -> int:
        """For select."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def read(self, timeout_seconds: float) -> bool:
        """Read once and handle every whole frame; False when nothing came in time.

        Raises:
            ConnectionLostError: end of stream or a reset.
            ViolationError: the peer broke the protocol.
        """
        try:
            self._socket.settimeout(timeout_seconds)
            count = self._socket.recv_into(self._view[self._end :])
        except (TimeoutError, BlockingIOError):
            return False
        except OSError as error:
            raise ConnectionLostError(str(error)) from error
        if not count:
            raise ConnectionLostError("the peer closed the connection")
        self._end += count
        self._handle_received()
        return True

    def respond(self, stream_id: int, message: bytes) -> None:
        """Answer a request. Nothing is sent when the peer has cancelled it meanwhile."""
        self._held_bytes -= self._unanswered.pop(stream_id, 0)
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        head = _frame(_HEADERS, _END_HEADERS, stream_id, _RESPONSE_HEADERS)
        tail = _frame(_HEADERS, _END_HEADERS | _END_STREAM, stream_id, _TRAILERS)
        body = _GRPC_PREFIX.pack(0, len(message)) + message
        if len(body) <= min(self._frame_bytes, self._send_window, stream.send_window):
            self._send_window -= len(body)
            self._send(head + _frame(_DATA, 0, stream_id, body) + tail)
        else:
            self._send(head)
            self._send_in_parts(stream_id, stream, body)
            self._send(tail)
        self._streams.pop(stream_id, None)

    def _send_in_parts(self, stream_id: int, stream: _Stream, body: bytes) -> None:
        """As much at a time as the peer's frame size and windows allow (RFC 9113 5.2)."""
        sent = 0
        while sent < len(body) and stream_id in self._streams:
            size = min(len(body) - sent, self._frame_bytes, self._send_window, stream.send_window)
            if size <= 0:
                if not self.read(_STALL_SECONDS):
                    raise ConnectionLostError("the peer does not take the reply")
                continue
            self._send(_frame(_DATA, 0, stream_id, body[sent : sent + size]))
            self._send_window -= size
            stream.send_window -= size
            sent += size

    def _send(self, data: bytes) -> None:
        try:
            self._socket.settimeout(_STALL_SECONDS)
            self._socket.sendall(data)
        except OSError as error:
            raise ConnectionLostError(str(error)) from error

    def _handle_received(self) -> None:
        if not self._greeted and not self._skip_preface():
            return
        while self._end - self._begin >= _FRAME_HEADER.size:
            high, low, kind, flags, stream_id = _FRAME_HEADER.unpack_from(self._buffer, self._begin)
            length = high << 8 | low
            if length > _MAX_FRAME_BYTES:
                raise ViolationError(f"it sent an HTTP/2 frame of {length} bytes")
            start = self._begin + _FRAME_HEADER.size
            if self._end - start < length:
                break
            self._begin = start + length
            self._handle_frame(kind, flags, stream_id & _MAX_WINDOW, self._view[start : self._begin])
        self._make_room()
        if self._answers:
            # Together, and last: a peer that has closed its end already gets no answer, but was heard.
            answers, self._answers = bytes(self._answers), bytearray()
            self._send(answers)

    def _skip_preface(self) -> bool:
        """Whether the peer has greeted."""
        received = bytes(self._view[: min(self._end, len(PREFACE) + _QUOTED_BYTES)])
        if len(received) < len(PREFACE) and PREFACE.startswith(received):
            return False
        if not received.startswith(PREFACE):
            raise ViolationError(f"it began with {_first_line(received)!r} instead of HTTP/2's greeting")
        self._greeted, self._begin = True, len(PREFACE)
        return True

    def _make_room(self) -> None:
        """There must always be room for the rest of a whole frame."""
        left = self._end - self._begin
        if not left or _BUFFER_BYTES - self._begin < _FRAME_HEADER.size + _MAX_FRAME_BYTES:
            self._buffer[:left] = bytes(self._view[self._begin : self._end])
            self._begin, self._end = 0, left

    def _handle_frame(self, kind: int, flags: int, stream_id: int, payload: memoryview) -> None:
        if kind == _DATA:
            self._handle_data(flags, stream_id, payload)
        elif kind == _HEADERS:
            self._handle_headers(flags, stream_id)
        elif kind == _WINDOW_UPDATE:
            self._handle_window_update(stream_id, int.from_bytes(payload, "big") & _MAX_WINDOW)
        elif kind == _PING and not flags & _ACK:
            self._answers += _frame(_PING, _ACK, 0, bytes(payload))
        elif kind == _SETTINGS and not flags & _ACK:
            self._handle_settings(payload)
        elif kind == _RST_STREAM:
            self._handle_cancel(stream_id)
        elif kind == _PUSH_PROMISE:
            raise ViolationError("it sent a push promise, which a client may not")
        # PRIORITY, CONTINUATION (of headers that we do not read), GOAWAY and unknown frames ask for nothing.

    def _handle_headers(self, flags: int, stream_id: int) -> None:
        """Trailers of a request (a second HEADERS) change nothing; gRPC clients send none."""
        if stream_id not in self._streams:
            if len(self._streams) >= _MAX_STREAMS:
                raise ViolationError(f"it made more than {_MAX_STREAMS} calls at once")
            self._streams[stream_id] = _Stream(self._initial_window)
        if flags & _END_STREAM and not self._streams[stream_id].body:
            raise ViolationError("it sent a request without a message")

    def _handle_cancel(self, stream_id: int) -> None:
        cancelled = self._streams.pop(stream_id, None)
        if cancelled is not None and stream_id not in self._unanswered:
            self._held_bytes -= cancelled.received_bytes

    def _handle_data(self, flags: int, stream_id: int, payload: memoryview) -> None:
        self._unacknowledged += len(payload)
        if self._unacknowledged > _MAX_WINDOW // 2:
            self._answers += _frame(_WINDOW_UPDATE, 0, 0, struct.pack(">I", self._unacknowledged))
            self._unacknowledged = 0
        stream = self._streams.get(stream_id)
        if stream is None:
            return  # cancelled
        if flags & _PADDED:
            if not payload or payload[0] >= len(payload):
                raise ViolationError("it sent a frame with more padding than there is room for")
            payload = payload[1 : len(payload) - payload[0]]
        if stream.body is None:
            body = _Body(self._limit_bytes) if self._spare_body is None else self._spare_body
            stream.body, self._spare_body = body, None
        stream.received_bytes += len(payload)
        self._held_bytes += len(payload)
        if self._held_bytes > 2 * self._limit_bytes + _MAX_FRAME_BYTES:
            raise MessageTooLargeError(f"it sent messages of more than {2 * self._limit_bytes} bytes at once")
        stream.body.append(payload)
        if flags & _END_STREAM:
            self._unanswered[stream_id] = stream.received_bytes
            self.requests.append((stream_id, stream.body.take_message()))
            self._spare_body, stream.body = stream.body, None

    def _handle_window_update(self, stream_id: int, increment: int) -> None:
        if stream_id == 0:
            self._send_window += increment
        elif stream_id in self._streams:
            self._streams[stream_id].send_window += increment

    def _handle_settings(self, payload: memoryview) -> None:
        if len(payload) % _SETTING.size:
            raise ViolationError(f"it sent HTTP/2 settings of {len(payload)} bytes")
        for name, value in _SETTING.iter_unpack(payload):
            if name == _SETTING_INITIAL_WINDOW and value <= _MAX_WINDOW:
                for stream in self._streams.values():
                    stream.send_window += value - self._initial_window
                self._initial_window = value
            elif name == _SETTING_MAX_FRAME and value in _FRAME_BYTES_THAT_MAY_BE:
                self._frame_bytes = value
            elif name in (_SETTING_INITIAL_WINDOW, _SETTING_MAX_FRAME):
                raise ViolationError(f"it sent the HTTP/2 setting {name} as {value}")
        self._answers += _frame(_SETTINGS, _ACK, 0, b"")


def _first_line(received: bytes) -> str:
    return received.split(b"\r\n", 1)[0][:_QUOTED_BYTES].decode("ascii", "backslashreplace")
