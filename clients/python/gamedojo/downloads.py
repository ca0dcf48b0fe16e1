"""Files from somebody else's server: only over TLS, of a bounded size, whole or not at all, with their hash."""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from gamedojo.errors import DownloadError, InputError, UnreachableError
from gamedojo.wire import CHUNK_BYTES, OnProgress, files_in_words, is_loopback

MOST_REDIRECTS = 5
ATTEMPTS = 3
FIRST_PAUSE_SECONDS = 0.5
"""Before the second attempt; it doubles."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PASSING = frozenset({429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Downloaded:
    """A file that has come whole; its hash in hexadecimal."""

    path: Path
    sha256: str
    size_bytes: int


class Downloader:
    """Fetches files. What fails for passing reasons is tried again, from its beginning.

    Args:
        timeout_seconds: without a byte.
    """

    def __init__(self, *, timeout_seconds: float = 30.0) -> None:
        self._timeout = httpx.Timeout(timeout_seconds, connect=10.0)

    def fetch(self, url: str, target: Path, most_bytes: int, on_progress: OnProgress = lambda *_: None) -> Downloaded:
        """The file at a URL, written to `target`; nothing is left there if it fails.

        Args:
            url: https; http of this machine's loopback interface alone. Redirects are held to the same.
            target: the file to write.
            most_bytes: what it may have.
            on_progress: called with the bytes so far and the total, 0 where that is not told.

        Raises:
            InputError: the URL may not be fetched, or the file cannot be written.
            UnreachableError: no answer, or none that is whole, after every try.
            DownloadError: it is not there, is refused, or is larger than allowed.
        """
        with files_in_words(target):
            try:
                return self._with_retries(url, target, most_bytes, on_progress)
            except BaseException:
                target.unlink(missing_ok=True)
                raise

    def _with_retries(self, url: str, target: Path, most_bytes: int, on_progress: OnProgress) -> Downloaded:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with self._answer(url) as response:
                    return _written(response, target, most_bytes, on_progress)
            except (httpx.TransportError, httpx.DecodingError) as error:
                reason = str(error) or type(error).__name__
            except _BusyError as error:
                reason = f"it answered {error}"
            if attempt < ATTEMPTS:
                time.sleep(FIRST_PAUSE_SECONDS * 2.0 ** (attempt - 1))
        raise UnreachableError(f"{url} cannot be fetched: {reason} (tried {ATTEMPTS} times).")

    @contextmanager
    def _answer(self, url: str) -> Iterator[httpx.Response]:
        """The answer at the end of all redirects."""
        here = url
        for _ in range(MOST_REDIRECTS + 1):
            check_url(here, allows_loopback=is_loopback(url))
            with (
                httpx.Client(timeout=self._timeout, trust_env=not is_loopback(here)) as client,
                client.stream("GET", here, headers={"accept-encoding": "identity"}) as response,
            ):
                if response.status_code not in _REDIRECTS:
                    yield response
                    return
                here = str(response.url.join(response.headers.get("location", "")))
        raise DownloadError(f"{url} leads from one address to the next, more than {MOST_REDIRECTS} times.")


def check_url(url: str, *, allows_loopback: bool = True) -> None:
    """Raises InputError unless nobody in between can change what comes from there."""
    try:
        parts = httpx.URL(url)
    except (httpx.InvalidURL, ValueError) as error:
        raise InputError(f"{url!r:.200} is no URL: {error}.") from error
    if parts.scheme == "https" and parts.host:
        return
    if not (parts.scheme == "http" and allows_loopback and parts.host and is_loopback(url)):
        raise InputError(
            f"{url:.200} is not fetched: nobody warrants what comes from there.",
            "Give a URL that begins with https://.",
        )


class _BusyError(Exception):
    """A status that passes."""


def _written(response: httpx.Response, target: Path, most_bytes: int, on_progress: OnProgress) -> Downloaded:
    if response.status_code in _PASSING:
        raise _BusyError(response.status_code)
    if not response.is_success:
        raise DownloadError(
            f"{response.url} answers {response.status_code} {response.reason_phrase}.".replace(" .", ".")
        )
    length = response.headers.get("content-length", "")
    total = int(length) if length.isdecimal() else 0
    _check_size(response, total, most_bytes)
    digest, size = hashlib.sha256(), 0
    with target.open("wb") as file:
        for chunk in response.iter_bytes(CHUNK_BYTES):
            size += len(chunk)
            _check_size(response, size, most_bytes)
            digest.update(chunk)
            file.write(chunk)
            on_progress(size, total)
    return Downloaded(target, digest.hexdigest(), size)


def _check_size(response: httpx.Response, size_bytes: int, most_bytes: int) -> None:
    if size_bytes > most_bytes:
        raise DownloadError(
            f"{response.url} is larger than {most_bytes:,} bytes.", "A larger one may be allowed by --max-gb."
        )
