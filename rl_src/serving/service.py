"""The routes of SageMaker's inference contract: GET /ping and POST /invocations."""

import logging
import time
from typing import Protocol

from rl_src.serving.http_connection import Reply, Request, Response
from rl_src.serving.problems import problem

QUIET_SECONDS = 5.0
"""Without an answer for so long, `/ping` asks the models itself."""

_CODES = {
    400: "InvalidRequest",
    408: "RequestTimeout",
    413: "RequestTooLarge",
    431: "HeadersTooLarge",
    503: "Overloaded",
}
_RETRY = b"retry-after: 1\r\n"

log = logging.getLogger(__name__)


class Served(Protocol):
    """`rl_src.serving.model.Model`: what brings numpy and onnxruntime with it, loaded while the socket is open."""

    last_answer: float

    def answer(self, request: Request, reply: Reply) -> None:
        """One invocation."""

    def answers(self) -> bool:
        """Whether the models give finite actions, now."""


class InferenceService:
    """`/ping` is 200 once an inference has run, and 503 before, while draining, and when the model fails."""

    def __init__(self) -> None:
        self.model: Served | None = None
        self.draining = False

    def answer(self, request: Request, reply: Reply) -> None:
        """One request."""
        path = request.path.partition(b"?")[0]
        if path == b"/invocations":
            self._invocation(request, reply)
        elif path == b"/ping":
            reply(self._ping() if request.method == b"GET" else _other_method("GET"))
        else:
            reply(problem(404, "RouteNotFound", "there are GET /ping and POST /invocations"))

    def refuse(self, status: int, detail: str) -> Response:
        """The answer to what is no whole request."""
        return problem(status, _CODES[status], detail, _RETRY if status == 503 else b"")

    def _invocation(self, request: Request, reply: Reply) -> None:
        if request.method != b"POST":
            reply(_other_method("POST"))
        elif self.model is None:
            reply(problem(503, "ModelNotReady", "the models are being loaded", _RETRY))
        else:
            self.model.answer(request, reply)

    def _ping(self) -> Response:
        if self.draining:
            return problem(503, "Draining", "the server is about to end")
        if self.model is None:
            return problem(503, "ModelNotReady", "the models are being loaded", _RETRY)
        if time.monotonic() - self.model.last_answer > QUIET_SECONDS and not self._still_answers(self.model):
            return problem(503, "ModelBroken", "the model gives no finite action")
        return Response(200, "application/json", b"{}")

    def _still_answers(self, model: Served) -> bool:
        try:
            return model.answers()
        except Exception:  # ONNX Runtime's errors have no common base but Exception
            log.exception("the model failed")
            return False


def _other_method(allowed: str) -> Response:
    return problem(405, "MethodNotAllowed", f"only {allowed} is answered here", f"allow: {allowed}\r\n".encode())
