"""A load generator, as a process on a core of its own: `load.py PORT CONNECTIONS SECONDS REQUESTS < request`.

Each connection sends its next request when it has its answer. Plain sockets and one epoll loop: some 15 µs a request,
of which the kernel takes most. `busy` says what share of its core it needed; near 1 it would measure itself.

Prints one JSON line: requests, seconds, p50_ms, p99_ms, busy. An answer other than 200 ends it with an error.
"""

import json
import select
import socket
import sys
import time
from array import array

WARM_UP_REQUESTS = 50
_OK = b" 200 "


class Connection:
    """One kept-alive connection with at most one request under way."""

    def __init__(self, port: int, request: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._request = request
        self._received = b""
        self.began = 0.0

    def send(self) -> None:
        self.began = time.perf_counter()
        self.socket.sendall(self._request)

    def receive(self) -> bool:
        """Read what is there; whether the answer is whole."""
        data = self.socket.recv(262_144)
        if not data:
            raise ConnectionError(f"the server closed the connection after {self._received[:200]!r}")
        self._received = data = self._received + data if self._received else data
        if not is_whole(data):
            return False
        if data[8:13] != _OK:
            raise ConnectionError(f"answered {data[:500]!r}")
        self._received = b""
        return True


def is_whole(data: bytes) -> bool:
    """Whether an answer, with its length or in chunks, has arrived."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return False
    head = data[:end].lower()
    start = head.find(b"content-length:")
    if start < 0:
        return data.endswith(b"0\r\n\r\n")
    stop = head.find(b"\r\n", start)
    return len(data) - end - 4 >= int(head[start + 15 : stop if stop > 0 else end])


def run(port: int, connections: int, seconds: float, most: int, request: bytes) -> dict[str, float]:
    """For so many seconds or requests, whichever is first."""
    opened = [Connection(port, request) for _ in range(connections)]
    for connection in opened:
        for _ in range(max(1, WARM_UP_REQUESTS // connections)):
            connection.send()
            while not connection.receive():
                pass
    latencies = array("d")
    cpu, began = time.process_time(), time.perf_counter()
    if connections == 1:
        _one(opened[0], began + seconds, most, latencies)
    else:
        _many(opened, began + seconds, most, latencies)
    passed, busy = time.perf_counter() - began, time.process_time() - cpu
    ordered = sorted(latencies)
    return {
        "requests": len(ordered),
        "seconds": passed,
        "p50_ms": ordered[len(ordered) // 2] * 1e3,
        "p99_ms": ordered[len(ordered) * 99 // 100] * 1e3,
        "busy": busy / passed,
    }


def _one(connection: Connection, until: float, most: int, latencies: "array[float]") -> None:
    now = 0.0
    while now < until and len(latencies) < most:
        connection.send()
        while not connection.receive():
            pass
        now = time.perf_counter()
        latencies.append(now - connection.began)


def _many(opened: list[Connection], until: float, most: int, latencies: "array[float]") -> None:
    by_number = {connection.socket.fileno(): connection for connection in opened}
    poll = select.epoll()
    for number in by_number:
        poll.register(number, select.EPOLLIN)
    for connection in opened:
        connection.send()
    now = 0.0
    while now < until and len(latencies) < most:
        for number, _ in poll.poll(60):
            connection = by_number[number]
            if connection.receive():
                now = time.perf_counter()
                latencies.append(now - connection.began)
                connection.send()


def main() -> None:
    port, connections, seconds, most = sys.argv[1:]
    found = run(int(port), int(connections), float(seconds), int(most), sys.stdin.buffer.read())
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
