"""Which failed requests are sent again, and after what pause. No input or output here: both transports ask this."""

import random
from dataclasses import dataclass
from enum import Enum

import httpx

from gamedojo.errors import ApiError, InputError
from gamedojo.wire import unreachable


class Repeat(Enum):
    """Whether a request may be sent again when nobody knows what became of it."""

    SAFE = "safe"
    """Sent twice is as good as sent once: reads, deletions, uploads, predictions, a start with an Idempotency-Key."""
    UNLESS_DONE = "unless done"
    """Only when the first one certainly did nothing: the connection was refused, or the API turned it away."""


TURNED_AWAY = frozenset({429, 503})
"""The API says that it has not done what was asked, and when to ask again."""

_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


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

    def pause_seconds(self, error: Exception, attempt: int, url: str, repeat: Repeat) -> float:
        """How long to wait before the next attempt.

        Args:
            error: what the attempt came to.
            attempt: its number, from 1 on.
            url: what was asked.
            repeat: whether it may be sent again.

        Raises:
            ApiError: `error` itself, when it will not get better or there were enough attempts.
            UnreachableError: no answer, and no further attempt.
            InputError: the URL is none.
        """
        if isinstance(error, httpx.InvalidURL):
            raise InputError(f"{url!r} is no URL: {error}.") from error
        over = attempt >= self.attempts
        if isinstance(error, ApiError):
            again = error.is_transient if repeat is Repeat.SAFE else error.status in TURNED_AWAY
            if over or not again:
                raise error
            return self.delay_seconds(attempt, error.retry_after_seconds, _jitter())
        if not isinstance(error, httpx.TransportError | httpx.DecodingError):
            raise error
        never = isinstance(error, httpx.UnsupportedProtocol)
        if over or never or (repeat is Repeat.UNLESS_DONE and not isinstance(error, _NEVER_SENT)):
            raise unreachable(error, url, attempt, may_be_done=repeat is Repeat.UNLESS_DONE) from error
        return self.delay_seconds(attempt, jitter=_jitter())


def _jitter() -> float:
    """In [0, 1): clients that failed together do not come back together."""
    return random.random()  # noqa: S311 - no secret hangs on it
