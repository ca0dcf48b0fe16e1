"""Runs a service, and starts it again when it was killed.

    python -m local.keeper COMMAND...

A service that ends with an exit status had its reason (a port that is taken, a config that is wrong), and the keeper
ends with the same status. One that a signal has ended, by the kernel's out-of-memory killer, a crash or a hand, is
started again: a cloud's own service comes back, too. SIGTERM to the keeper is SIGTERM to the service; should the keeper
itself be killed, the service gets SIGTERM (PR_SET_PDEATHSIG), so that nothing runs unwatched.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

_PR_SET_PDEATHSIG = 1
_END = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
_FIRST_PAUSE_SECONDS = 0.5
_LAST_PAUSE_SECONDS = 30.0
_STEADY_SECONDS = 60.0
"""Who ran so long gets the first pause again."""


def keep(command: Sequence[str]) -> int:
    """Run until the service ends by itself or is told to; returns its exit status, 128 + n for signal n."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {*_END, signal.SIGCHLD})
    pause = _FIRST_PAUSE_SECONDS
    while True:
        began = time.monotonic()
        service = subprocess.Popen(command, preexec_fn=_child_of(os.getpid()))  # noqa: PLW1509 - no thread is here
        status, told = _wait(service)
        if told or status >= 0:
            return status if status >= 0 else 128 - status
        if time.monotonic() - began >= _STEADY_SECONDS:
            pause = _FIRST_PAUSE_SECONDS
        print(f"The service was killed by signal {-status}; it is started again in {pause:g} s.", flush=True)
        if signal.sigtimedwait(_END, pause) is not None:
            return 128 - status
        pause = min(2 * pause, _LAST_PAUSE_SECONDS)


def _wait(service: subprocess.Popen[bytes]) -> tuple[int, bool]:
    """The service's return code, and whether it was told to end."""
    told = False
    while (status := service.poll()) is None:
        if signal.sigwait({*_END, signal.SIGCHLD}) in _END:
            told = True
            service.terminate()
    return status, told


def _child_of(keeper: int) -> Callable[[], None]:
    libc = ctypes.CDLL(None, use_errno=True)

    def prepare() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != keeper:  # it ended before we asked
            os._exit(128 + signal.SIGTERM)
        signal.pthread_sigmask(signal.SIG_SETMASK, set())

    return prepare


if __name__ == "__main__":
    sys.exit(keep(sys.argv[1:]))
