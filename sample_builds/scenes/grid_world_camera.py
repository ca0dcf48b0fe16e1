"""What the camera above a GridWorld area sees: 84 x 64 pixels from straight above, walls to the left and right.

The view is as high as the grid; what it is wider than that shows the walls. (com.unity.ml-agents Examples/GridWorld:
GridArea.cs, Area.prefab. Shapes and colours are plain ones of our own: a blue square is the agent, a green plus and a
red ex are the goals.)
"""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

from sample_builds.player.png import encode_png
from sample_builds.player.scene import float_observation, observation_field, png_observation

SENSOR = "CameraSensor"
WIDTH, HEIGHT = 84, 64
SHAPE = (3, HEIGHT, WIDTH)

GROUND, LINE, WALL = bytes((217, 205, 180)), bytes((190, 178, 150)), bytes((96, 96, 96))
AGENT, PLUS, EX = bytes((40, 90, 230)), bytes((30, 170, 60)), bytes((220, 40, 40))
"""Colours: red, green, blue."""

Cell = tuple[int, int]
"""Along x (to the right) and z (up in the picture), from 0."""
Places = tuple[Cell, tuple[Cell, ...], tuple[Cell, ...]]
"""Where the agent, the plus goals and the ex goals are."""
Shape = Callable[[float, float], bool]
"""Whether a place in a cell belongs to it."""

_COMPRESSED_KEPT, _UNCOMPRESSED_KEPT = 16_384, 256
"""Pictures in memory: of the default grid all 13,800 (10 MB). As 32-bit numbers one takes 64 KB."""


class Camera:
    """Takes pictures of a grid, and remembers the latest.

    Args:
        size: cells along each side.
        compressed: as PNG; otherwise as numbers from 0 to 1.
        black: as Unity without graphics.
    """

    def __init__(self, size: int, *, compressed: bool = True, black: bool = False) -> None:
        self._edges = [round(cell * HEIGHT / size) for cell in range(size + 1)]
        self._left = (WIDTH - HEIGHT) // 2
        cells = [(x, z) for x in range(size) for z in range(size)]
        self._runs = {inside: {cell: self._runs_of(cell, inside) for cell in cells} for inside in _COLOURS}
        self._empty = self._draw_grid(cells)
        self._encode = _compressed if compressed else _uncompressed
        self.observe: Callable[[Places], bytes]
        """The picture, as the field that holds it in AgentInfoProto."""
        if black:
            nothing = self._encode(bytes(3 * WIDTH * HEIGHT))
            self.observe = lambda _places: nothing
        else:
            kept = _COMPRESSED_KEPT if compressed else _UNCOMPRESSED_KEPT
            self.observe = lru_cache(kept)(lambda places: self._encode(self.draw(*places)))

    def draw(self, agent: Cell, pluses: Sequence[Cell], exes: Sequence[Cell]) -> bytes:
        """The picture: rows from the top, 3 bytes a pixel."""
        picture = bytearray(self._empty)
        for cells, inside in ((pluses, _in_plus), (exes, _in_ex), ((agent,), _in_square)):
            for cell in cells:
                for at, colours in self._runs[inside][cell]:
                    picture[at : at + len(colours)] = colours
        return bytes(picture)

    def _draw_grid(self, cells: Sequence[Cell]) -> bytes:
        picture = bytearray(WALL * (WIDTH * HEIGHT))
        for cell in cells:
            for at, across, up in self._pixels(cell):
                picture[at : at + 3] = LINE if max(abs(across), abs(up)) > 0.9 else GROUND
        return bytes(picture)

    def _runs_of(self, cell: Cell, inside: Shape) -> list[tuple[int, bytes]]:
        """A shape as runs of pixels: where each begins in the picture, and its bytes."""
        runs: list[tuple[int, bytes]] = []
        for at, across, up in self._pixels(cell):
            if inside(across, up):
                begin, run = runs[-1] if runs else (0, b"")
                if begin + len(run) == at:
                    runs[-1] = begin, run + _COLOURS[inside]
                else:
                    runs.append((at, _COLOURS[inside]))
        return runs

    def _pixels(self, cell: Cell) -> Iterator[tuple[int, float, float]]:
        """Of each pixel of a cell: where it begins in the picture; its place in the cell, both ways from -1 to 1."""
        x, z = cell
        left, right, bottom, top = self._edges[x], self._edges[x + 1], self._edges[z], self._edges[z + 1]
        for row in range(bottom, top):
            up = 2 * (row - bottom + 0.5) / (top - bottom) - 1
            begin = (HEIGHT - 1 - row) * WIDTH + self._left
            for column in range(left, right):
                across = 2 * (column - left + 0.5) / (right - left) - 1
                yield 3 * (begin + column), across, up


def _in_square(across: float, up: float) -> bool:
    return abs(across) < 0.8 and abs(up) < 0.8


def _in_plus(across: float, up: float) -> bool:
    return min(abs(across), abs(up)) < 0.25 and max(abs(across), abs(up)) < 0.8


def _in_ex(across: float, up: float) -> bool:
    return abs(abs(across) - abs(up)) < 0.3 and max(abs(across), abs(up)) < 0.8


_COLOURS: dict[Shape, bytes] = {_in_square: AGENT, _in_plus: PLUS, _in_ex: EX}


# Neither picture has a channel mapping: ML-Agents' cameras send none unless they are stacked (CameraSensor.cs).


def _compressed(picture: bytes) -> bytes:
    return observation_field([png_observation(SENSOR, encode_png(picture, WIDTH, HEIGHT), SHAPE)])


def _uncompressed(picture: bytes) -> bytes:
    # Rows of pixels -> channels of rows.
    values = [value / 255 for channel in range(3) for value in picture[channel::3]]
    return observation_field([float_observation(SENSOR, values, SHAPE)])
