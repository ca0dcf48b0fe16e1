"""A SageMaker runtime on a socket: answers InvokeEndpoint by a script, in the service's own protocol (REST-JSON)."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Answer:
    """A success (`error` empty: the body is the container's own), or one of the service's modelled errors."""

    body: Any = None
    status: int = 200
    error: str = ""

    def payload(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass
class RuntimeEndpoint:
    """What was asked, and what is answered; `connections` counts sockets, to see that one is kept."""

    url: str = ""
    respond: Callable[[str, Any], Answer] = lambda name, body: Answer({})
    requests: list[tuple[str, Any]] = field(default_factory=list)
    """Endpoint name and body: of JSON what it says, otherwise its bytes."""
    media: list[tuple[str, str]] = field(default_factory=list)
    """Content-Type and Accept of each request."""
    traces: list[str | None] = field(default_factory=list)
    """The trace that each request says it belongs to."""
    connections: set[tuple[str, int]] = field(default_factory=set)


@contextmanager
def runtime_endpoint() -> Iterator[RuntimeEndpoint]:
    """Serve until the block ends."""
    endpoint = RuntimeEndpoint()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            endpoint.media.append((self.headers["Content-Type"], self.headers["Accept"]))
            endpoint.traces.append(self.headers["X-Amzn-Trace-Id"])
            if self.headers["Content-Type"] == "application/json":
                body = json.loads(body)
            name = self.path.split("/")[2]
            endpoint.requests.append((name, body))
            endpoint.connections.add(self.client_address)
            answer = endpoint.respond(name, body)
            payload = answer.payload()
            self.send_response(answer.status)
            if answer.error:
                self.send_header("x-amzn-ErrorType", answer.error)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    endpoint.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
