"""The double's own clock: what SageMaker waits and counts, in seconds of its own, which may be shorter than ours.

At a scale of 0.01 a minute of the double takes 0.6 s, as it does in the emulator with SFN_WAIT_SCALE=0.01: a day of
polling is a matter of seconds. Scaled is what the platform decides (phases, MaxRuntimeInSeconds, bake times, the times
in answers); what a real process needs (SIGTERM to SIGKILL, /ping, an invocation) keeps real time.
"""

import threading
import time

_LOOK_SECONDS = 0.1
"""`advance` is noticed within so much real time."""


class Clock:
    """Begins at the real time, or later if the double has been further already."""

    def __init__(self, scale: float = 1.0, not_before: float = 0.0) -> None:
        """Make a clock.

        Args:
            scale: real seconds to a second of the double, above 0.
            not_before: seconds since 1970 that an earlier clock has reached.
        """
        self._scale = scale
        self._began = max(time.time(), not_before)
        self._began_monotonic = time.monotonic()
        self._advanced = 0.0
        self._lock = threading.Lock()

    def now(self) -> float:
        """Seconds since 1970; never goes back."""
        elapsed = (time.monotonic() - self._began_monotonic) / self._scale
        with self._lock:
            return self._began + elapsed + self._advanced

    def advance(self, seconds: float) -> float:
        """Jump ahead; returns the new time."""
        with self._lock:
            self._advanced += seconds
        return self.now()

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until the event is set, or so many of the double's seconds are over; True for the event."""
        deadline = self.now() + seconds
        while (left := deadline - self.now()) > 0:
            if event.wait(min(left * self._scale, _LOOK_SECONDS)):
                return True
        return event.is_set()
