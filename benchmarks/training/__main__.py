"""`python -m benchmarks.training`: our training against `mlagents-learn`, as shipped and on current protobuf."""

import argparse
import statistics
import sys
from collections.abc import Sequence

from benchmarks.report import Goal, publish, table
from benchmarks.training.sides import FAST, OURS, SHIPPED, Cell, Side, is_installed, measure

CELLS = tuple(
    Cell(build, agents, 1024, 128, steps)
    for build in ("Basic", "3DBall")
    for agents, steps in ((1, 4096), (16, 5120), (64, 8192))
)
TIMES = {SHIPPED: {1: 2.0, 16: 4.0, 64: 4.0}, FAST: {16: 2.5}}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    sides = [OURS, *(side for side in (SHIPPED, FAST) if is_installed(side))]
    rows: list[list[str]] = []
    goals: list[Goal] = []
    for cell in CELLS:
        sys.stderr.write(f"▸ {cell.title}\n")
        found: dict[Side, list[float]] = {side: [] for side in sides}
        for _ in range(rounds):
            for side in sides:
                found[side].append(measure(side, cell))
        rows.append([cell.title, *(f"{statistics.median(found[side]):,.0f}" for side in sides)])
        goals += [goal(cell, side, found[OURS], found.get(side, [])) for side in TIMES if cell.agents in TIMES[side]]
    return publish("Training", "make bench-training", table(["decisions/s", *(s.title for s in sides)], rows), goals)


def goal(cell: Cell, side: Side, ours: Sequence[float], theirs: Sequence[float]) -> Goal:
    """A side that is not installed is no goal reached."""
    least = TIMES[side][cell.agents]
    name = f"{cell.title}: {least:g} x mlagents-learn, {side.title}"
    if not theirs:
        return Goal(name, "not measured: not installed", False)
    times = statistics.median(one / other for one, other in zip(ours, theirs, strict=True))
    return Goal(name, f"{times:.1f}", times >= least)


if __name__ == "__main__":
    sys.exit(main())
