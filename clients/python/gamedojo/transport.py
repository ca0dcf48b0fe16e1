"""HTTP with bounded retries, blocking: see `wire` for what answers mean and `retrying` for what is sent again."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import httpx

from gamedojo.errors import ApiError, GamedojoError
from gamedojo.retrying import Repeat, RetryPolicy
from gamedojo.wire import (
    CHUNK_BYTES,
    OnProgress,
    PutFile,
    appearing,
    check_stored,
    check_whole,
    files_in_words,
    is_loopback,
    parsed,
)

T = TypeVar("T")
UPLOADS_AT_ONCE = 4
"""Parts of a build that are sent side by side."""


class Transport:
    """Talks HTTP over kept-alive connections. Not for sharing between processes; threads may share it."""

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
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the connections; calling it again does nothing."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def call(self, method: str, url: str, *, repeat: Repeat = Repeat.SAFE, **content: Any) -> Any:
        """Send a request and answer the parsed JSON of its 2xx answer; `content` is httpx' headers, params, body.

        Raises:
            ApiError: the API's error answer, after retries where the status allows them.
            UnreachableError: no answer after every retry.
            UnexpectedAnswerError: a redirect, or a body that is no JSON.
        """
        return self._with_retries(lambda: parsed(self._client(url).request(method, url, **content)), url, repeat)

    def put(self, file: PutFile) -> None:
        """Send a file, or a part of it, streaming; a retry begins anew.

        Raises:
            InputError: the file cannot be read, or has become shorter.
            ApiError, UnreachableError: as `call`.
        """

        def once() -> None:
            client = self._client(file.url)
            check_stored(client.request(file.method, file.url, headers=file.all_headers, content=_chunks(file)))

        with files_in_words(file.body.path):
            self._with_retries(once, file.url)

    def put_all(self, files: tuple[PutFile, ...]) -> tuple[GamedojoError | None, ...]:
        """Send several side by side; what became of each: its error, or None."""

        def outcome(file: PutFile) -> GamedojoError | None:
            try:
                self.put(file)
            except GamedojoError as error:
                return error
            return None

        over = threading.Event()
        futures: list[Future[GamedojoError | None]] = [Future() for _ in files]
        left: SimpleQueue[tuple[Future[GamedojoError | None], PutFile]] = SimpleQueue()
        for pair in zip(futures, files, strict=True):
            left.put(pair)

        def work() -> None:
            while not over.is_set() and not left.empty():
                with suppress(Empty):
                    future, file = left.get_nowait()
                    try:
                        future.set_result(outcome(_given_up_when(over, file)))
                    except Exception as error:
                        future.set_exception(error)

        # Daemons, because after Ctrl-C nobody waits for the answers to what is on its way.
        for _ in range(min(UPLOADS_AT_ONCE, len(files))):
            threading.Thread(target=work, daemon=True).start()
        try:
            return tuple(future.result() for future in futures)
        finally:
            over.set()

    def download(self, url: str, target: Path, on_progress: OnProgress = lambda *_: None) -> None:
        """Fetch a file; `target` appears only when it is whole.

        Raises:
            InputError: the file cannot be written.
            ApiError, UnreachableError: as `call`.
        """
        with appearing(target) as part:

            def once() -> None:
                with self._client(url).stream("GET", url) as response:
                    if not response.is_success:
                        response.read()
                    check_stored(response)
                    total = int(response.headers.get("content-length", 0))
                    with part.open("wb") as file:
                        for chunk in response.iter_bytes(CHUNK_BYTES):
                            file.write(chunk)
                            on_progress(file.tell(), total)

            self._with_retries(once, url)

    def _client(self, url: str) -> httpx.Client:
        through_proxy = not is_loopback(url)
        with self._lock:
            if through_proxy not in self._clients:
                self._clients[through_proxy] = httpx.Client(timeout=self._timeout, trust_env=through_proxy)
            return self._clients[through_proxy]

    def _with_retries(self, once: Callable[[], T], url: str, repeat: Repeat = Repeat.SAFE) -> T:
        attempt = 1
        while True:
            try:
                return once()
            except (ApiError, httpx.RequestError, httpx.InvalidURL) as error:
                pause_seconds = self._retry.pause_seconds(error, attempt, url, repeat)
            self._sleep(pause_seconds)
            attempt += 1


class _GivenUpError(Exception):
    pass


def _given_up_when(over: threading.Event, file: PutFile) -> PutFile:
    """The file, with a progress that ends its sending once `over` is set."""

    def on_progress(sent_bytes: int, total_bytes: int) -> None:
        if over.is_set():
            raise _GivenUpError
        file.on_progress(sent_bytes, total_bytes)

    return replace(file, on_progress=on_progress)


def _chunks(file: PutFile) -> Iterator[bytes]:
    sent, size_bytes = 0, file.body.size_bytes
    file.on_progress(0, size_bytes)
    with file.body.path.open("rb") as source:
        source.seek(file.body.offset_bytes)
        while chunk := source.read(min(CHUNK_BYTES, size_bytes - sent)):
            yield chunk
            sent += len(chunk)
            file.on_progress(sent, size_bytes)
    check_whole(file, sent)
