"""Looking again and again at what another process or thread will bring about."""

import time
from collections.abc import Callable
from typing import Any


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 60, *, pause_seconds: float = 0.02) -> Any:
    """The first true value of `condition`."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what}: not after {seconds:g} s"
        time.sleep(pause_seconds)
    return value
