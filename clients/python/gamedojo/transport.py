"""HTTP with bounded retries: one place that turns what can go wrong on the wire into the client's errors.

Every call of this API may be repeated: reads, predictions, the request for an upload URL, the upload itself, and
`POST /training-runs`, whose run id comes from the request, so that the same request twice is one run.
"""

import ipaddress
import random
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx

from gamedojo.errors import ApiError, InputError, UnexpectedAnswerError, UnreachableError, api_error

CHUNK_BYTES = 256 * 1024
LARGEST_UPLOAD_BYTES = 5 * 1024**3
"""S3 takes at most 5 GiB in one PUT (Amazon S3 user guide, "Uploading objects")."""

T = TypeVar("T")
OnProgress = Callable[[int, int], None]
"""Called with the bytes moved so far and the total."""


@dataclass(frozen=True)
class RetryPolicy:
    """Exponential back-off with jitter. A Retry-After of the server is kept to, up to `longest_wait_seconds`."""

    attempts: int = 5
    first_delay_seconds: float = 0.25
    longest_delay_seconds: float = 8.0
    longest_wait_seconds: float = 30.0

    def delay_seconds(self, attempt: int, retry_after_seconds: float | None = None, jitter: float = 1.0) -> float:
        """The pause after the given failed attempt (counted from 1); `jitter` in [0, 1] spreads the upper half."""
        full = min(self.first_delay_seconds * 2.0 ** (attempt - 1), self.longest_delay_seconds)
        asked = min(retry_after_seconds or 0.0, self.longest_wait_seconds)
        return max(full * (0.5 + 0.5 * jitter), asked)


class Transport:
    """Talks HTTP. Not for sharing between processes; threads may share it."""

    def __init__(
        self,
        *,
        timeout_seconds: float = 35.0,
        connect_timeout_seconds: float = 5.0,
        retry: RetryPolicy | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._timeout = httpx.Timeout(timeout_seconds, connect=connect_timeout_seconds)
        self._retry = retry or RetryPolicy()
        self._sleep = sleep
        self._clients: dict[bool, httpx.Client] = {}

    def close(self) -> None:
        """Close the connections; calling it again does nothing."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def call(
        self,
        method: str,
        url: str,
        *,
        key: str = "",
        json: Any = None,
        params: dict[str, str] | None = None,
    ) -> Any:
        """Send a request and answer the parsed JSON of its 2xx answer.

        Raises:
            ApiError: the API's error answer, after retries where the status allows them.
            UnreachableError: no answer after every retry.
            UnexpectedAnswerError: a redirect, or a body that is no JSON.
        """

        def once() -> Any:
            headers = {"accept": "application/json"} | ({"x-api-key": key} if key else {})
            response = self._client(url).request(method, url, headers=headers, json=json, params=params)
            return _parsed(response)

        return self._with_retries(once, url)

    def upload(self, method: str, url: str, path: Path, headers: dict[str, str], on_progress: OnProgress) -> None:
        """Send a file as the body of a request, streaming; a retry begins anew.

        Raises:
            InputError: the file cannot be read, or is larger than S3 takes in one request.
            ApiError, UnreachableError: as `call`.
        """
        size_bytes = path.stat().st_size
        if size_bytes > LARGEST_UPLOAD_BYTES:
            raise InputError(f"{path} is larger than 5 GiB, the most that one upload takes.", "Make the build smaller.")

        def once() -> None:
            # Content-Length is set by hand: S3 refuses chunked bodies without a length.
            response = self._client(url).request(
                method,
                url,
                headers={**headers, "content-length": str(size_bytes)},
                content=_chunks(path, size_bytes, on_progress),
            )
            if not response.is_success:
                raise _storage_error(response)

        self._with_retries(once, url)

    def download(self, url: str, target: Path, on_progress: OnProgress | None = None) -> None:
        """Fetch a file; `target` appears only when it is whole.

        Raises:
            ApiError, UnreachableError: as `call`.
        """
        part = target.with_name(target.name + ".part")

        def once() -> None:
            with self._client(url).stream("GET", url) as response:
                if not response.is_success:
                    response.read()
                    raise _storage_error(response)
                total = int(response.headers.get("content-length", 0))
                with part.open("wb") as file:
                    for chunk in response.iter_bytes(CHUNK_BYTES):
                        file.write(chunk)
                        if on_progress:
                            on_progress(file.tell(), total)
            part.replace(target)

        try:
            self._with_retries(once, url)
        finally:
            part.unlink(missing_ok=True)

    def _client(self, url: str) -> httpx.Client:
        # A proxy from the environment cannot reach this machine's own loopback address.
        through_proxy = not is_loopback(url)
        if through_proxy not in self._clients:
            self._clients[through_proxy] = httpx.Client(timeout=self._timeout, trust_env=through_proxy)
        return self._clients[through_proxy]

    def _with_retries(self, once: Callable[[], T], url: str) -> T:
        for attempt in range(1, self._retry.attempts + 1):
            retry_after_seconds = None
            try:
                return once()
            except ApiError as error:
                if not error.is_transient or attempt == self._retry.attempts:
                    raise
                retry_after_seconds = error.retry_after_seconds
            except (httpx.TransportError, httpx.DecodingError) as error:
                if attempt == self._retry.attempts or isinstance(error, httpx.UnsupportedProtocol):
                    raise _unreachable(error, url, attempt) from error
            except httpx.InvalidURL as error:
                raise InputError(f"{url!r} is no URL: {error}.") from error
            self._sleep(self._retry.delay_seconds(attempt, retry_after_seconds, random.random()))
        raise AssertionError("attempts is at least 1")


def is_loopback(url: str) -> bool:
    """True for URLs of this machine's loopback interface."""
    host = httpx.URL(url).host
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _parsed(response: httpx.Response) -> Any:
    try:
        document = response.json()
    except ValueError:
        document = None
    if response.is_error:
        raise api_error(
            response.status_code,
            document,
            text="" if _is_html(response) else response.text,
            retry_after_seconds=_retry_after_seconds(response),
        )
    if not response.is_success or document is None:
        raise UnexpectedAnswerError(
            f"{response.request.url} answered {response.status_code} without a JSON document.",
            "Check that the URL is a gamedojo API, with its stage.",
        )
    return document


def _retry_after_seconds(response: httpx.Response) -> float | None:
    text = response.headers.get("retry-after", "")
    return float(text) if re.fullmatch(r"\d+(\.\d+)?", text) else None


def _is_html(response: httpx.Response) -> bool:
    return "html" in str(response.headers.get("content-type", ""))


def _storage_error(response: httpx.Response) -> ApiError:
    """S3's errors are XML with a Code and a Message."""
    code, message = (
        found[1] if (found := re.search(rf"<{tag}>([^<]*)</{tag}>", response.text)) else ""
        for tag in ("Code", "Message")
    )
    status = response.status_code if response.status_code != 500 else 503  # S3's InternalError asks to be retried
    return ApiError(
        status=status,
        code=code or f"Http{response.status_code}",
        detail=f"The bucket answered: {message or response.reason_phrase or response.status_code}",
        remedy="The URL may have expired: try the command again." if response.status_code == 403 else "",
        retry_after_seconds=_retry_after_seconds(response),
    )


def _unreachable(error: httpx.RequestError, url: str, attempts: int) -> UnreachableError:
    address = httpx.URL(url)
    place = f"{address.scheme}://{address.netloc.decode()}"
    if isinstance(error, httpx.ConnectError):
        what = f"{place} cannot be reached: {error}"
    elif isinstance(error, httpx.TimeoutException):
        what = f"{place} did not answer in time"
    else:
        what = f"The connection to {place} broke: {error or type(error).__name__}"
    remedy = (
        "Is the local cloud up? `gamedojo local status` tells."
        if is_loopback(url)
        else "Check the URL and the network."
    )
    return UnreachableError(f"{what} (tried {attempts} times).", remedy)


def _chunks(path: Path, size_bytes: int, on_progress: OnProgress) -> Iterator[bytes]:
    sent = 0
    on_progress(0, size_bytes)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
            sent += len(chunk)
            on_progress(sent, size_bytes)
