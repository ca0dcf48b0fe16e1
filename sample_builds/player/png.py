"""Writes PNGs as `Texture2D.EncodeToPNG` does for camera and grid sensors: RGB, 8 bits, not interlaced.

(ISO/IEC 15948, the PNG specification: signature, IHDR, IDAT, IEND.)
"""

import struct
import zlib

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_RGB, _BITS = 2, 8
_NO_FILTER = b"\x00"
_LEVEL, _WINDOW_BITS, _MEMORY_LEVEL = 1, 12, 6
"""For zlib. Pictures of few plain colours shrink to next to nothing whatever is chosen, and of the time that a small
one takes most goes into clearing zlib's tables: 40 x 40 pixels take 10 microseconds with these, 70 with its defaults.
"""


def encode_png(pixels: bytes, width: int, height: int) -> bytes:
    """A PNG of `pixels`: rows from the top, 3 bytes a pixel.

    Raises:
        ValueError: there are not `width` times `height` of them.
    """
    row = 3 * width
    if len(pixels) != row * height:
        raise ValueError(f"{width} x {height} pixels take {row * height} bytes, not {len(pixels)}.")
    return encode_scanlines(
        b"".join([_NO_FILTER + pixels[start : start + row] for start in range(0, len(pixels), row)]), width, height
    )


def encode_scanlines(scanlines: bytes | bytearray, width: int, height: int) -> bytes:
    """The same for rows that have their filter byte already (0, for none, before each): `height` x (1 + 3 `width`)."""
    header = struct.pack(">IIBBBBB", width, height, _BITS, _RGB, 0, 0, 0)
    shrink = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW_BITS, _MEMORY_LEVEL)
    data = shrink.compress(scanlines) + shrink.flush()
    return b"".join((_SIGNATURE, _chunk(b"IHDR", header), _chunk(b"IDAT", data), _END))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return b"".join((struct.pack(">I", len(data)), kind, data, struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))))


_END = _chunk(b"IEND", b"")
