"""Reading MessagePack, as its specification describes it, without the extension types.

A request's arrays are binary, so that little is left to read besides: no library is worth its import here.
"""

from collections.abc import Callable
from struct import Struct

MAX_DEPTH = 32

_NUMBERS = {
    0xCA: Struct(">f"),
    0xCB: Struct(">d"),
    0xCC: Struct(">B"),
    0xCD: Struct(">H"),
    0xCE: Struct(">I"),
    0xCF: Struct(">Q"),
    0xD0: Struct(">b"),
    0xD1: Struct(">h"),
    0xD2: Struct(">i"),
    0xD3: Struct(">q"),
}
_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}
_U8, _U16, _U32 = Struct(">B"), Struct(">H"), Struct(">I")


class NotMessagePackError(ValueError):
    """The bytes are cut off, too deep, or of a type that is not read."""


def unpack(data: bytes) -> object:
    """The one value that the bytes hold: maps (of text) as dict, arrays as list, text as str, binary as bytes.

    Raises:
        NotMessagePackError: they hold none, or more than one.
    """
    reader = _Reader(data)
    value = reader.value(0)
    if reader.position != len(data):
        raise NotMessagePackError(f"{len(data) - reader.position} bytes follow the document")
    return value


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0
        self._sized: dict[int, tuple[Struct, Callable[[int, int], object]]] = {
            0xC4: (_U8, self._bytes),
            0xC5: (_U16, self._bytes),
            0xC6: (_U32, self._bytes),
            0xD9: (_U8, self._text),
            0xDA: (_U16, self._text),
            0xDB: (_U32, self._text),
            0xDC: (_U16, self._array),
            0xDD: (_U32, self._array),
            0xDE: (_U16, self._map),
            0xDF: (_U32, self._map),
        }

    def value(self, depth: int) -> object:
        if depth > MAX_DEPTH:
            raise NotMessagePackError(f"nested deeper than {MAX_DEPTH}")
        kind = self._take(1)[0]
        if kind <= 0x7F:
            return kind
        if kind >= 0xE0:
            return kind - 0x100
        if kind in _NUMBERS:
            return self._number(_NUMBERS[kind])
        if kind <= 0x8F:
            return self._map(kind & 0x0F, depth)
        if kind <= 0x9F:
            return self._array(kind & 0x0F, depth)
        if kind <= 0xBF:
            return self._text(kind & 0x1F, depth)
        if kind in _CONSTANTS:
            return _CONSTANTS[kind]
        if kind in self._sized:
            size, read = self._sized[kind]
            return read(int(self._number(size)), depth)
        raise NotMessagePackError(f"type 0x{kind:02x} is not read")

    def _number(self, form: Struct) -> int | float:
        number: int | float = form.unpack(self._take(form.size))[0]
        return number

    def _bytes(self, size: int, _: int) -> bytes:
        return self._take(size)

    def _text(self, size: int, _: int) -> str:
        try:
            return self._take(size).decode()
        except UnicodeDecodeError as error:
            raise NotMessagePackError(f"text is no UTF-8: {error}") from error

    def _array(self, count: int, depth: int) -> list[object]:
        self._check_room(count)
        return [self.value(depth + 1) for _ in range(count)]

    def _map(self, count: int, depth: int) -> dict[str, object]:
        self._check_room(2 * count)
        found: dict[str, object] = {}
        for _ in range(count):
            name = self.value(depth + 1)
            if not isinstance(name, str):
                raise NotMessagePackError("a map has a key that is no text")
            found[name] = self.value(depth + 1)
        return found

    def _check_room(self, values: int) -> None:
        """Each value has a byte at least: a count that cannot be true reserves no memory."""
        if values > len(self.data) - self.position:
            raise NotMessagePackError("cut off")

    def _take(self, size: int) -> bytes:
        end = self.position + size
        if end > len(self.data):
            raise NotMessagePackError("cut off")
        taken = self.data[self.position : end]
        self.position = end
        return taken
