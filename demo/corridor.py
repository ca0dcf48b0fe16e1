"""Basic's corridor: 20 cells in a row, what the policy does in each, and where that leads.

The rules are those of ML-Agents' example Basic: the agent starts in cell 10; cell 7 holds a small goal (+0.1), cell 17
a large one (+1); reaching either ends the episode; every move costs 0.01.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

CELLS, START, SMALL_GOAL, LARGE_GOAL = 20, 10, 7, 17
MOVE_COST, SMALL_REWARD, LARGE_REWARD = 0.01, 0.1, 1.0
OPTIMAL_RETURN = LARGE_REWARD - MOVE_COST * (LARGE_GOAL - START)
STEP_OF_ACTION = {0: 0, 1: -1, 2: 1}
"""The one discrete branch: stay, left, right."""
_ARROWS = {0: "·", 1: "←", 2: "→"}
_GOALS = {SMALL_GOAL: SMALL_REWARD, LARGE_GOAL: LARGE_REWARD}


@dataclass(frozen=True)
class Walk:
    """Where the chosen moves lead from the start; `goal` is None if they lead nowhere."""

    cells: tuple[int, ...]
    goal: int | None
    total_reward: float


def one_hot(cell: int) -> list[float]:
    """The observation in a cell."""
    return [1.0 if index == cell else 0.0 for index in range(CELLS)]


def walk(actions: Sequence[int], start: int = START) -> Walk:
    """Follow the chosen moves until a goal, or until they come back to a cell where they have been."""
    cells = [start]
    while True:
        cell = min(max(cells[-1] + STEP_OF_ACTION[actions[cells[-1]]], 0), CELLS - 1)
        returned = cell in cells
        cells.append(cell)
        if cell in _GOALS:
            return Walk(tuple(cells), cell, _GOALS[cell] - MOVE_COST * (len(cells) - 1))
        if returned:
            return Walk(tuple(cells), None, -MOVE_COST * (len(cells) - 1))


def picture(actions: Sequence[int]) -> Text:
    """The cells in a row, 80 columns wide. Dim: cells that training never saw, because a goal ends the episode."""
    seen = range(SMALL_GOAL + 1, LARGE_GOAL)
    marks = {START: ("S", "bold cyan"), SMALL_GOAL: ("○", "bold yellow"), LARGE_GOAL: ("★", "bold green")}
    numbers, moves, places = Text("  cell  "), Text("  move  "), Text("        ")
    for cell, action in enumerate(actions):
        numbers.append(f"{cell:>3}", "dim")
        moves.append(f"{_ARROWS.get(action, '?'):>3}", "bold" if cell in seen else "dim")
        mark, style = marks.get(cell, ("", ""))
        places.append(f"{mark:>3}", style)
    legend = Text.assemble(
        ("        S", "bold cyan"), " start  ", ("○", "bold yellow"), " small goal (+0.1)  ",
        ("★", "bold green"), " large goal (+1)  ", ("dim: unseen in training", "dim"),
    )  # fmt: skip
    return Text("\n").join([numbers, moves, places, legend])


def words(path: Walk) -> str:
    """Where the arrows lead."""
    if path.goal is None:
        return f"Following the arrows from the start leads to no goal: {', '.join(map(str, path.cells))}."
    goal = "large" if path.goal == LARGE_GOAL else "small"
    moves = len(path.cells) - 1
    return f"Following the arrows from the start: {moves} moves to the {goal} goal, return {path.total_reward:.2f}."
