"""SIGTERM reaches a container's command although the service blocks the signal for itself."""

import os
import signal
import sys
import threading
from pathlib import Path

from local.sagemaker.processes import Command, ContainerProcess

WAITS_FOR_SIGTERM = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
print("ready", flush=True)
while True:
    signal.pause()
"""


def test_sigterm_reaches_a_command_whose_service_blocks_it(tmp_path: Path) -> None:
    ready = threading.Event()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
    try:
        process = ContainerProcess(
            Command([sys.executable, "-c", WAITS_FOR_SIGTERM], dict(os.environ), tmp_path),
            on_line=lambda line: ready.set() if line == "ready" else None,
            on_exit=lambda _code: None,
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    try:
        assert ready.wait(30)
        process.terminate()
        assert process.wait(30) == 7
    finally:
        process.kill()
        process.wait()
