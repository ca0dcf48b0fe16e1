"""Sends things to the emulator in batches from a thread of its own: whoever adds one never waits."""

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

Item = TypeVar("Item")

_MOST_WAITING = 200_000
"""Beyond this the oldest are dropped: an emulator that is gone must not fill the memory."""

_log = logging.getLogger(__name__)


class Publisher(Generic[Item]):
    """Batches of items for `send`; when it raises because the emulator cannot be reached, the batch is tried again."""

    def __init__(self, name: str, send: Callable[[list[Item]], None], *, interval_seconds: float) -> None:
        self._name = name
        self._send = send
        self._interval_seconds = interval_seconds
        self._waiting: deque[Item] = deque(maxlen=_MOST_WAITING)
        self._added = 0
        self._settled = 0  # sent, or given up
        self._failures = 0
        self._lock = threading.Lock()
        self._progress = threading.Condition()
        self._wake = threading.Event()
        self._closing = False
        self._healthy = True
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def add(self, item: Item) -> None:
        """Add one; returns at once."""
        with self._lock:
            self._waiting.append(item)
            self._added += 1

    def flush(self, timeout_seconds: float) -> bool:
        """Send what waits now; False if it did not go out in time, or the emulator cannot be reached."""
        with self._lock:
            wanted = self._added
        with self._progress:
            failures = self._failures
            self._wake.set()
            self._progress.wait_for(lambda: self._settled >= wanted or self._failures > failures, timeout_seconds)
            return self._settled >= wanted

    def close(self, timeout_seconds: float = 5.0) -> None:
        """Send what waits and end the thread."""
        self.flush(timeout_seconds)
        self._closing = True
        self._wake.set()
        self._thread.join(timeout_seconds)

    def _run(self) -> None:
        batch: list[Item] = []
        while not self._closing:
            self._wake.wait(self._interval_seconds)
            self._wake.clear()
            if not batch:
                with self._lock:
                    batch, self._waiting = list(self._waiting), deque(maxlen=_MOST_WAITING)
            if not batch:
                continue
            done = self._try(batch)
            with self._progress:
                self._settled += len(batch) if done else 0
                self._failures += 0 if done else 1
                self._progress.notify_all()
            batch = [] if done else batch

    def _try(self, batch: list[Item]) -> bool:
        """True when the batch needs no other try."""
        try:
            self._send(batch)
        except ClientError as error:
            _log.warning("%s: the emulator refused a batch of %d, given up: %s", self._name, len(batch), error)
        except BotoCoreError as error:
            if self._healthy:
                _log.warning("%s: the emulator cannot be reached, trying on: %s", self._name, error)
            self._healthy = False
            return False
        except Exception:
            _log.exception("%s: a batch of %d could not be sent, given up", self._name, len(batch))
        self._healthy = True
        return True
