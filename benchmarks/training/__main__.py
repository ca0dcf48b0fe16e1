"""`python -m benchmarks.training`: our training against `mlagents-learn`, a bare loop, and the pace of slow builds."""

import argparse
import statistics
import sys
from collections.abc import Sequence

from benchmarks.envs.slow_builds import GROUPS
from benchmarks.report import Goal, publish, table
from benchmarks.training.sides import (
    BARE,
    FAST,
    OURS,
    SHIPPED,
    Cell,
    Measured,
    Side,
    is_installed,
    measure,
    measure_slow_builds,
)

CELLS = tuple(
    Cell(build, agents, 1024, 128, steps, own_steps)
    for build in ("Basic", "3DBall")
    for agents, steps, own_steps in ((1, 3072, 6144), (16, 5120, 16_384), (64, 6144, 16_384))
)
TIMES = {SHIPPED: {1: 2.0, 16: 4.0, 64: 4.0}, FAST: {16: 2.5}}
OF_BARE, OF_CEILING = 0.9, 0.9
ROUNDS = 3
Rounds = dict[Side, list[Measured]]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--without-peers", action="store_true")
    chosen = parser.parse_args()
    peers = () if chosen.without_peers else tuple(side for side in (SHIPPED, FAST) if is_installed(side))
    sides = (OURS, *BARE, *peers)
    cells = {cell: play(cell, sides, chosen.rounds) for cell in CELLS}
    groups = {number: [measure_slow_builds(number) for _ in range(chosen.rounds)] for number in GROUPS}
    goals = [goal for cell, found in cells.items() for goal in goals_of(cell, found)]
    goals += [slow_goal(number, rounds) for number, rounds in groups.items()]
    body = "\n\n".join(
        [
            table(
                ["decisions/s", *(side.title for side in sides), "x bare", *(f"x {side.title}" for side in peers)],
                [row_of(cell, found, sides, peers) for cell, found in cells.items()],
            ),
            "Where our time goes; learning runs beside the rest:",
            table(
                ["", "builds", "rest of sampling", "learning"],
                [shares_of(cell, found) for cell, found in cells.items()],
            ),
            table(
                ["builds of 5 ± 2 ms, one of 20", "ours, decisions/s", "ceiling", "of the ceiling"],
                [slow_row(number, rounds) for number, rounds in groups.items()],
            ),
        ]
    )
    command = (
        "make bench-training" if chosen.rounds == ROUNDS else f"python -m benchmarks.training --rounds {chosen.rounds}"
    )
    return publish("Training", command, body, goals)


def play(cell: Cell, sides: Sequence[Side], rounds: int) -> Rounds:
    """Every side that something is held against, once a round."""
    sys.stderr.write(f"▸ {cell.title}\n")
    mine = [side for side in sides if side not in TIMES or cell.agents in TIMES[side]]
    found: Rounds = {side: [] for side in mine}
    for _ in range(rounds):
        for side in mine:
            found[side].append(measure(side, cell))
    return found


def row_of(cell: Cell, found: Rounds, sides: Sequence[Side], peers: Sequence[Side]) -> list[str]:
    rates = [f"{statistics.median(_rates(found[side])):,.0f}" if side in found else "" for side in sides]
    times = [f"{ratio(_rates(found[OURS]), _rates(found[side])):.1f}" if side in found else "" for side in peers]
    of_bare = ratio(_rates(found[OURS]), bare_rates(found))
    return [cell.title, *rates, f"{of_bare:.2f}", *times]


def shares_of(cell: Cell, found: Rounds) -> list[str]:
    names = ("builds", "sampling", "learning")
    return [cell.title, *(f"{statistics.median(one.shares[name] for one in found[OURS]):.0%}" for name in names)]


def slow_row(number: int, rounds: Sequence[tuple[float, float]]) -> list[str]:
    ours, ceilings = [one for one, _ in rounds], [other for _, other in rounds]
    return [
        str(number),
        f"{statistics.median(ours):,.0f}",
        f"{statistics.median(ceilings):,.0f}",
        f"{ratio(ours, ceilings):.1%}",
    ]


def goals_of(cell: Cell, found: Rounds) -> list[Goal]:
    """Of one cell. A side that is not installed is no goal reached."""
    ours = _rates(found[OURS])
    goals = []
    for side, least in TIMES.items():
        if cell.agents in least:
            times = least[cell.agents]
            name = f"{cell.title}: {times:g} x mlagents-learn, {side.title}"
            goals.append(goal(name, ours, _rates(found.get(side, [])), times))
    return [*goals, goal(f"{cell.title}: {OF_BARE:g} of the better bare loop", ours, bare_rates(found), OF_BARE)]


def slow_goal(number: int, rounds: Sequence[tuple[float, float]]) -> Goal:
    ours, ceilings = [one for one, _ in rounds], [other for _, other in rounds]
    return goal(f"{number} slow builds: {OF_CEILING:.0%} of their ceiling", ours, ceilings, OF_CEILING)


def goal(name: str, ours: Sequence[float], theirs: Sequence[float], least: float) -> Goal:
    """Reached when the median over rounds of ours over theirs is at least that."""
    if not theirs:
        return Goal(name, "not measured: not installed", False)
    times = ratio(ours, theirs)
    return Goal(name, f"{times:.2f}", times >= least)


def bare_rates(found: Rounds) -> list[float]:
    """Of the number of threads that is better, round by round."""
    return [max(pair) for pair in zip(*(_rates(found[side]) for side in BARE), strict=True)]


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median over rounds."""
    return statistics.median(one / other for one, other in zip(ours, theirs, strict=True))


def _rates(rounds: Sequence[Measured]) -> list[float]:
    return [one.rate for one in rounds]


if __name__ == "__main__":
    sys.exit(main())
