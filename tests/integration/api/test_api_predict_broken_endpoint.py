"""The Predict handler and the Python client when the endpoint breaks at the socket, during one request.

Whatever breaks, the caller gets actions or a problem with a stable code, never a stack trace; a prediction changes
nothing, so that it may be asked again.
"""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from wsgiref.simple_server import make_server

import pytest
from botocore.config import Config

from gamedojo import ApiError, Connection, GamedojoClient, RetryPolicy
from gamedojo.transport import Transport
from pipeline.api.codes import RETRY_AFTER_SECONDS
from pipeline.aws import clients
from predict.app import handler
from tests.fakes.control_stack import LambdaContext, control_stack, forget_handlers, sample_event
from tests.fakes.gateway import KEY, Gateway
from tests.integration.api.test_api_predict import ONE_HOT, problem, serve
from tests.integration.client.test_client_against_handlers import QuietHandler

ACTIONS = json.dumps({"version": "basic-0001", "behavior": "Basic", "continuous": [], "discrete": [2]}).encode()
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
GOOD = HEAD % len(ACTIONS) + ACTIONS
RESET = b"\1\0\0\0\0\0\0\0"
"""SO_LINGER with no time: the connection ends with RST instead of FIN."""

BEFORE_AN_ANSWER = {
    "closes without a word": b"",
    "resets the connection": None,
    "answers something else than HTTP": b"\0\1\2\3 this is no HTTP\r\n\r\n",
}
IN_ITS_ANSWER = {
    "closes after the head": GOOD[: -len(ACTIONS)],
    "closes in the body": GOOD[:-10],
}
NO_ACTIONS = {
    "closes in the head": GOOD[:30],  # for Python's HTTP an answer without a body
    "answers with half of its document": HEAD % 20 + ACTIONS[:20],
    "answers with less than JSON": HEAD % 1 + b"{",
}
BREAKS = BEFORE_AN_ANSWER | IN_ITS_ANSWER | NO_ACTIONS
"""What of an answer is sent before the connection ends; None: nothing, and no good-bye."""


@dataclass
class Fragile:
    """A runtime endpoint that answers each request with the next of `script`, and then well."""

    script: list[bytes | None] = field(default_factory=list)
    asked: int = 0

    def converse(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream:
            while self._read(stream):
                self.asked += 1
                answer = self.script.pop(0) if self.script else GOOD
                if answer is None:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    return
                connection.sendall(answer)
                if answer != GOOD:
                    return

    def _read(self, stream) -> bool:
        length = 0
        for line in iter(stream.readline, b""):
            if line == b"\r\n":
                return len(stream.read(length)) == length
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        return False


@pytest.fixture(scope="module", autouse=True)
def _served() -> Iterator[None]:
    with control_stack() as stack:
        serve(stack, "basic-0001")
        yield


@pytest.fixture
def endpoint(monkeypatch) -> Iterator[Fragile]:
    fragile = Fragile()
    with listening(fragile) as url:
        use(monkeypatch, url)
        yield fragile


def use(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", url)
    clients.sagemaker_runtime.cache_clear()
    forget_handlers()


@contextmanager
def listening(fragile: Fragile) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=fragile.converse, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


def ask():
    event = sample_event("predict/post_predict") | {"body": json.dumps({"observations": [ONE_HOT]})}
    return handler(event, LambdaContext())


def discrete(answer) -> list[int]:
    assert answer["statusCode"] == 200, answer["body"]
    return json.loads(answer["body"])["action"]["discrete"]


@pytest.mark.parametrize("how", BREAKS)
def test_an_endpoint_that_breaks_each_time_is_a_problem_with_a_stable_code(endpoint: Fragile, how: str) -> None:
    endpoint.script = [BREAKS[how]] * 10
    answer = ask()
    if how in NO_ACTIONS:
        found = problem(answer, 502)
        assert found.code == "Model"
        assert "something else than actions" in found.detail
    else:
        found = problem(answer, 503)
        assert found.code == "ServiceUnavailable"
        assert int(answer["headers"]["Retry-After"]) > 0
    assert "Traceback" not in answer["body"]
    assert found.remedy


@pytest.mark.parametrize("how", BEFORE_AN_ANSWER)
def test_an_endpoint_that_breaks_before_it_answers_is_asked_again(endpoint: Fragile, how: str) -> None:
    endpoint.script = [BREAKS[how]]
    assert discrete(ask()) == [2]
    assert endpoint.asked == 2


@pytest.mark.parametrize("how", BREAKS)
def test_a_connection_that_broke_is_not_used_again(endpoint: Fragile, how: str) -> None:
    endpoint.script = [BREAKS[how]]
    ask()
    for _ in range(3):
        assert discrete(ask()) == [2]


def test_an_endpoint_that_is_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "_RUNTIME_CONFIG", clients._RUNTIME_CONFIG.merge(Config(read_timeout=0.2)))
    with socket.create_server(("127.0.0.1", 0)) as silent:  # connections wait in its queue
        use(monkeypatch, f"http://127.0.0.1:{silent.getsockname()[1]}")
        found = problem(ask(), 503)
    assert found.code == "ServiceUnavailable"
    assert "timeout" in found.detail.lower()


def test_an_endpoint_whose_server_is_gone_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound, not listening
        use(monkeypatch, f"http://127.0.0.1:{nobody.getsockname()[1]}")
        assert problem(ask(), 503).code == "ServiceUnavailable"


# ── as the Python client sees it ──


@contextmanager
def client(attempts: int, pauses: list[float]) -> Iterator[GamedojoClient]:
    """Over sockets, before API Gateway's routes; it does not wait, but tells how long it would."""
    gateway = Gateway("PredictApi", {"PredictFunction": handler})
    server = make_server("127.0.0.1", 0, gateway, handler_class=QuietHandler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    connection = Connection(predict_url=f"http://127.0.0.1:{server.server_port}", predict_key=KEY)
    transport = Transport(retry=RetryPolicy(attempts=attempts), sleep=pauses.append)
    try:
        with GamedojoClient(connection, transport=transport) as made:
            yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize("how", IN_ITS_ANSWER)
def test_the_client_asks_again_what_broke_in_its_answer(endpoint: Fragile, how: str) -> None:
    endpoint.script, pauses = [BREAKS[how]], []
    with client(3, pauses) as game:
        found = game.predict("basic", [ONE_HOT])
    assert found.action is not None
    assert (found.action.discrete, endpoint.asked) == ((2,), 2)
    assert pauses == [RETRY_AFTER_SECONDS[HTTPStatus.SERVICE_UNAVAILABLE]]


@pytest.mark.parametrize(
    ("how", "status", "code"),
    [
        *((how, 503, "ServiceUnavailable") for how in BEFORE_AN_ANSWER | IN_ITS_ANSWER),
        *((how, 502, "Model") for how in NO_ACTIONS),
    ],
)
def test_the_client_reports_the_code_of_what_stays_broken(endpoint: Fragile, how: str, status: int, code: str) -> None:
    endpoint.script = [BREAKS[how]] * 20
    with client(2, []) as game, pytest.raises(ApiError) as caught:
        game.predict("basic", [ONE_HOT])
    assert (caught.value.status, caught.value.code) == (status, code)
    assert caught.value.remedy
