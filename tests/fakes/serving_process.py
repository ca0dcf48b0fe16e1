"""`container/serve` on a folder that is its /opt/ml, as a process or in its image, and raw requests to it."""

import http.client
import json
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from local.ports import free_port
from tests.fakes.started_containers import PORT_VARIABLE, StartedContainer


@dataclass
class Answer:
    """Header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> dict:
        return json.loads(self.body)


class Serving:
    """The process, until the end of the block."""

    def __init__(self, model: Path, base: Path, **environment: str) -> None:
        base.mkdir(exist_ok=True)
        (base / "model").symlink_to(model)
        self.port = free_port()
        self.process = StartedContainer("serve", base, **{PORT_VARIABLE: str(self.port), **environment})

    def __enter__(self) -> "Serving":
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.process.kill()
        self.process.communicate()

    def connect(self) -> socket.socket:
        """As soon as the port is open."""
        until = time.monotonic() + 30
        while True:
            try:
                return socket.create_connection(("127.0.0.1", self.port), timeout=30)
            except ConnectionRefusedError:
                if time.monotonic() > until or self.process.poll() is not None:
                    raise
                time.sleep(0.01)

    def wait_until_in_service(self) -> "Serving":
        until = time.monotonic() + 30
        while self.ask("GET", "/ping").status != 200:
            assert time.monotonic() < until, "the server did not come into service"
            time.sleep(0.02)
        return self

    def ask(self, method: str, path: str, body: bytes | Iterator[bytes] | None = None, **headers: str) -> Answer:
        """One request on a connection of its own."""
        self.connect().close()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named, encode_chunked=isinstance(body, Iterator))
            return read_answer(connection.getresponse())
        finally:
            connection.close()

    def invoke(self, document: object, **headers: str) -> Answer:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        return self.ask("POST", "/invocations", body, **({"content_type": "application/json"} | headers))

    def terminate(self) -> tuple[int, str, str]:
        """SIGTERM; exit code, stdout, stderr."""
        self.process.send_signal(signal.SIGTERM)
        stdout, stderr = self.process.communicate(timeout=60)
        return self.process.returncode, stdout, stderr


def read_answer(response: http.client.HTTPResponse) -> Answer:
    return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())


@contextmanager
def answers_of(connection: socket.socket) -> Iterator["Answers"]:
    with connection, connection.makefile("rb") as stream:
        yield Answers(stream)


class Answers:
    """The answers of one raw connection, one after the other."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def next(self) -> Answer | None:
        """None at the connection's end."""
        line = self._stream.readline()
        if not line:
            return None
        status = int(line.split()[1])
        headers = dict(http.client.parse_headers(self._stream).items())
        named = {name.lower(): value for name, value in headers.items()}
        return Answer(status, named, self._stream.read(int(named.get("content-length", 0))))
