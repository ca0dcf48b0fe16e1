"""The local cloud, up for as long as the demo needs it."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from demo.errors import DemoError
from gamedojo import Connection

_LOCAL = (sys.executable, "-m", "gamedojo.cli", "local")


@contextmanager
def local_cloud(*, keep_running: bool) -> Iterator[Connection]:
    """A local cloud that is up: the one that runs already, or one started here and ended here.

    Raises:
        DemoError: it does not come up; `gamedojo local up` has printed why.
    """
    connection = _connection()
    started = connection is None
    try:
        if connection is None:
            _up()
            connection = _connection()
        if connection is None:
            raise DemoError("The local cloud came up, but does not say where it is. See `gamedojo local status`.")
        yield connection
    finally:
        if started and not keep_running:
            _down()


def _up() -> None:
    # A session of its own, and one signal from here: Ctrl-C in the terminal would reach it twice otherwise. It then
    # clears up after itself, which is waited for.
    with subprocess.Popen([*_LOCAL, "up", "--detach"], start_new_session=True) as process:
        try:
            code = process.wait()
        except BaseException:
            process.send_signal(signal.SIGTERM)
            process.wait()
            raise
    if code:
        raise DemoError("The local cloud did not come up; the lines above say why.")


def _down() -> None:
    """End the cloud; a second Ctrl-C must not stop the stopping."""
    before = {
        number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    print("Ending the local cloud", flush=True)
    try:
        subprocess.run([*_LOCAL, "down"], check=False, start_new_session=True)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _connection() -> Connection | None:
    """Where the cloud is; None while it is not up. Variables that name a deployed stack play no part here."""
    done = subprocess.run([*_LOCAL, "status", "--json"], capture_output=True, text=True, check=False)
    try:
        document: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise DemoError(f"`gamedojo local status` failed:\n{done.stdout}{done.stderr}") from None
    found = document.get("connection")
    if done.returncode or not found:
        return None
    known = {name: value for name, value in found.items() if name in Connection.__dataclass_fields__}
    return Connection(**known, source="gamedojo local status")
