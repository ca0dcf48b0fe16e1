"""What an agent of FoodCollector sees: a grid sensor of 40 x 40 cells of 1 m that turns with it.

Each cell is one-hot: nothing, food, agent, wall, bad food or frozen agent; of several things in a cell, the one nearest
to the agent. Six channels travel as two PNGs of three, one behind the other, without a channel mapping.

In the picture columns lead from behind the agent to ahead of it, rows from its right (top) to its left: ML-Agents fills
the picture cell by cell, x by x, from its bottom row. (com.unity.ml-agents Runtime/Sensors: GridSensorBase.cs,
OneHotGridSensor.cs, BoxOverlapChecker.cs. The class of package 2.0 and later has no channel for "nothing" any more;
this scene keeps the documented six.)
"""

from collections.abc import Iterable, Iterator
from math import hypot

from sample_builds.player.png import encode_scanlines
from sample_builds.player.scene import observation_field, png_observation

SENSOR = "GridSensor-OneHot"
CELLS = 40
NOTHING, FOOD, AGENT, WALL, BAD_FOOD, FROZEN_AGENT = range(6)
SHAPE = (6, CELLS, CELLS)

REACH = hypot(CELLS / 2, CELLS / 2)
"""How far from the agent the grid's corners are."""

_HALF = CELLS / 2
_SCANLINE = 1 + 3 * CELLS
# What a row of equal cells is in the first picture, and in the second.
_FIRST = [bytes(255 * (channel == kind) for channel in range(3)) * CELLS for kind in range(6)]
_SECOND = [bytes(255 * (channel + 3 == kind) for channel in range(3)) * CELLS for kind in range(6)]
_EMPTY_FIRST = (b"\x00" + _FIRST[NOTHING]) * CELLS
_EMPTY_SECOND = (b"\x00" + _SECOND[NOTHING]) * CELLS

Thing = tuple[float, float, float, int]
"""Place (to the right and ahead of the agent), half size and kind. Metres."""
Segment = tuple[float, float, float, float]
"""From one place (to the right and ahead of the agent) to another. Metres."""


def observe(walls: Iterable[Segment], things: Iterable[Thing]) -> bytes:
    """The field that holds the observation in AgentInfoProto."""
    first, second = bytearray(_EMPTY_FIRST), bytearray(_EMPTY_SECOND)
    wall_first, wall_second = _FIRST[WALL][:3], _SECOND[WALL][:3]
    for wall in walls:
        for at in _wall_cells(*wall):
            first[at : at + 3] = wall_first
            second[at : at + 3] = wall_second
    # What comes later covers what is there, so the nearest comes last.
    for right, ahead, half_size, kind in sorted(things, key=_nearness):
        left_column, right_column = _cells_between(ahead - half_size, ahead + half_size)
        low, high = _cells_between(right - half_size, right + half_size)
        width = 3 * (right_column - left_column)
        for x in range(low, high):
            at = (CELLS - 1 - x) * _SCANLINE + 1 + 3 * left_column
            first[at : at + width] = _FIRST[kind][:width]
            second[at : at + width] = _SECOND[kind][:width]
    pictures = encode_scanlines(first, CELLS, CELLS) + encode_scanlines(second, CELLS, CELLS)
    return observation_field([png_observation(SENSOR, pictures, SHAPE)])


def _nearness(thing: Thing) -> float:
    return -(thing[0] * thing[0]) - thing[1] * thing[1]


def _cells_between(begin: float, end: float) -> tuple[int, int]:
    """The first cell that a thing reaches along an axis, and the one behind the last; equal when it is off the grid."""
    low, high = int(begin + CELLS) - CELLS // 2, int(end + CELLS) - CELLS // 2 + 1
    return (0 if low < 0 else CELLS if low > CELLS else low), (0 if high < 0 else CELLS if high > CELLS else high)


def _wall_cells(from_right: float, from_ahead: float, to_right: float, to_ahead: float) -> Iterator[int]:
    """Where the cells of a wall begin in a picture: one of each row, or of each column if it crosses more of those."""
    if abs(to_right - from_right) > abs(to_ahead - from_ahead):
        ends = sorted(((from_right + _HALF, from_ahead + _HALF), (to_right + _HALF, to_ahead + _HALF)))
        major_stride, minor_stride = -_SCANLINE, 3
    else:
        ends = sorted(((from_ahead + _HALF, from_right + _HALF), (to_ahead + _HALF, to_right + _HALF)))
        major_stride, minor_stride = 3, -_SCANLINE
    (begin, side), (end, end_side) = ends
    slope = (end_side - side) / (end - begin)
    side += slope * (0.5 - begin)
    corner = (CELLS - 1) * _SCANLINE + 1  # of the cell to the left of and behind the agent
    for major in range(max(int(begin), 0), min(int(end) + 1, CELLS)):
        minor = side + slope * major
        if 0.0 <= minor < CELLS:
            yield corner + major * major_stride + int(minor) * minor_stride
