"""The raw messages of a session: the build's requests and the trainer's replies, in turn, each behind its length.

Standard library only: the environment of the reference client writes them.
"""

import struct
from collections.abc import Iterable
from pathlib import Path

FILE = "exchanges.bin"

_LENGTH = struct.Struct("<I")


def write_messages(path: Path, messages: Iterable[bytes]) -> None:
    """Write messages, each behind its length (4 bytes, little-endian)."""
    path.write_bytes(b"".join(_LENGTH.pack(len(message)) + message for message in messages))


def read_messages(path: Path) -> list[bytes]:
    """Read what `write_messages` has written."""
    data, messages, at = path.read_bytes(), [], 0
    while at < len(data):
        end = at + _LENGTH.size + _LENGTH.unpack_from(data, at)[0]
        messages.append(data[at + _LENGTH.size : end])
        at = end
    return messages
