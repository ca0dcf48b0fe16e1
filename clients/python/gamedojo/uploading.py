"""The flow of a build's upload: as a whole if it is small, otherwise in parts, which can go on after a failure."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gamedojo import calls
from gamedojo.errors import (
    ApiError,
    GamedojoError,
    InputError,
    UnreachableError,
    UploadInterruptedError,
)
from gamedojo.flows import Flow, PutFiles, TotalProgress
from gamedojo.models import Build, BuildUpload, MultipartUpload, PartUrls
from gamedojo.wire import FileSlice, OnProgress, PutFile

IN_PARTS_FROM_BYTES = 64 * 1024**2
"""Below it, a failed upload costs little, and one request is simpler than several."""

LARGEST_WHOLE_BYTES = 5 * 1024**3
"""S3 takes at most 5 GiB in one PUT (Amazon S3 user guide, "Uploading objects")."""

PARTS_A_BATCH = 16
"""So many URLs are asked for at once: they expire, and a slow line takes long over a part."""

MOST_URLS = 1000
"""The API gives no more at once."""

ROUNDS = 3
"""How often a part is tried, each time with a new URL and the transport's own retries."""


@dataclass(frozen=True)
class PartialUpload:
    """An upload in parts that has begun; with it, a later call sends only what has not come."""

    build_id: str
    key: str
    size_bytes: int
    part_size_bytes: int

    @property
    def part_count(self) -> int:
        """How many parts there are."""
        return -(-self.size_bytes // self.part_size_bytes)

    def slice_of(self, build: Path, number: int) -> FileSlice:
        """What of the file is part `number`, from 1 on."""
        begin = (number - 1) * self.part_size_bytes
        return FileSlice(build, min(self.part_size_bytes, self.size_bytes - begin), begin)


@dataclass(frozen=True)
class UploadOptions:
    """How a build is uploaded.

    `in_parts`: None decides by size. `resume`: what an earlier, interrupted upload of the same file had begun.
    `on_progress` is called with the bytes sent so far and the total, `on_begun` once there is something to resume.
    Both may be called from other threads.
    """

    in_parts: bool | None = None
    resume: PartialUpload | None = None
    on_progress: OnProgress = lambda *_: None
    on_begun: Callable[[PartialUpload], None] = lambda _: None


def upload(build: Path, options: UploadOptions) -> Flow[str]:
    """The key of the build in the stack's bucket.

    Raises:
        InputError: the file is missing, or too large for one request.
        UploadInterruptedError: parts could not be sent; what has come is kept for three days.
        ApiError, UnreachableError: as every call.
    """
    if not build.is_file():
        raise InputError(f"{build} is no file.", "Name the zip of a Linux build.")
    size_bytes = build.stat().st_size
    if size_bytes >= IN_PARTS_FROM_BYTES if options.in_parts is None else options.in_parts and size_bytes > 0:
        return (yield from _upload_in_parts(build, size_bytes, options))
    if size_bytes > LARGEST_WHOLE_BYTES:
        raise InputError(f"{build} is larger than 5 GiB, the most that one request takes.", "Send it in parts.")
    return (yield from _upload_whole(build, size_bytes, (yield calls.new_build(upload_name(build.name))), options))


def _upload_whole(build: Path, size_bytes: int, ticket: BuildUpload, options: UploadOptions) -> Flow[str]:
    body = FileSlice(build, size_bytes)
    yield PutFile(ticket.upload_url, body, ticket.method, ticket.headers, options.on_progress)
    return ticket.key


def _upload_in_parts(build: Path, size_bytes: int, options: UploadOptions) -> Flow[str]:
    begun, urls, came = options.resume, {}, None
    if begun is not None and begun.size_bytes == size_bytes:
        came = yield from _what_came(begun)
    if begun is None or came is None:
        ticket = yield calls.new_build(upload_name(build.name), size_bytes)
        if not isinstance(ticket, MultipartUpload):  # an API that knows nothing of parts
            return (yield from _upload_whole(build, size_bytes, ticket, options))
        begun = PartialUpload(ticket.build_id, ticket.key, size_bytes, ticket.part_size_bytes)
        urls, came = {part.number: part.upload_url for part in ticket.parts}, frozenset[int]()
    options.on_begun(begun)
    missing = [number for number in range(1, begun.part_count + 1) if number not in came]
    try:
        yield from _send(build, begun, missing, urls, options.on_progress)
        ready: Build = yield calls.complete_build(begun.build_id, size_bytes)
    except GamedojoError as error:
        if isinstance(error, UnreachableError) or (isinstance(error, ApiError) and error.is_transient):
            raise UploadInterruptedError(str(error), begun) from error
        raise
    return ready.key


def _what_came(begun: PartialUpload) -> Flow[frozenset[int] | None]:
    """The numbers of the parts that the bucket has; None: nothing is known of this upload any more."""
    try:
        found: Build = yield calls.get_build(begun.build_id)
    except ApiError as error:
        if error.status != 404:
            raise
        return None
    if not found.is_ready:
        return frozenset(found.parts)
    return frozenset(range(1, begun.part_count + 1)) if found.size_bytes == begun.size_bytes else None


def _send(
    build: Path, begun: PartialUpload, missing: list[int], urls: dict[int, str], on_progress: OnProgress
) -> Flow[None]:
    left_bytes = sum(begun.slice_of(build, number).size_bytes for number in missing)
    progress = TotalProgress(begun.size_bytes, begun.size_bytes - left_bytes, on_progress)
    failed: dict[int, GamedojoError] = {}
    for _ in range(ROUNDS):
        failed = {}
        for start in range(0, len(missing), PARTS_A_BATCH):
            batch = missing[start : start + PARTS_A_BATCH]
            known = urls if set(batch) <= set(urls) else (yield from _fresh_urls(begun, batch))
            files = tuple(
                PutFile(known[number], begun.slice_of(build, number), on_progress=progress.of_part(number))
                for number in batch
            )
            errors = yield PutFiles(files)
            wrong = {number: error for number, error in zip(batch, errors, strict=True) if error}
            for error in wrong.values():
                if isinstance(error, InputError):  # the file is no longer what it was
                    raise error
            if len(wrong) == len(batch) and all(isinstance(error, UnreachableError) for error in wrong.values()):
                raise UploadInterruptedError(str(wrong[batch[0]]), begun)  # nobody is there: more tries would be slow
            failed |= wrong
        if not failed:
            return
        missing, urls = sorted(failed), {}  # an hour has passed, or a URL was refused: new ones
    number, error = next(iter(failed.items()))
    raise UploadInterruptedError(f"{len(failed)} parts could not be sent; part {number}: {error}", begun) from error


def _fresh_urls(begun: PartialUpload, batch: list[int]) -> Flow[dict[int, str]]:
    """URLs of a batch, a run of numbers at a time: parts that came already lie in between."""
    urls: dict[int, str] = {}
    for number in batch:
        if number not in urls:
            answer: PartUrls = yield calls.get_part_urls(begun.build_id, number, min(batch[-1] - number + 1, MOST_URLS))
            urls |= {part.number: part.upload_url for part in answer.parts}
    return urls


def upload_name(file_name: str) -> str:
    """The name that an upload asks for: the file's, in the characters that the API takes, ending in .zip."""
    stem = file_name[:-4] if file_name.lower().endswith(".zip") else file_name
    stem = re.sub(r"[^A-Za-z0-9._ ()-]+", "-", stem)[:180].lstrip("._ ()-")
    return f"{stem or 'build'}.zip"
