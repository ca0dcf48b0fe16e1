"""MessagePack, the writing half of it: a request with pictures in it is sent so. Answers are asked for as JSON.

https://github.com/msgpack/msgpack/blob/master/spec.md
"""

import struct
from typing import Any

from gamedojo.errors import InputError


def packed(value: Any) -> bytes:
    """The bytes of a document of dicts with text keys, lists, text, bytes, numbers, booleans and None.

    Raises:
        InputError: something else is in it, or an integer that has no 64 bits.
    """
    parts: list[bytes] = []
    _pack(value, parts)
    return b"".join(parts)


def _pack(value: Any, parts: list[bytes]) -> None:
    if value is None or isinstance(value, bool):
        parts.append({None: b"\xc0", False: b"\xc2", True: b"\xc3"}[value])
    elif isinstance(value, int):
        parts.append(_integer(value))
    elif isinstance(value, float):
        parts.append(struct.pack(">Bd", 0xCB, value))
    elif isinstance(value, str):
        text = value.encode()
        parts += [_head(len(text), (0xA0, 31), (0xD9, 0xDA, 0xDB)), text]
    elif isinstance(value, bytes):
        parts += [_head(len(value), None, (0xC4, 0xC5, 0xC6)), value]
    elif isinstance(value, list):
        parts.append(_head(len(value), (0x90, 15), (None, 0xDC, 0xDD)))
        for entry in value:
            _pack(entry, parts)
    elif isinstance(value, dict):
        parts.append(_head(len(value), (0x80, 15), (None, 0xDE, 0xDF)))
        for name, entry in value.items():
            _pack(name, parts)
            _pack(entry, parts)
    else:
        raise InputError(f"{type(value).__name__} has no place in a request.", "Send numbers, lists, text or bytes.")


def _integer(value: int) -> bytes:
    if -32 <= value <= 127:
        return struct.pack("b" if value < 0 else "B", value)
    if 0 <= value < 2**64:
        return struct.pack(">BQ", 0xCF, value)
    if -(2**63) <= value < 0:
        return struct.pack(">Bq", 0xD3, value)
    raise InputError(f"{value} has more than 64 bits.", "Send smaller numbers.")


def _head(length: int, fixed: tuple[int, int] | None, markers: tuple[int | None, int, int]) -> bytes:
    """A length in as few bytes as it needs: within the marker, or in 1, 2 or 4 after it."""
    if fixed is not None and length <= fixed[1]:
        return bytes([fixed[0] | length])
    eight, sixteen, thirty_two = markers
    if eight is not None and length < 2**8:
        return struct.pack(">BB", eight, length)
    if length < 2**16:
        return struct.pack(">BH", sixteen, length)
    return struct.pack(">BI", thirty_two, length)
