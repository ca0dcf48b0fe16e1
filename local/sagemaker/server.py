"""The HTTP face: JSON 1.1 on `/`, InvokeEndpoint on `/endpoints/{name}/invocations`, `/_health`, `/_admin/…`.

A thread to each connection, kept open: an invocation passes no queue and changes no thread on its way, which makes the
service's own share of its time less than a millisecond.
"""

import json
import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from local.sagemaker.admin import PREFIX as ADMIN_PREFIX
from local.sagemaker.admin import Admin
from local.sagemaker.control_plane import ControlPlane
from local.sagemaker.errors import (
    ApiError,
    InternalError,
    LostConnectionError,
    NotImplementedLocallyError,
    SerializationError,
    UnknownOperationError,
    ValidationError,
)
from local.sagemaker.runtime import Invocation, Runtime

HEALTH_PATH = "/_health"

_TARGET = "SageMaker"
_AUTOSCALING_TARGET = "AnyScaleFrontendService"
_INVOCATION_PREFIX, _INVOCATION_SUFFIX = "/endpoints/", "/invocations"
_CONTROL_CONTENT_TYPE = "application/x-amz-json-1.1"
_CONTROL_LIMIT_BYTES = 1024 * 1024
_DRAIN_BYTES = 64 * 1024 * 1024
"""So much of a refused body is read, so that the client gets to see the answer instead of a reset connection."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Reply:
    status: int
    headers: dict[str, str]
    body: bytes


class SageMakerServer(ThreadingHTTPServer):
    """Bound when made; `serve_forever()` on a thread, `shutdown()` and `server_close()` to end."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, host: str, port: int, control_plane: ControlPlane, runtime: Runtime, admin: Admin) -> None:
        self.admin = admin
        self.control_plane = control_plane
        self.runtime = runtime
        super().__init__((host, port), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: SageMakerServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        if self.path == HEALTH_PATH:
            self._send(_Reply(200, {"Content-Type": "application/json"}, b'{"status": "ready"}'))
        elif self.path.startswith(ADMIN_PREFIX):
            self._send(self._admin())
        else:
            self._unknown()

    def do_PUT(self) -> None:
        if self.path.startswith(ADMIN_PREFIX):
            self._send(self._admin())
        else:
            self._unknown()

    def do_POST(self) -> None:
        try:
            self._post()
        except LostConnectionError:
            self.close_connection = True  # and no answer

    def _post(self) -> None:
        if self.path == "/":
            self._send(self._control())
        elif self.path.startswith(ADMIN_PREFIX):
            self._send(self._admin())
        elif self.path.startswith(_INVOCATION_PREFIX) and self.path.endswith(_INVOCATION_SUFFIX):
            self._send(self._invoke())
        else:
            self._unknown()

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged; errors are, by name."""

    def _control(self) -> _Reply:
        target = self.headers.get("X-Amz-Target", "")
        service, _, operation = target.rpartition(".")
        try:
            body = self._body(_CONTROL_LIMIT_BYTES, lambda: ValidationError("The request is larger than 1 MiB."))
            call = self._service(service)
            if call is None:
                raise UnknownOperationError(f"The header X-Amz-Target must be SageMaker.<operation>, not {target!r}.")
            answer = call(operation, _document(body))
        except ApiError as error:
            _log.info("%s: %s: %s", operation, error.code, error.message)
            return _control_error(error)
        except LostConnectionError:
            raise
        except Exception as error:
            _log.exception("%s failed", operation)
            return _control_error(InternalError(f"The local service failed: {error!r}"))
        return _Reply(200, {"Content-Type": _CONTROL_CONTENT_TYPE}, json.dumps(answer).encode())

    def _service(self, target: str) -> Callable[[str, Any], dict[str, Any]] | None:
        control_plane = self.server.control_plane
        return {_TARGET: control_plane.call, _AUTOSCALING_TARGET: control_plane.call_autoscaling}.get(target)

    def _admin(self) -> _Reply:
        try:
            body = self._body(_CONTROL_LIMIT_BYTES, lambda: ValidationError("The request is larger than 1 MiB."))
            answer = self.server.admin.call(self.command, self.path, _document(body))
        except ApiError as error:
            return _control_error(error)
        return _Reply(200, {"Content-Type": "application/json"}, json.dumps(answer).encode())

    def _invoke(self) -> _Reply:
        name = unquote(self.path.removeprefix(_INVOCATION_PREFIX).removesuffix(_INVOCATION_SUFFIX))
        runtime = self.server.runtime
        try:
            body = self._body(runtime.limit_bytes(name), lambda: runtime.refuse_oversize(name))
            headers = {header.lower(): value for header, value in self.headers.items()}
            response = runtime.invoke(Invocation(name, headers, body))
        except ApiError as error:
            return _runtime_error(error)
        except LostConnectionError:
            raise
        except Exception as error:
            _log.exception("InvokeEndpoint %s failed", name)
            return _runtime_error(InternalError(f"The local service failed: {error!r}"))
        return _Reply(200, dict(response.headers), response.body)

    def _unknown(self) -> None:
        self.close_connection = True  # a body that nobody reads may follow
        self._send(_control_error(UnknownOperationError(f"SageMaker has no {self.command} {self.path}.")))

    def _body(self, limit_bytes: int, refuse: Callable[[], ApiError]) -> bytes:
        """The request's body, of `limit_bytes` at most."""
        if "Transfer-Encoding" in self.headers:
            self.close_connection = True
            raise NotImplementedLocallyError("A request with Transfer-Encoding")
        size_bytes = int(self.headers.get("Content-Length") or 0)
        if size_bytes <= limit_bytes:
            return self.rfile.read(size_bytes)
        self.close_connection = True
        left = min(size_bytes, _DRAIN_BYTES)
        while left > 0 and (piece := self.rfile.read(min(left, 65_536))):
            left -= len(piece)
        raise refuse()

    def _send(self, reply: _Reply) -> None:
        """Head and body in one packet."""
        headers = {
            **reply.headers,
            "x-amzn-RequestId": str(uuid.uuid4()),
            "Content-Length": str(len(reply.body)),
            "Date": self.date_time_string(),
            **({"Connection": "close"} if self.close_connection else {}),
        }
        lines = [f"HTTP/1.1 {reply.status} {_reason(reply.status)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head = "\r\n".join(lines).encode("latin-1", errors="replace")
        self.wfile.write(head + b"\r\n\r\n" + reply.body)


def _document(body: bytes) -> Any:
    try:
        document = json.loads(body or b"{}")
    except ValueError as error:
        raise SerializationError(f"The body is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise SerializationError("The body must be a JSON object.")
    return document


def _control_error(error: ApiError) -> _Reply:
    body = {"__type": error.code, "message": error.message, "Message": error.message, **error.extra}
    headers = {"Content-Type": _CONTROL_CONTENT_TYPE, "x-amzn-ErrorType": error.code}
    return _Reply(error.status, headers, json.dumps(body).encode())


def _runtime_error(error: ApiError) -> _Reply:
    code = "ValidationError" if isinstance(error, ValidationError) else error.code
    headers = {"Content-Type": "application/json"} | ({"x-amzn-ErrorType": code} if code else {})
    return _Reply(error.status, headers, json.dumps({"Message": error.message, **error.extra}).encode())


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
