"""What takes several requests: uploads, downloads, a run's start.

Written once for both clients, as generators that do nothing themselves: they yield what is to be done, and are given
what came of it.
"""

import threading
from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Generic, TypeVar

from gamedojo import calls
from gamedojo.calls import Call
from gamedojo.errors import GamedojoError, UnexpectedAnswerError
from gamedojo.models import Build, BuildPage, CreatedRun, Run, RunPage
from gamedojo.wire import OnProgress, PutFile, files_in_words

T = TypeVar("T")


@dataclass(frozen=True)
class PutFiles:
    """Send these side by side; the answer is a tuple of what became of each: its error, or None."""

    files: tuple[PutFile, ...]


@dataclass(frozen=True)
class Fetch:
    """Download a URL to a file, which appears only when it is whole."""

    url: str
    target: Path


Deed = Call[Any] | PutFile | PutFiles | Fetch
Flow = Generator[Deed, Any, T]


def carry_out(flow: Flow[T], do: Callable[[Deed], Any]) -> T:
    """Do what the flow asks for, one deed after another, until it has its result; raises what it does not catch."""
    go_on: Callable[[], Deed] = partial(next, flow)
    while True:
        try:
            deed = go_on()
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        try:
            go_on = partial(flow.send, do(deed))
        except GamedojoError as error:
            go_on = partial(flow.throw, error)


async def carry_out_async(flow: Flow[T], do: Callable[[Deed], Awaitable[Any]]) -> T:
    """As `carry_out`, for asyncio."""
    go_on: Callable[[], Deed] = partial(next, flow)
    while True:
        try:
            deed = go_on()
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        try:
            go_on = partial(flow.send, await do(deed))
        except GamedojoError as error:
            go_on = partial(flow.throw, error)


def train(upload: Flow[str], request: Mapping[str, Any], idempotency_key: str) -> Flow[CreatedRun]:
    """Upload a build, then start a run on it."""
    key = yield from upload
    created: CreatedRun = yield calls.start_run({**request, "build": {"key": key}}, idempotency_key)
    return created


def download_artifacts(run_id: str, into: Path, on_file: Callable[[Path], None]) -> Flow[list[Path]]:
    """Every file of a run, below a directory."""
    links: dict[str, str] = yield calls.get_artifacts(run_id)
    paths = []
    for name, url in sorted(links.items()):
        target = into / safe_path(name)
        with files_in_words(target.parent):
            target.parent.mkdir(parents=True, exist_ok=True)
        yield Fetch(url, target)
        on_file(target)
        paths.append(target)
    return paths


class Pages(Generic[T]):
    """The first `limit` entries of a list that comes page by page."""

    def __init__(
        self, ask: Callable[[int, str], Call[Any]], entries: Callable[[Any], tuple[T, ...]], limit: int
    ) -> None:
        self._ask, self._entries, self._left = ask, entries, limit
        self._token, self._over = "", False

    def next_call(self) -> Call[Any] | None:
        """What asks for the next page; None after the last one."""
        return None if self._over or self._left <= 0 else self._ask(self._left, self._token)

    def take(self, page: RunPage | BuildPage) -> tuple[T, ...]:
        """The page's entries, as many as are still wanted."""
        entries = self._entries(page)[: self._left]
        self._left -= len(entries)
        self._over = not page.next_token or page.next_token == self._token
        self._token = page.next_token or ""
        return entries


def pages_of_runs(policy: str, status: str, build_sha256: str, limit: int) -> Pages[Run]:
    """Runs, newest first; the API gives at most 100 a page."""
    return Pages(
        lambda left, token: calls.list_runs(policy, status, build_sha256, min(left, 100), token),
        lambda page: page.runs,
        limit,
    )


def pages_of_builds(limit: int) -> Pages[Build]:
    """Builds, by key; the API gives at most 1000 a page."""
    return Pages(lambda left, token: calls.list_builds(min(left, 1000), token), lambda page: page.builds, limit)


class TotalProgress:
    """Adds up the progress of parts that are sent side by side, by several threads."""

    def __init__(self, total_bytes: int, sent_bytes: int, on_progress: OnProgress) -> None:
        self._total_bytes, self._before_bytes, self._on_progress = total_bytes, sent_bytes, on_progress
        self._of_part: dict[int, int] = {}
        self._lock = threading.Lock()
        on_progress(sent_bytes, total_bytes)

    def of_part(self, number: int) -> OnProgress:
        """What to call with the progress of one part; a part that is sent anew begins at 0 again."""

        def on_progress(sent_bytes: int, _: int) -> None:
            with self._lock:
                self._of_part[number] = sent_bytes
                self._on_progress(self._before_bytes + sum(self._of_part.values()), self._total_bytes)

        return on_progress


def safe_path(name: str) -> Path:
    """Where an artifact goes below the output directory; no name leads out of it."""
    parts = [part for part in PurePosixPath(name.replace("\\", "/")).parts if part not in ("/", "..", ".")]
    if not parts:
        raise UnexpectedAnswerError(f"The artifact name {name!r} is no file name.")
    return Path(*parts)
