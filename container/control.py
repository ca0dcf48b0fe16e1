"""The control connection between host 1 and each other host: JSON lines over TCP.

    worker -> head   {"host": NAME}, {"joined": true}, {"leaving": true}
    head -> worker   {"address": ADDRESS:PORT, "token": TOKEN}, {"done": true}
    both             {"beat": true} every few seconds

A connection that ends, or is silent for `SILENCE_SECONDS`, is a host that was lost. Ray would notice, too, but in its
own time, and it has no word for "done".
"""

import contextlib
import json
import logging
import select
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

BEAT_SECONDS = 3.0
SILENCE_SECONDS = 30.0
_HELLO_SECONDS = 10.0
_LONGEST_LINE = 4096

log = logging.getLogger(__name__)


class LinkLostError(Exception):
    """The other side has ended the connection, is silent, or speaks something else."""


class Link:
    """One end of a control connection. `send` may be called by several threads, `receive` by one."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(True)
        connection.settimeout(SILENCE_SECONDS)  # for sending; receiving waits in poll
        self._connection = connection
        self._lock = threading.Lock()
        self._unread = b""
        self._heard_at = time.monotonic()
        self._beat_at = 0.0

    def send(self, message: Mapping[str, Any]) -> None:
        """Send one message.

        Raises:
            LinkLostError: it cannot be sent.
        """
        try:
            with self._lock:
                self._connection.sendall(json.dumps(message).encode() + b"\n")
        except OSError as error:
            raise LinkLostError(f"the connection broke ({error})") from error

    def receive(self, timeout_seconds: float) -> dict[str, Any] | None:
        """The next message that is no beat; None when time is up. Sends beats meanwhile.

        Raises:
            LinkLostError: there will be no more.
        """
        deadline = time.monotonic() + timeout_seconds
        while True:
            while b"\n" in self._unread:
                line, _, self._unread = self._unread.partition(b"\n")
                message = _read(line)
                if "beat" not in message:
                    return message
            now = time.monotonic()
            if now - self._beat_at >= BEAT_SECONDS:
                self._beat_at = now
                self.send({"beat": True})
            if self._listen(max(0.0, min(deadline - now, BEAT_SECONDS))):
                continue
            if now - self._heard_at >= SILENCE_SECONDS:
                raise LinkLostError(f"nothing was heard for {SILENCE_SECONDS:g} s")
            if now >= deadline:
                return None

    def close(self) -> None:
        """End the connection; a `receive` that waits in another thread ends, too."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()

    def _listen(self, seconds: float) -> bool:
        """Read what comes; whether anything came."""
        try:
            poll = select.poll()
            poll.register(self._connection, select.POLLIN)
            if not poll.poll(seconds * 1000):
                return False
            read = self._connection.recv(_LONGEST_LINE)
        except (OSError, ValueError) as error:  # ValueError: closed by another thread
            raise LinkLostError(f"the connection broke ({error})") from error
        if not read:
            raise LinkLostError("the connection was ended")
        self._heard_at = time.monotonic()
        self._unread += read
        if len(self._unread) > _LONGEST_LINE and b"\n" not in self._unread:
            raise LinkLostError("something else than the control protocol is spoken")
        return True


class ControlServer:
    """Host 1's end: knows which hosts have joined, and which were lost. Close it.

    Args:
        address: to listen on, and no other.
        port: to listen on.
        hosts: the names that may connect, once at a time.
        admits: whether a connection from this address may be the named host's.
        welcome: told to each host that connects: where the cluster is.
        on_lost: called, in a thread of its own, with the name of a host that was lost and why.

    Raises:
        OSError: the port is taken.
    """

    def __init__(
        self,
        address: str,
        port: int,
        hosts: frozenset[str],
        *,
        admits: Callable[[str, str], bool],
        welcome: Mapping[str, Any],
        on_lost: Callable[[str, str], None],
    ) -> None:
        self._hosts, self._admits, self._welcome, self._on_lost = hosts, admits, welcome, on_lost
        self._changed = threading.Condition()
        self._links: dict[str, Link] = {}
        self._joined: set[str] = set()
        self._lost: set[str] = set()
        self._threads: list[threading.Thread] = []
        self._closing = False
        self._socket = socket.create_server((address, port))
        self._socket.settimeout(0.5)
        self._run(self._accept)

    @property
    def missing(self) -> list[str]:
        """Hosts that have not joined yet, or were lost."""
        with self._changed:
            return sorted(self._hosts - self._joined)

    @property
    def lost(self) -> list[str]:
        """Hosts that had joined and were lost."""
        with self._changed:
            return sorted(self._lost)

    def wait(self, seconds: float) -> None:
        """Until something changes, or time is up."""
        with self._changed:
            self._changed.wait(seconds)

    def close(self) -> None:
        """Tell all hosts that the job is done, and end the connections. May be called twice."""
        with self._changed:
            self._closing = True
            links = list(self._links.values())
        self._threads[0].join()  # it looks up twice a second
        self._socket.close()
        for link in links:
            with contextlib.suppress(LinkLostError):
                link.send({"done": True})
        for thread in self._threads[1:]:
            thread.join(_HELLO_SECONDS)  # each host hangs up when it has read it
        for link in links:
            link.close()

    def _run(self, target: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True, name="control")
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closing:
            try:
                connection, peer = self._socket.accept()
            except TimeoutError:
                continue
            except OSError:
                continue  # who connected has gone already
            self._run(self._serve, Link(connection), peer[0])

    def _serve(self, link: Link, peer: str) -> None:
        """One connection, until its end."""
        host = None
        reason = "it left"
        try:
            host = self._greet(link, peer)
            while host is not None:
                message = link.receive(SILENCE_SECONDS)
                if message and message.get("leaving"):
                    break
                if message and message.get("joined"):
                    with self._changed:
                        self._joined.add(host)
                        self._lost.discard(host)
                        self._changed.notify_all()
        except LinkLostError as error:
            reason = str(error)
        finally:
            link.close()
            if host is not None:
                self._end(host, reason)

    def _greet(self, link: Link, peer: str) -> str | None:
        """The host's name; None for one that has no business here."""
        hello = link.receive(_HELLO_SECONDS) or {}
        host = hello.get("host")
        if not isinstance(host, str) or host not in self._hosts or not self._admits(host, peer):
            log.warning("a connection from %s was refused: it is of none of the hosts that are waited for", peer)
            return None
        with self._changed:
            if self._closing or host in self._links:
                log.warning("a second connection of %s was refused", host)
                return None
            self._links[host] = link
        try:
            link.send(self._welcome)
        except LinkLostError as error:
            self._end(host, str(error))
            return None
        return host

    def _end(self, host: str, reason: str) -> None:
        with self._changed:
            del self._links[host]
            was_lost = host in self._joined and not self._closing
            self._joined.discard(host)
            if was_lost:
                self._lost.add(host)
            self._changed.notify_all()
        if was_lost:
            self._on_lost(host, reason)


def _read(line: bytes) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except ValueError as error:
        raise LinkLostError("something else than the control protocol is spoken") from error
    if not isinstance(message, dict):
        raise LinkLostError("something else than the control protocol is spoken")
    return message
