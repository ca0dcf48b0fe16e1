"""The two REST APIs and a bucket, faked: a real HTTP server on a real socket that answers what a test has scripted.

An answer may come late, break off in the middle, or be a closed connection. The last answer of a script repeats. What
was not scripted is a 404 problem, so a test that asks for the wrong path fails with words.
"""

import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from gamedojo.connection import Connection

STAGE = "/stage/dev"  # the local cloud's URLs have a path of their own too


@dataclass(frozen=True)
class Answer:
    status: int = 200
    document: Any = None
    body: bytes | None = None
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    delay_seconds: float = 0.0
    drop: bool = False
    """Close the connection without a word."""
    cut_after_bytes: int | None = None
    """Promise the whole body, send only this much of it, close."""

    def payload(self) -> bytes:
        return json.dumps(self.document).encode() if self.body is None else self.body


def problem(
    status: int, code: str, detail: str, remedy: str = "", errors: list[dict[str, str]] | None = None
) -> Answer:
    document = {
        "title": code,
        "status": status,
        "code": code,
        "detail": detail,
        "remedy": remedy,
        "errors": errors or [],
    }
    return Answer(status, document, content_type="application/problem+json")


@dataclass(frozen=True)
class Received:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class FakeApi:
    """`script` what to answer; `received` is what came, over `connections`, `most_at_once` side by side."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.connections = 0
        self.most_at_once = 0
        self._at_once = 0
        self._scripts: dict[tuple[str, str], list[Answer]] = defaultdict(list)
        self._rules: dict[tuple[str, str], Callable[[Any], Answer]] = {}
        self._lock = threading.RLock()  # a rule may script what comes of its answer
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_for(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def url(self) -> str:
        return self.origin + STAGE

    def connection(self) -> Connection:
        return Connection(
            control_url=self.url, control_key="control-key", predict_url=self.url, predict_key="predict-key"
        )

    def environment(self) -> dict[str, str]:
        return {
            "GAMEDOJO_CONTROL_URL": self.url,
            "GAMEDOJO_CONTROL_KEY": "control-key",
            "GAMEDOJO_PREDICT_URL": self.url,
            "GAMEDOJO_PREDICT_KEY": "predict-key",
        }

    def script(self, method: str, path: str, *answers: Answer) -> None:
        with self._lock:
            self._scripts[method, path].extend(answers)

    def script_by_body(self, method: str, path: str, rule: Callable[[Any], Answer]) -> None:
        """Answer by what the JSON of a request says."""
        self._rules[method, path] = rule

    def calls(self, method: str, path: str) -> list[Received]:
        return [one for one in self.received if (one.method, one.path) == (method, path)]

    def next_answer(self, received: Received) -> Answer:
        with self._lock:
            self.received.append(received)
            if rule := self._rules.get((received.method, received.path)):
                return rule(received.json())
            script = self._scripts[received.method, received.path]
            if not script:
                return problem(404, "NotFound", f"nothing scripted for {received.method} {received.path}")
            return script.pop(0) if len(script) > 1 else script[0]

    @contextmanager
    def being_answered(self) -> Iterator[None]:
        with self._lock:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            yield
        finally:
            with self._lock:
                self._at_once -= 1

    def count_connection(self) -> None:
        with self._lock:
            self.connections += 1

    @contextmanager
    def running(self) -> Iterator["FakeApi"]:
        self._thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()


def _handler_for(api: FakeApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            api.count_connection()

        def answer_it(self) -> None:
            parts = urlsplit(self.path)
            received = Received(
                method=self.command,
                path=parts.path.removeprefix(STAGE),
                query=dict(parse_qsl(parts.query)),
                headers={name.lower(): value for name, value in self.headers.items()},
                body=self.rfile.read(int(self.headers.get("content-length", 0))),
            )
            with api.being_answered():
                answer = api.next_answer(received)
                time.sleep(answer.delay_seconds)
            if answer.drop:
                self.close_connection = True
                return
            payload = answer.payload()
            self.send_response_only(answer.status)
            headers = {"date": self.date_time_string(), "content-type": answer.content_type, **answer.headers}
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(payload)))
            self.end_headers()
            if answer.cut_after_bytes is not None:
                payload, self.close_connection = payload[: answer.cut_after_bytes], True
            with suppress(ConnectionError):  # whoever asked did not wait for it
                self.wfile.write(payload)

        do_GET = do_POST = do_PUT = do_DELETE = answer_it  # noqa: N815

        def log_message(self, format: str, *arguments: object) -> None:
            """Quiet."""

    return Handler
