"""Runs the emulator so that no SIGKILL costs more than the last seconds: it saves its state as it goes.

    python -P durable_emulator.py DEPLOYED_FILE

By itself ministack (1.5.33) saves once, on SIGTERM. Here a thread saves each service whose state has changed, every
second; one whose state takes long to save less often, so that saving takes 5 % of a core at most. Nothing is saved
while DEPLOYED_FILE is not there: the stack is being deployed then, and of half a stack nobody can go on.

A program of its own, which imports nothing of ours: functions inherit the emulator's environment and must not find this
checkout in their PYTHONPATH.
"""

import hashlib
import logging
import pickle
import sys
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ministack import app
from ministack.core import persistence

_LOOK_SECONDS = 0.25
_LEAST_SECONDS = 1.0
_SHARE = 0.05
"""Of one core, at most so much goes into saving a service."""

_log = logging.getLogger(__name__)

GetState = Callable[[], Any]


class Saver:
    """Saves what has changed. A service that changes while it is read is read again at the next look."""

    def __init__(self, deployed: Path) -> None:
        self._deployed = deployed
        self._lock = threading.Lock()
        self._ended = False
        self._due: dict[str, float] = {}
        self._saved: dict[str, bytes] = {}
        self._unsaved: set[str] = set()

    def begin(self, load: Callable[[], None]) -> None:
        """Load what was saved, then save from now on: what is not loaded yet would be saved as empty."""
        load()
        threading.Thread(target=self._run, name="saver", daemon=True).start()

    def _run(self) -> None:
        while not self._ended:
            time.sleep(_LOOK_SECONDS)
            with self._lock:
                if not self._ended and self._deployed.is_file():
                    self._save_due(app._build_persistence_save_dict())

    def last(self, services: Mapping[str, GetState]) -> None:
        """The emulator's own save at its end; none of ours may write the same files any more."""
        with self._lock:
            self._ended = True
            persistence.save_all(dict(services))

    def _save_due(self, services: Mapping[str, GetState]) -> None:
        for name, get_state in services.items():
            began = time.monotonic()
            if began < self._due.get(name, 0.0):
                continue
            try:
                self._save(name, get_state())
            except RuntimeError:  # a dictionary that grew while it was copied
                continue
            except Exception as error:
                if name not in self._unsaved:
                    _log.warning("The state of %s cannot be saved before the end: %r", name, error)
                self._unsaved.add(name)
            self._due[name] = began + max(_LEAST_SECONDS, (time.monotonic() - began) / _SHARE)

    def _save(self, name: str, state: Any) -> None:
        digest = hashlib.sha256(pickle.dumps(state)).digest()
        if state is not None and digest != self._saved.get(name):
            persistence.save_state(name, state)
            self._saved[name] = digest


def main() -> None:
    """Run the emulator until SIGTERM."""
    saver = Saver(Path(sys.argv.pop()))
    logging.getLogger("persistence").setLevel(logging.WARNING)  # else a line for each save
    app._load_persisted_state = partial(saver.begin, app._load_persisted_state)
    app.save_all = saver.last
    app.main()


if __name__ == "__main__":
    main()
