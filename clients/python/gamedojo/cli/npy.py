"""Arrays from .npy files, without numpy: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html."""

import array
import ast
import math
import struct
import sys
from pathlib import Path
from typing import Any

from gamedojo.errors import InputError
from gamedojo.observations import Tensor

_MAGIC = b"\x93NUMPY"
_DTYPES = {"<f4": "float32", "<f2": "float16", "|u1": "uint8", "|b1": "uint8", "<i4": "int32", "<f8": "float64"}


def read_npy(path: Path, divisor: float = 1.0) -> Tensor:
    """The array of a file; float64 becomes float32.

    Raises:
        InputError: the file cannot be read, is no .npy file, or holds an array that cannot be sent.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    header, data = _parts(content, path)
    dtype, shape = _DTYPES.get(header["descr"]), header["shape"]
    if dtype is None or header["fortran_order"]:
        order = " in Fortran's order" if header["fortran_order"] else ""
        raise InputError(
            f"{path} holds {header['descr']}{order}.", f"Save one of {', '.join(_DTYPES)}, row by row (C order)."
        )
    size = int(header["descr"][2:])
    if len(data) != math.prod(shape) * size:
        raise InputError(f"{path} is cut off: it has {len(data)} bytes of numbers, not {math.prod(shape) * size}.")
    if dtype == "float64":
        dtype, data = "float32", _single(data)
    return Tensor(dtype, shape, data, divisor)


def _parts(content: bytes, path: Path) -> tuple[dict[str, Any], bytes]:
    try:
        if not content.startswith(_MAGIC):
            raise ValueError("other first bytes")
        width = 2 if content[6] == 1 else 4
        (length,) = struct.unpack_from("<H" if width == 2 else "<I", content, 8)
        begin = 8 + width
        header = ast.literal_eval(content[begin : begin + length].decode("latin-1"))
        shape = tuple(map(int, header["shape"]))
        return {"descr": str(header["descr"]), "fortran_order": bool(header["fortran_order"]), "shape": shape}, content[
            begin + length :
        ]
    except (ValueError, KeyError, TypeError, IndexError, SyntaxError, struct.error) as error:
        raise InputError(f"{path} is no .npy file.", "Write it with numpy.save.") from error


def _single(data: bytes) -> bytes:
    values = array.array("d", data)
    if sys.byteorder == "big":
        values.byteswap()
    return struct.pack(f"<{len(values)}f", *values)
