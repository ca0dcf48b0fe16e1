"""The HTTP side of SageMaker's inference contract: GET /ping and POST /invocations.

A bare ASGI application: two routes need no framework, and a framework's share of a 0.2 ms answer is most of it.
"""

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

import orjson

from rl_src.serving import codec
from rl_src.serving.artifact import ServedPolicy
from rl_src.serving.errors import InvalidRequestError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MAX_BODY_BYTES = 6_291_456
"""SageMaker's limit of a real-time invocation (API reference, InvokeEndpoint)."""

log = logging.getLogger(__name__)


class _Loader(Protocol):
    def __call__(self) -> ServedPolicy | None:
        """What is served; None until it is loaded."""


class App:
    """Answers `/ping` with 200 once the models answer, and 503 before."""

    def __init__(self, served: _Loader) -> None:
        self._served = served

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, by the ASGI specification."""
        if scope["type"] != "http":
            return
        route = (scope["method"], scope["path"])
        if route == ("GET", "/ping"):
            status, body = self._ping()
        elif route == ("POST", "/invocations"):
            status, body = await self._invocations(receive)
        else:
            status, body = 404, _problem("RouteNotFound", "there are GET /ping and POST /invocations")
        await _answer(send, status, body)

    def _ping(self) -> tuple[int, bytes]:
        served = self._served()
        if served is None:
            return 503, _problem("ModelNotReady", "the models are being loaded")
        if not all(policy.answers() for policy in served.policies.values()):
            return 503, _problem("ModelBroken", "a model gives no finite action")
        return 200, b"{}"

    async def _invocations(self, receive: Receive) -> tuple[int, bytes]:
        body = await _read(receive)
        if body is None:
            return 413, _problem("RequestTooLarge", f"at most {MAX_BODY_BYTES} bytes are taken")
        served = self._served()
        if served is None:
            return 503, _problem("ModelNotReady", "the models are being loaded")
        try:
            return 200, codec.invoke(served.policies, served.version, codec.decode(body))
        except InvalidRequestError as error:
            return 400, _problem("InvalidRequest", str(error))
        except Exception:  # whatever it was, the caller gets an answer and the log the reason
            log.exception("an invocation failed")
            return 500, _problem("Internal", "the model failed; the endpoint's log tells why")


async def _read(receive: Receive) -> bytes | None:
    """The body; None when it is larger than the limit. The rest is read and thrown away, so that the answer arrives."""
    parts: list[bytes] = []
    size_bytes = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b""
        part = message.get("body", b"")
        size_bytes += len(part)
        if size_bytes <= MAX_BODY_BYTES:
            parts.append(part)
        else:
            parts.clear()
        if not message.get("more_body"):
            return b"".join(parts) if size_bytes <= MAX_BODY_BYTES else None


async def _answer(send: Send, status: int, body: bytes) -> None:
    content_type = b"application/json" if status == 200 else b"application/problem+json"
    headers = [(b"content-type", content_type), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _problem(code: str, detail: str) -> bytes:
    return orjson.dumps({"code": code, "detail": detail})
