"""A hand-written player of the sample build GridWorld, which finds its way by the picture alone."""

from collections import deque
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

STAY, UP, DOWN, LEFT, RIGHT = range(5)
SIZE = 5
_MOVES = {UP: (0, 1), DOWN: (0, -1), LEFT: (-1, 0), RIGHT: (1, 0)}

FloatArray = npt.NDArray[np.float32]
Cell = tuple[int, int]


def cell_of(mask: npt.NDArray[np.bool_]) -> Cell | None:
    """The cell (x to the right, z up) of the pixels [64, 84] that are set; None when there are none."""
    rows, columns = np.nonzero(mask)
    if not len(rows):
        return None
    return int((columns.mean() - 10) * SIZE / 64), int((64 - rows.mean()) * SIZE / 64)


def cells_in(picture: FloatArray) -> tuple[Cell | None, Cell | None, Cell | None]:
    """Where the blue agent, the green plus and the red ex are. picture: [3, 64, 84], 0 to 1."""
    red, green, blue = picture
    return (
        cell_of((blue > 0.8) & (red < 0.5)),
        cell_of((green > 0.6) & (red < 0.3)),
        cell_of((red > 0.8) & (green < 0.3)),
    )


def choose(picture: FloatArray, signal: FloatArray) -> int:
    """The first move of a shortest way to the goal that was told, around the other one."""
    agent, *goals = cells_in(picture)
    told = int(np.argmax(signal))
    assert agent is not None
    goal, other = goals[told], goals[1 - told]
    ways = deque([(agent, STAY)])
    seen = {agent, other}
    while ways:
        cell, first = ways.popleft()
        if cell == goal:
            return first
        for move, neighbour in _neighbours(cell):
            if neighbour not in seen:
                seen.add(neighbour)
                ways.append((neighbour, first or move))
    return STAY


def _neighbours(cell: Cell) -> Iterator[tuple[int, Cell]]:
    for move, (across, up) in _MOVES.items():
        x, z = cell[0] + across, cell[1] + up
        if 0 <= x < SIZE and 0 <= z < SIZE:
            yield move, (x, z)
