"""Progress lines: what is being done, and how long each step took."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Say = Callable[[str], None]


class Progress:
    """Tells steps to `say`, which prints a line."""

    def __init__(self, say: Say) -> None:
        self._say = say

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Announce a step, and its duration when it ends well."""
        began = time.monotonic()
        self._say(f"  … {what}")
        yield
        self._say(f"  ✓ {what} ({time.monotonic() - began:.1f} s)")

    def note(self, text: str) -> None:
        """A line of its own."""
        self._say(text)
