"""`python -m benchmarks.training`: our training against `mlagents-learn`."""

import argparse
import statistics
import sys

from benchmarks.report import Goal, publish, table
from benchmarks.training.sides import OURS, SHIPPED, Cell, measure

CELLS = tuple(
    Cell(build, agents, 1024, 128, steps)
    for build in ("Basic", "3DBall")
    for agents, steps in ((1, 4096), (16, 10_240), (64, 16_384))
)
TIMES_SHIPPED = {1: 2.0, 16: 4.0, 64: 4.0}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    rows: list[list[str]] = []
    goals: list[Goal] = []
    for cell in CELLS:
        sys.stderr.write(f"▸ {cell.title}\n")
        pairs = [(measure(OURS, cell), measure(SHIPPED, cell)) for _ in range(rounds)]
        ours, shipped = (statistics.median(rates) for rates in zip(*pairs, strict=True))
        times, least = statistics.median(one / other for one, other in pairs), TIMES_SHIPPED[cell.agents]
        rows.append([cell.title, f"{ours:,.0f}", f"{shipped:,.0f}", f"{times:.1f}"])
        goals.append(Goal(f"{cell.title}: {least:g} x mlagents-learn as shipped", f"{times:.1f}", times >= least))
    body = table(["agent decisions/s", OURS.title, SHIPPED.title, "x shipped"], rows)
    return publish("Training", "make bench-training", body, goals)


if __name__ == "__main__":
    sys.exit(main())
