"""The HTTP face of the service: JSON 1.1 on `/`, InvokeEndpoint on `/endpoints/{name}/invocations`, `/_health`."""

import json
import logging
import time
import uuid
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from cheroot.wsgi import Server

from local.sagemaker.control_plane import ControlPlane
from local.sagemaker.errors import (
    ApiError,
    InternalError,
    SerializationError,
    UnknownOperationError,
    ValidationError,
)
from local.sagemaker.runtime import REALTIME_LIMIT_BYTES, Invocation, Runtime

HEALTH_PATH = "/_health"

_TARGET_PREFIX = "SageMaker."
_JSON = "application/x-amz-json-1.1"
_CONTROL_LIMIT_BYTES = 1024 * 1024
_DRAIN_BYTES = 64 * 1024 * 1024
"""So much of a refused body is read, so that the client gets to see the answer instead of a reset connection."""

_Environ = dict[str, Any]
_Start = Callable[..., Any]

_log = logging.getLogger(__name__)


class Application:
    """A WSGI application."""

    def __init__(self, control_plane: ControlPlane, runtime: Runtime) -> None:
        self._control_plane = control_plane
        self._runtime = runtime

    def __call__(self, environ: _Environ, start_response: _Start) -> Iterable[bytes]:
        """Answer one request."""
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        began = time.perf_counter()
        if path.startswith("/endpoints/") and path.endswith("/invocations") and method == "POST":
            status, headers, body = self._invoke(environ, path)
        elif path == "/" and method == "POST":
            status, headers, body = self._control(environ)
        elif path == HEALTH_PATH and method == "GET":
            status, headers, body = 200, {"Content-Type": "application/json"}, b'{"status": "ready"}'
        else:
            error = UnknownOperationError(f"{method} {path} is nothing that SageMaker has.")
            status, headers, body = _control_error(error)
        _log.debug("%s %s %d %.1f ms", method, path, status, (time.perf_counter() - began) * 1000)
        headers = {"x-amzn-RequestId": str(uuid.uuid4()), "Content-Length": str(len(body)), **headers}
        start_response(f"{status} {_reason(status)}", list(headers.items()))
        return [body]

    def _control(self, environ: _Environ) -> tuple[int, dict[str, str], bytes]:
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        operation = target.removeprefix(_TARGET_PREFIX)
        try:
            if operation == target:
                raise UnknownOperationError(f"The header X-Amz-Target must be SageMaker.<operation>, not {target!r}.")
            body = _body(environ, _CONTROL_LIMIT_BYTES, lambda: ValidationError("The request is larger than 1 MiB."))
            answer = self._control_plane.call(operation, _document(body))
        except ApiError as error:
            _log.info("%s: %s: %s", operation, error.code, error.message)
            return _control_error(error)
        except Exception as error:
            _log.exception("%s failed", operation)
            return _control_error(InternalError(f"The local service failed: {error!r}"))
        return 200, {"Content-Type": _JSON}, json.dumps(answer).encode()

    def _invoke(self, environ: _Environ, path: str) -> tuple[int, dict[str, str], bytes]:
        name = unquote(path.removeprefix("/endpoints/").removesuffix("/invocations"))
        try:
            limit = self._runtime.limit_bytes(name)
            body = _body(environ, limit, lambda: self._runtime.refuse_oversize(name))
            response = self._runtime.invoke(Invocation(name, _headers(environ), body))
        except ApiError as error:
            return _runtime_error(error)
        except Exception as error:
            _log.exception("InvokeEndpoint %s failed", name)
            return _runtime_error(InternalError(f"The local service failed: {error!r}"))
        return 200, dict(response.headers), response.body


def http_server(application: Application, *, host: str, port: int, threads: int) -> Server:
    """A server that is bound, and not yet serving; `serve()` on a thread, `stop()` to end."""
    server = Server(
        (host, port), application, numthreads=threads, request_queue_size=128, timeout=70, shutdown_timeout=2
    )
    server.max_request_body_size = 0
    server.prepare()
    return server


def _document(body: bytes) -> Any:
    try:
        document = json.loads(body or b"{}")
    except ValueError as error:
        raise SerializationError(f"The body is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise SerializationError("The body must be a JSON object.")
    return document


def _body(environ: _Environ, limit_bytes: int, refuse: Callable[[], ApiError]) -> bytes:
    """The request's body, of `limit_bytes` at most."""
    stream = environ["wsgi.input"]
    length = environ.get("CONTENT_LENGTH")
    if length:
        if int(length) > limit_bytes:
            _drain(stream, int(length))
            raise refuse()
        body: bytes = stream.read(int(length))
        return body
    if "chunked" not in environ.get("HTTP_TRANSFER_ENCODING", "").lower():
        return b""
    body = stream.read(limit_bytes + 1)
    if len(body) > limit_bytes:
        _drain(stream, REALTIME_LIMIT_BYTES)
        raise refuse()
    return body


def _drain(stream: Any, size_bytes: int) -> None:
    left = min(size_bytes, _DRAIN_BYTES)
    while left > 0 and (piece := stream.read(min(left, 65_536))):
        left -= len(piece)


def _headers(environ: _Environ) -> dict[str, str]:
    headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
    if environ.get("CONTENT_TYPE"):
        headers["content-type"] = environ["CONTENT_TYPE"]
    return headers


def _control_error(error: ApiError) -> tuple[int, dict[str, str], bytes]:
    body = {"__type": error.code, "message": error.message, "Message": error.message, **error.extra}
    return error.status, {"Content-Type": _JSON, "x-amzn-ErrorType": error.code}, json.dumps(body).encode()


def _runtime_error(error: ApiError) -> tuple[int, dict[str, str], bytes]:
    code = "ValidationError" if isinstance(error, ValidationError) else error.code
    body = {"ErrorCode": code, "Message": error.message, **error.extra} if code else {"Message": error.message}
    headers = {"Content-Type": "application/json"} | ({"x-amzn-ErrorType": code} if code else {})
    return error.status, headers, json.dumps(body).encode()


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
