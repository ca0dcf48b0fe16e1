"""As much of the X11 protocol as it takes to know whether there is a display: connecting to it.

(X Window System Protocol, chapter 8, Connection Setup; Xsecurity(7) for the cookies of ~/.Xauthority.)
"""

import contextlib
import re
import socket
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

_DISPLAY = re.compile(r"(?:unix)?:(\d+)(?:\.\d+)?")
_SOCKETS = "/tmp/.X11-unix"  # noqa: S108 - where X has its sockets
_SECONDS = 5.0
_COOKIE_NAME = b"MIT-MAGIC-COOKIE-1"
_ACCEPTED = b"\x01"


def connect(environment: Mapping[str, str]) -> socket.socket | None:
    """A connection to the X server of this machine that `DISPLAY` names, once it has let us in; None when it does not.

    The cookies of `XAUTHORITY` (else `~/.Xauthority`) are shown one by one, then none.
    """
    match = _DISPLAY.fullmatch(environment.get("DISPLAY", ""))
    if match is None:
        return None
    authority = environment.get("XAUTHORITY") or str(Path(environment.get("HOME", "/")) / ".Xauthority")
    for cookie in (*_cookies(Path(authority)), b""):
        connection = _connected(f"{_SOCKETS}/X{match[1]}")
        if connection is None:
            return None
        with contextlib.suppress(OSError):
            connection.sendall(_set_up_request(cookie))
            if connection.recv(1) == _ACCEPTED:
                return connection
        connection.close()
    return None


def _connected(path: str) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(_SECONDS)
    try:
        connection.connect(path)
    except OSError:
        connection.close()
        return None
    return connection


def _set_up_request(cookie: bytes) -> bytes:
    """Byte order (l: little-endian), protocol 11.0, lengths of the cookie's name and of the cookie; both, padded."""
    name = _COOKIE_NAME if cookie else b""
    return struct.pack("<BxHHHHxx", ord("l"), 11, 0, len(name), len(cookie)) + _padded(name) + _padded(cookie)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _cookies(authority: Path) -> Iterator[bytes]:
    """The cookies of an Xauthority file; one that is missing or cut short yields what there is."""
    with contextlib.suppress(OSError, struct.error):
        data, offset = authority.read_bytes(), 0
        while offset < len(data):
            offset += 2  # the family of the host's address
            fields = []  # address, display number, name of the method, its data
            for _ in range(4):
                (length,) = struct.unpack_from(">H", data, offset)
                fields.append(data[offset + 2 : offset + 2 + length])
                offset += 2 + length
            if fields[2] == _COOKIE_NAME:
                yield fields[3]
