"""A build's sketch of its game, checked and drawn. What it may hold: docs/replays.md."""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageDraw, ImageFont

MAX_SHAPES = 1_000
MAX_TEXT = 40
MAX_SIDE_RATIO = 8.0
"""Of the longer side to the shorter one."""

PAPER = "#ffffff"
_COLOR = re.compile("#[0-9a-f]{6}", re.IGNORECASE)
_FINER = 2
"""Drawn so many times larger, then made smaller: edges become smooth."""

_LETTER_SHARE = 1 / 18
"""A text's height, as a part of the picture's longer side."""


class InvalidSketchError(ValueError):
    """It is no sketch; says why."""


@dataclass(frozen=True)
class Sketch:
    """Width and height in the game's units, and shapes with their numbers, text and colour."""

    width: float
    height: float
    shapes: tuple[tuple[Any, ...], ...]

    @classmethod
    def read(cls, text: bytes) -> "Sketch":
        """Of a build's message.

        Raises:
            InvalidSketchError: it is none.
        """
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InvalidSketchError(f"it is no JSON ({error})") from error
        if not isinstance(document, Mapping) or not isinstance(document.get("shapes"), list):
            raise InvalidSketchError("it has no list of shapes")
        shapes = document["shapes"]
        size = document.get("size")
        if not (isinstance(size, list) and len(size) == 2 and all(_is_number(side) and side > 0 for side in size)):
            raise InvalidSketchError("its size is not two positive numbers")
        if max(size) / min(size) > MAX_SIDE_RATIO:
            raise InvalidSketchError(f"one side is more than {MAX_SIDE_RATIO:g} times the other")
        if len(shapes) > MAX_SHAPES:
            raise InvalidSketchError(f"it has more than {MAX_SHAPES} shapes")
        return cls(float(size[0]), float(size[1]), tuple(_shape(item, _FARTHEST_SIDES * max(size)) for item in shapes))

    def draw(self, longer_side: int) -> Image.Image:
        """As a picture whose longer side has so many pixels."""
        scale = longer_side / max(self.width, self.height)
        width, height = (max(1, round(side * scale)) for side in (self.width, self.height))
        picture = Image.new("RGB", (width * _FINER, height * _FINER), PAPER)
        pencil = ImageDraw.Draw(picture)
        font = ImageFont.load_default(longer_side * _FINER * _LETTER_SHARE)
        for kind, *values in self.shapes:
            _DRAWERS[kind](_Sheet(pencil, scale * _FINER, picture.height, font), *values)
        return picture.reduce(_FINER)


@dataclass(frozen=True)
class _Sheet:
    """Where shapes are drawn: `scale` pixels a unit, y upwards from the bottom of `height` pixels."""

    pencil: ImageDraw.ImageDraw
    scale: float
    height: int
    font: Any

    def point(self, x: float, y: float) -> tuple[float, float]:
        return x * self.scale, self.height - y * self.scale


def _circle(sheet: _Sheet, x: float, y: float, radius: float, color: str) -> None:
    left, top = sheet.point(x - radius, y + radius)
    right, bottom = sheet.point(x + radius, y - radius)
    sheet.pencil.ellipse((left, top, right, bottom), fill=color)


def _rectangle(sheet: _Sheet, x: float, y: float, width: float, height: float, color: str) -> None:
    left, top = sheet.point(x, y + height)
    right, bottom = sheet.point(x + width, y)
    sheet.pencil.rectangle((left, top, right, bottom), fill=color)


def _line(sheet: _Sheet, x: float, y: float, to_x: float, to_y: float, width: float, color: str) -> None:
    points = (*sheet.point(x, y), *sheet.point(to_x, to_y))
    sheet.pencil.line(points, fill=color, width=max(1, round(width * sheet.scale)))


def _text(sheet: _Sheet, x: float, y: float, text: str, color: str) -> None:
    sheet.pencil.text(sheet.point(x, y), text, fill=color, font=sheet.font, anchor="mm")


_DRAWERS: dict[str, Callable[..., None]] = {"circle": _circle, "rectangle": _rectangle, "line": _line, "text": _text}
_NUMBERS = {"circle": 3, "rectangle": 4, "line": 5, "text": 2}
_NEVER_NEGATIVE = {"circle": (2,), "rectangle": (2, 3), "line": (4,), "text": ()}
_LARGEST = 1e6
_FARTHEST_SIDES = 4.0
"""A shape's numbers are at most so many times the longer side: what lies far outside costs time and shows nothing."""


def _shape(item: object, farthest: float) -> tuple[Any, ...]:
    if not isinstance(item, list) or not item or item[0] not in _DRAWERS:
        raise InvalidSketchError(f"a shape is none of {', '.join(_DRAWERS)}: {str(item)[:60]}")
    kind, *values = item
    numbers, rest = values[: _NUMBERS[kind]], values[_NUMBERS[kind] :]
    words = 2 if kind == "text" else 1
    whole = len(numbers) == _NUMBERS[kind] and len(rest) == words and all(isinstance(word, str) for word in rest)
    if not whole or not all(_is_number(number) for number in numbers):
        raise InvalidSketchError(f"a {kind} is incomplete: {str(item)[:60]}")
    if any(abs(number) > farthest for number in numbers):
        raise InvalidSketchError(f"a {kind} lies far outside: {str(item)[:60]}")
    if any(numbers[index] < 0 for index in _NEVER_NEGATIVE[kind]):
        raise InvalidSketchError(f"a {kind} has a negative size")
    if not _COLOR.fullmatch(rest[-1]):
        raise InvalidSketchError(f"a colour is not #rrggbb: {rest[-1][:20]}")
    return (kind, *numbers, *(word[:MAX_TEXT] for word in rest))


def _is_number(value: object) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and abs(value) <= _LARGEST  # type: ignore[arg-type]
