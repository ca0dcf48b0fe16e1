"""HTTP without input or output: what is sent, and what an answer or its absence means in the client's errors."""

import ipaddress
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx

from gamedojo.errors import ApiError, InputError, UnexpectedAnswerError, UnreachableError, api_error

CHUNK_BYTES = 256 * 1024

OnProgress = Callable[[int, int], None]
"""Called with the bytes moved so far and the total."""


@dataclass(frozen=True)
class FileSlice:
    """`size_bytes` of a file from `offset_bytes` on, as the body of one request."""

    path: Path
    size_bytes: int
    offset_bytes: int = 0


@dataclass(frozen=True)
class PutFile:
    """A file, or a part of one, and the presigned URL that takes it."""

    url: str = field(repr=False)
    body: FileSlice
    method: str = "PUT"
    headers: dict[str, str] = field(default_factory=dict)
    on_progress: OnProgress = lambda *_: None

    @property
    def all_headers(self) -> dict[str, str]:
        """Content-Length is set by hand: S3 refuses chunked bodies without a length."""
        return {**self.headers, "content-length": str(self.body.size_bytes)}


@contextmanager
def files_in_words(path: Path) -> Iterator[None]:
    """Raises what the file system says as InputError, with the file's name."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}.", "Look at the file, its folder and the disk.") from error


@contextmanager
def appearing(target: Path) -> Iterator[Path]:
    """Where to write what shall be `target` once the block has ended well; otherwise nothing is left of it.

    Raises:
        InputError: it cannot be written.
    """
    part = target.with_name(target.name + ".part")
    with files_in_words(target):
        try:
            yield part
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)


def check_whole(file: PutFile, sent_bytes: int) -> None:
    """Raises InputError if a file had less to read than was promised when its sending began."""
    if sent_bytes != file.body.size_bytes:
        raise InputError(f"{file.body.path} became shorter while it was sent.", "Send it again once it is complete.")


def is_loopback(url: str) -> bool:
    """True for URLs of this machine's loopback interface, which no proxy of the environment can reach."""
    host = httpx.URL(url).host
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def parsed(response: httpx.Response) -> Any:
    """The JSON of a 2xx answer.

    Raises:
        ApiError: the API's error answer.
        UnexpectedAnswerError: a redirect, or a body that is no JSON.
    """
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


def check_stored(response: httpx.Response) -> None:
    """S3's errors are XML with a Code and a Message; raises them as ApiError. The body has been read."""
    if response.is_success:
        return
    code, message = (
        found[1] if (found := re.search(rf"<{tag}>([^<]*)</{tag}>", response.text)) else ""
        for tag in ("Code", "Message")
    )
    status = response.status_code if response.status_code != 500 else 503  # S3's InternalError asks to be retried
    raise ApiError(
        status=status,
        code=code or f"Http{response.status_code}",
        detail=f"The bucket answered: {message or response.reason_phrase or response.status_code}",
        remedy="The URL may have expired: try the command again." if response.status_code == 403 else "",
        retry_after_seconds=_retry_after_seconds(response),
    )


def unreachable(error: httpx.RequestError, url: str, attempts: int, *, may_be_done: bool = False) -> UnreachableError:
    """The error of a request that got no answer; `may_be_done`: it may have been carried out all the same."""
    address = httpx.URL(url)
    place = f"{address.scheme}://{address.netloc.decode()}"
    tried = f"tried {attempts} times" if attempts > 1 else "tried once"
    if isinstance(error, httpx.ConnectError):
        what = f"{place} cannot be reached: {error}"
    elif isinstance(error, httpx.TimeoutException):
        what = f"{place} did not answer in time"
    else:
        what = f"The connection to {place} broke: {error or type(error).__name__}"
    if may_be_done and not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        remedy = "What was asked for may have been done all the same: look at it before you ask again."
    elif is_loopback(url):
        remedy = "Is the local cloud up? `gamedojo local status` tells."
    else:
        remedy = "Check the URL and the network."
    return UnreachableError(f"{what} ({tried}).", remedy)


def _retry_after_seconds(response: httpx.Response) -> float | None:
    """The API sends seconds; whoever stands in between (a proxy, S3) may send a date. Neither: None."""
    text = response.headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    until, sent = _date(text), _date(response.headers.get("date", ""))
    if until is None:
        return None
    return max((until - (sent or datetime.now(UTC))).total_seconds(), 0.0)  # by the server's clock, if it tells it


def _date(text: str) -> datetime | None:
    """An HTTP date (RFC 9110, 5.6.7)."""
    try:
        found = parsedate_to_datetime(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _is_html(response: httpx.Response) -> bool:
    return "html" in str(response.headers.get("content-type", ""))
