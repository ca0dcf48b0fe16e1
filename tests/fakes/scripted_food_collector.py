"""A hand-written player of the sample build FoodCollector: walks to the nearest food that it sees, around the bad."""

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]

NOTHING, FOOD, AGENT, WALL, BAD_FOOD, FROZEN_AGENT = range(6)
CELLS = 40
_ROWS, _COLUMNS = np.mgrid[:CELLS, :CELLS]
RIGHT, AHEAD = CELLS / 2 - 0.5 - _ROWS, _COLUMNS + 0.5 - CELLS / 2
"""Places of the cells, [40, 40], in metres to the right and ahead of the agent."""
_DISTANCE = np.hypot(RIGHT, AHEAD)
_ARRIVAL_SECONDS = 0.25
"""The agent aims at the speed that takes it to its goal in this time."""
_PUSH_A_DECISION = 10.0
"""Metres a second that an action of 1 adds until the next decision."""
_FASTEST = 20.0
_CLEARANCE, _DETOUR = 2.0, 30.0
"""How far from bad food a way should stay, and what distance it is worth to find another; metres."""


def collect(grid: FloatArray, vector: FloatArray) -> tuple[FloatArray, int]:
    """Continuous actions [3] and the choice for one agent. grid: [6, 40, 40]; vector: [4]."""
    food, wall, bad = grid[FOOD] > 0, grid[WALL] > 0, grid[BAD_FOOD] > 0
    if food.any():
        goal = _best(_places(food), _places(bad))
    else:
        goal = -5 * _direction(wall) if wall.any() else np.array([5.0, 0.0])
    wanted = goal / _ARRIVAL_SECONDS
    wanted *= min(1.0, _FASTEST / max(float(np.linalg.norm(wanted)), 1e-6))
    push = (wanted - vector[1::-1]) / _PUSH_A_DECISION
    push /= max(1.0, float(np.abs(push).max()))
    return np.array([*push, 0.0], np.float32), 0


def _places(there: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """[n, 2]: ahead, right."""
    return np.stack([AHEAD[there], RIGHT[there]], axis=1)


def _best(goals: npt.NDArray[np.float64], bad: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The goal that is near and has no bad food on the straight way to it. [n, 2], [m, 2] -> [2]."""
    distances = np.linalg.norm(goals, axis=1)
    directions = goals / distances[:, None]
    along = np.clip(directions @ bad.T, 0, distances[:, None])  # [n, m]
    gaps = np.linalg.norm(along[..., None] * directions[:, None] - bad, axis=2)
    blocked = (gaps < _CLEARANCE).any(axis=1)
    best: npt.NDArray[np.float64] = goals[np.argmin(distances + _DETOUR * blocked)]
    return best


def _direction(there: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """The mean direction (ahead, right) to these cells; zeros when there are none."""
    if not there.any():
        return np.zeros(2)
    return np.array([(AHEAD[there] / _DISTANCE[there]).mean(), (RIGHT[there] / _DISTANCE[there]).mean()])
