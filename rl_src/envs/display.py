"""An X display for cameras: Unity draws what an agent sees only where there is one (ml-agents, `-nographics`).

A machine that trains has no screen, so Xvfb, the X server that draws into memory, stands in for it.
"""

import contextlib
import os
import re
import secrets
import shutil
import socket
import struct
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from rl_src.envs.errors import DisplayMissingError
from rl_src.envs.player import Player, PlayerUser

STARTUP_SECONDS = 30.0
_POLL_SECONDS = 0.02
_CONNECT_SECONDS = 5.0

# Of 24 bits a pixel: Unity's OpenGL wants no less. The window's size is the engine configuration channel's to choose.
_SCREEN = "1280x1024x24"
_SOCKETS = Path("/tmp/.X11-unix")  # noqa: S108 - where X has its sockets
_TCP_PORT = 6000

# The shell opens descriptor 3 for it. Not 1 or 2: Xvfb closes the first as it starts, the other when it has written.
_START = 'exec "$@" 3>"$0"'
_NUMBER_DESCRIPTOR = "3"

_COOKIE_NAME = b"MIT-MAGIC-COOKIE-1"
_ANY_HOST = 0xFFFF  # FamilyWild of libXau's Xauth.h
_DISPLAY = re.compile(r"(?P<host>[^/]*):(?P<number>\d+)(\.\d+)?")
_ACCEPTED = b"\x01"


class VirtualDisplay:
    """An Xvfb of one trainer's own, for as many builds as it starts. Close it, or use it as a context manager.

    Xvfb picks its number itself and keeps it by a socket that is bound, so that two displays never want the same. It
    ends with the trainer, however that ends, as builds do (`Player`). It serves only who knows its cookie. After a
    trainer killed by SIGKILL its socket and cookie files stay in the temporary folder; they open nothing any more.

    Args:
        run_as: the user of the builds; Xvfb, which reads what untrusted builds send it, is dropped to the same.
        timeout_seconds: for its start, usually well below one.

    Raises:
        DisplayMissingError: Xvfb is not installed, or did not come up.
    """

    def __init__(self, run_as: PlayerUser | None = None, timeout_seconds: float = STARTUP_SECONDS) -> None:
        program = shutil.which("Xvfb")
        if program is None:
            raise DisplayMissingError("Cameras need a display, there is none, and Xvfb, which makes one, is missing.")
        # Open to others for passing through only: what is inside has owners of its own.
        self._folder = tempfile.TemporaryDirectory(prefix="display-")
        folder = Path(self._folder.name)
        folder.chmod(0o711)
        self._authority = folder / "authority"
        number_file = folder / "number"
        _write_private(self._authority, _authority_entry(secrets.token_bytes(16)), run_as)
        _write_private(number_file, b"", run_as)
        command = [program, "-displayfd", _NUMBER_DESCRIPTOR, "-screen", "0", _SCREEN]
        command += ["-nolisten", "tcp", "-noreset", "-auth", str(self._authority)]
        self._server = Player(["/bin/sh", "-c", _START, str(number_file), *command], folder / "xvfb.log", run_as)
        self._number: int | None = None
        try:
            self._number = self._wait_for_number(number_file, timeout_seconds)
        except BaseException:
            self.close()
            raise

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which a build finds the display and is let in."""
        return {"DISPLAY": f":{self._number}", "XAUTHORITY": str(self._authority)}

    @property
    def supervisor_pid(self) -> int:
        """The process id of the supervisor, whose child Xvfb is."""
        return self._server.supervisor_pid

    def is_alive(self) -> bool:
        """Whether Xvfb still runs."""
        return self._server.is_alive()

    def close(self) -> None:
        """End Xvfb. May be called twice."""
        if self._number is not None and self._server.is_alive():
            # A killed Xvfb leaves its socket's file. While it lives the number is its own, so no other's is removed.
            with contextlib.suppress(OSError):
                (_SOCKETS / f"X{self._number}").unlink()
        self._server.kill()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _wait_for_number(self, number_file: Path, timeout_seconds: float) -> int:
        """The display's number, which Xvfb writes when clients may connect."""
        deadline = time.monotonic() + timeout_seconds
        while not (text := number_file.read_text("ascii")).endswith("\n"):
            ended = self._server.poll()
            if ended is not None:
                raise DisplayMissingError(f"Xvfb ended as it started ({ended.describe()}).{self._last_words()}")
            if time.monotonic() >= deadline:
                raise DisplayMissingError(f"Xvfb did not come up within {timeout_seconds:g} s.{self._last_words()}")
            time.sleep(_POLL_SECONDS)
        return int(text)

    def _last_words(self) -> str:
        tail = self._server.log_tail()
        return f" It said:\n{tail}\n" if tail else " It said nothing."


def display_is_reachable(environment: Mapping[str, str]) -> bool:
    """Whether `DISPLAY` names an X server that lets a client in, with the cookies of `XAUTHORITY` or without."""
    match = _DISPLAY.fullmatch(environment.get("DISPLAY", ""))
    if match is None:
        return False
    number = int(match["number"])
    authority = Path(environment["XAUTHORITY"]) if environment.get("XAUTHORITY") else None
    cookies = list(_cookies(authority, number)) if authority else []
    return any(_lets_in(match["host"], number, cookie) for cookie in [*cookies, b""])


def _lets_in(host: str, number: int, cookie: bytes) -> bool:
    """The connection set-up of the X11 protocol (chapter 8): the first byte of the answer is 1 for yes."""
    name = _COOKIE_NAME if cookie else b""
    # Little-endian; protocol 11.0; the lengths of name and cookie, each then padded to four bytes.
    request = struct.pack("<BxHHHHxx", ord("l"), 11, 0, len(name), len(cookie)) + _padded(name) + _padded(cookie)
    for address in _addresses(host, number):
        try:
            with _connect(address) as sock:
                sock.sendall(request)
                return sock.recv(1) == _ACCEPTED
        except (OSError, UnicodeError):  # the other: of a host that can be no name
            continue
    return False


def _addresses(host: str, number: int) -> list[str | tuple[str, int]]:
    """Where the server may listen: a socket file, the same name in Linux' abstract space, or TCP."""
    if host and host != "unix":
        return [(host.strip("[]"), _TCP_PORT + number)]
    path = str(_SOCKETS / f"X{number}")
    return [path, "\0" + path]


def _connect(address: str | tuple[str, int]) -> socket.socket:
    if not isinstance(address, str):
        return socket.create_connection(address, _CONNECT_SECONDS)
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.settimeout(_CONNECT_SECONDS)
        sock.connect(address)
    except OSError:
        sock.close()
        raise
    return sock


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _authority_entry(cookie: bytes) -> bytes:
    """An Xauthority file of one cookie for whatever host and number: the number is not known yet (Xsecurity(7))."""
    fields = (b"", b"", _COOKIE_NAME, cookie)  # address, number, name, data
    return struct.pack(">H", _ANY_HOST) + b"".join(struct.pack(">H", len(item)) + item for item in fields)


def _cookies(authority: Path, number: int) -> Iterator[bytes]:
    """The cookies of an Xauthority file that may be for this display; what cannot be read yields none."""
    with contextlib.suppress(OSError, struct.error):
        data, offset = authority.read_bytes(), 0
        while offset < len(data):
            offset += 2  # the host's family; which host it is, the server knows best
            fields = []
            for _ in range(4):
                (length,) = struct.unpack_from(">H", data, offset)
                fields.append(data[offset + 2 : offset + 2 + length])
                offset += 2 + length
            _, entry_number, name, cookie = fields
            if name == _COOKIE_NAME and entry_number in (b"", str(number).encode()):
                yield cookie


def _write_private(path: Path, content: bytes, owner: PlayerUser | None) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)
    if owner is not None:
        os.chown(path, owner.uid, owner.gid)
