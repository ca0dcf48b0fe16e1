"""Learning in a process of its own, so that it does not share an interpreter with playing.

A learner in a thread waits for the interpreter's lock again and again: with eight builds of 5 ms, updates that take
0.7 s of computing took 4.8 s (2 cores, a network of two layers of 64).

The process is started before it is known what is to be learned: importing RLlib takes seconds, as starting builds does.
It holds the learners of all behaviors. Requests and answers are pickles, over a socket pair that only the two have.
"""

import contextlib
import ctypes
import gc
import logging
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import traceback
from multiprocessing.connection import Connection
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rl_src.training.errors import LearnerLostError

if TYPE_CHECKING:
    from rl_src.training.algorithms.learners import Learner

_PR_SET_PDEATHSIG = 1
_SECONDS_TO_END = 5.0
_NICENESS = 10
_PROGRAM = """
import sys
sys.path[:] = {path!r}
from rl_src.training.algorithms.learner_process import serve
serve({fd}, {pid})
"""


class LearnerProcess:
    """Holds learners, each by a name. Close it, or use it as a context manager. Calls may come from any thread."""

    def __init__(self) -> None:
        own, other = socket.socketpair()
        self._lock = threading.Lock()
        with other:
            program = _PROGRAM.format(path=sys.path, fd=other.fileno(), pid=os.getpid())
            self._process = subprocess.Popen(
                [sys.executable, "-c", program], pass_fds=[other.fileno()], stdin=subprocess.DEVNULL
            )
        self._connection = Connection(own.detach())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def call(self, name: str, method: str, *arguments: Any) -> Any:
        """Have a learner do something, and wait for it.

        Raises:
            LearnerLostError: the process has ended.
            Exception: whatever the learner raised.
        """
        request = pickle.dumps((name, method, arguments), pickle.HIGHEST_PROTOCOL)
        try:
            with self._lock:
                self._connection.send_bytes(request)
                succeeded, answer = pickle.loads(self._connection.recv_bytes())  # noqa: S301 - of our own child
        except (EOFError, OSError) as error:
            raise self._lost() from error
        if not succeeded:
            raise answer
        return answer

    def close(self) -> None:
        """End the process. May be called twice."""
        self._connection.close()  # which ends it, once it is done with what it does
        try:
            self._process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _lost(self) -> LearnerLostError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_SECONDS_TO_END)
        code = self._process.poll()
        if code is not None and code < 0:
            return LearnerLostError(f"The learner's process was ended by signal {signal.Signals(-code).name}.")
        return LearnerLostError(f"The learner's process ended with exit code {code}; the log has its last words.")


def serve(descriptor: int, parent: int) -> None:
    """In the process: hold learners until the other end of the connection is closed."""
    # Whoever is asked to stop is the parent, which ends us when it is done; should it be killed, so are we.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with contextlib.suppress(OSError, AttributeError):  # Linux only; elsewhere the connection's end has to do
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        return
    # Learning has until the next batch is full; a build's message that waits is time lost.
    os.nice(_NICENESS)
    logging.basicConfig(format="%(levelname)s %(message)s")
    from rl_src.training.algorithms import remote_learner

    gc.freeze()  # what was imported stays; to look through it for garbage takes a fifth of a second each time
    learners: dict[str, Learner] = {}
    with Connection(descriptor) as connection, contextlib.suppress(EOFError, ConnectionError):
        while True:
            name, method, arguments = pickle.loads(connection.recv_bytes())  # noqa: S301 - of the process that started us
            try:
                answer = (True, getattr(remote_learner, f"serve_{method}")(learners, name, *arguments))
            except Exception as error:
                error.add_note(f"In the learner's process:\n{traceback.format_exc()}")
                answer = (False, error)
            connection.send_bytes(_pickled(answer))


def _pickled(answer: tuple[bool, Any]) -> bytes:
    try:
        return pickle.dumps(answer, pickle.HIGHEST_PROTOCOL)
    except Exception:
        if answer[0]:
            raise
        return pickle.dumps((False, RuntimeError("".join(traceback.format_exception(answer[1])))))
