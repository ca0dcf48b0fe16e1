"""HTTP with bounded retries for asyncio: as `transport`, whose rules it shares by `wire` and `retrying`."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx

from gamedojo.errors import ApiError, GamedojoError
from gamedojo.retrying import Repeat, RetryPolicy
from gamedojo.transport import UPLOADS_AT_ONCE
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


class AsyncTransport:
    """Talks HTTP over kept-alive connections, within one event loop."""

    def __init__(
        self,
        *,
        timeout_seconds: float = 35.0,
        connect_timeout_seconds: float = 5.0,
        retry: RetryPolicy | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._timeout = httpx.Timeout(timeout_seconds, connect=connect_timeout_seconds)
        self._retry = retry or RetryPolicy()
        self._sleep = sleep
        self._clients: dict[bool, httpx.AsyncClient] = {}

    async def close(self) -> None:
        """Close the connections; calling it again does nothing."""
        clients = list(self._clients.values())
        self._clients.clear()
        for client in clients:
            await client.aclose()

    async def call(self, method: str, url: str, *, repeat: Repeat = Repeat.SAFE, **content: Any) -> Any:
        """As `Transport.call`."""

        async def once() -> Any:
            return parsed(await self._client(url).request(method, url, **content))

        return await self._with_retries(once, url, repeat)

    async def put(self, file: PutFile) -> None:
        """As `Transport.put`."""

        async def once() -> None:
            client = self._client(file.url)
            check_stored(await client.request(file.method, file.url, headers=file.all_headers, content=_chunks(file)))

        with files_in_words(file.body.path):
            await self._with_retries(once, file.url)

    async def put_all(self, files: tuple[PutFile, ...]) -> tuple[GamedojoError | None, ...]:
        """As `Transport.put_all`."""
        at_once = asyncio.Semaphore(UPLOADS_AT_ONCE)

        async def outcome(file: PutFile) -> GamedojoError | None:
            async with at_once:
                try:
                    await self.put(file)
                except GamedojoError as error:
                    return error
            return None

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(outcome(file)) for file in files]
        return tuple(task.result() for task in tasks)

    async def download(self, url: str, target: Path, on_progress: OnProgress = lambda *_: None) -> None:
        """As `Transport.download`."""
        with appearing(target) as part:

            async def once() -> None:
                async with self._client(url).stream("GET", url) as response:
                    if not response.is_success:
                        await response.aread()
                    check_stored(response)
                    total = int(response.headers.get("content-length", 0))
                    with part.open("wb") as file:
                        async for chunk in response.aiter_bytes(CHUNK_BYTES):
                            await asyncio.to_thread(file.write, chunk)
                            on_progress(file.tell(), total)

            await self._with_retries(once, url)

    def _client(self, url: str) -> httpx.AsyncClient:
        through_proxy = not is_loopback(url)
        if through_proxy not in self._clients:
            self._clients[through_proxy] = httpx.AsyncClient(timeout=self._timeout, trust_env=through_proxy)
        return self._clients[through_proxy]

    async def _with_retries(self, once: Callable[[], Awaitable[T]], url: str, repeat: Repeat = Repeat.SAFE) -> T:
        attempt = 1
        while True:
            try:
                return await once()
            except (ApiError, httpx.RequestError, httpx.InvalidURL) as error:
                pause_seconds = self._retry.pause_seconds(error, attempt, url, repeat)
            await self._sleep(pause_seconds)
            attempt += 1


async def _chunks(file: PutFile) -> AsyncIterator[bytes]:
    sent, size_bytes = 0, file.body.size_bytes
    file.on_progress(0, size_bytes)
    with file.body.path.open("rb") as source:
        source.seek(file.body.offset_bytes)
        while chunk := await asyncio.to_thread(source.read, min(CHUNK_BYTES, size_bytes - sent)):
            yield chunk
            sent += len(chunk)
            file.on_progress(sent, size_bytes)
    check_whole(file, sent)
