"""What the game looks like now, as a few shapes: for replays, where nothing is drawn (docs/replays.md).

Units are the game's own; x leads to the right and y upwards from the lower left corner.
"""

import json
from math import cos, sin
from typing import Any

GROUND, LINE, INK = "#e8ebf0", "#8a94a6", "#2b3240"
BLUE, PURPLE, GREEN, RED, ORANGE = "#2f6fde", "#8b3fc7", "#2f9e55", "#d64545", "#e08a1e"


class Sketch:
    """A sheet of `width` x `height`. Later shapes cover earlier ones."""

    def __init__(self, width: float, height: float) -> None:
        self._document: dict[str, Any] = {"size": [width, height], "shapes": []}
        self.left = self.bottom = 0.0
        """Where the next shapes have their origin."""

    def circle(self, x: float, y: float, radius: float, color: str) -> None:
        """A disc around a point."""
        self._add("circle", *self._place(x, y), radius, color)

    def rectangle(self, x: float, y: float, width: float, height: float, color: str) -> None:
        """By its lower left corner."""
        self._add("rectangle", *self._place(x, y), width, height, color)

    def line(self, start: tuple[float, float], end: tuple[float, float], width: float, color: str) -> None:
        """From one point to another."""
        self._add("line", *self._place(*start), *self._place(*end), width, color)

    def text(self, x: float, y: float, text: str, color: str = INK) -> None:
        """A short text around a point."""
        self._add("text", *self._place(x, y), text, color)

    def agent(self, x: float, y: float, yaw: float, radius: float, color: str) -> None:
        """A disc with a line to where it looks: `yaw` in radians, clockwise from up."""
        self.circle(x, y, radius, color)
        self.line((x, y), (x + 1.8 * radius * sin(yaw), y + 1.8 * radius * cos(yaw)), 0.5 * radius, INK)

    def to_text(self) -> str:
        """As it travels."""
        return json.dumps(self._document, separators=(",", ":"))

    def _place(self, x: float, y: float) -> tuple[float, float]:
        return round(self.left + x, 3), round(self.bottom + y, 3)

    def _add(self, *shape: Any) -> None:
        self._document["shapes"].append(shape)
