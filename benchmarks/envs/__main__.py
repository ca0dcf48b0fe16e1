"""`python -m benchmarks.envs`: our client against the reference's, and against gRPC itself."""

import argparse
import statistics
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from benchmarks.envs.runs import Cell, Contestant, contestants, median_of, run, seconds_per_exchange, take_turns
from benchmarks.envs.slow_builds import GROUPS, measure_group
from benchmarks.report import Goal, publish, table

VECTOR_CELLS = tuple(Cell.vector(agents, size) for agents, size in ((1, 8), (12, 8), (64, 8), (256, 8), (100, 243)))
IMAGE_CELLS = (Cell.images(9, "floats"), Cell.images(9, "png"))
FIXED_MICROSECONDS, MICROSECONDS_AN_AGENT = 150.0, 1.0
TIMES_FAST, TIMES_SHIPPED, SHIPPED_FROM_AGENTS = 2.0, 20.0, 64
GRPC, SOCKETS = "echo, grpcio", "echo, sockets"
OWN_CEILING = 0.95
MEMORY_CELLS = ((Cell.vector(64, 8), 16_000), (Cell.vector(1, 8), 100_000))
MOST_GROWN_BYTES = 4e6


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.envs", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each run")
    parser.add_argument("--without-peers", action="store_true")
    parser.add_argument("--memory-exchanges", type=int, help="run this many in each memory cell, in place of its own")
    chosen = parser.parse_args()
    who = contestants(with_peers=not chosen.without_peers)
    goals: list[Goal] = []
    rows: list[list[str]] = []
    limits: list[list[str]] = []
    for cell in (*VECTOR_CELLS, *IMAGE_CELLS):
        _say(cell.title)
        found = take_turns(who, chosen.rounds, partial(_time, cell, chosen.seconds))
        allowed = _allowed(cell) + (_decoder_alone(who, cell, chosen.seconds) if cell.is_png else 0.0)
        rows.append(_row(cell, who, found, allowed))
        goals += _goals(cell, found, allowed)
        limits.append(_limits(who, cell, chosen.seconds))
    groups = [_group(number, chosen.rounds) for number in GROUPS]
    memory = [_memory(who, cell, chosen.memory_exchanges or exchanges) for cell, exchanges in MEMORY_CELLS]
    goals += [goal for _, goal in groups] + [goal for _, goal in memory]
    header = ["agent-steps/s", *(one.title for one in who), "over gRPC, µs", "allowed", "over sockets, µs"]
    if not chosen.without_peers:
        header += ["x fast", "x shipped"]
    body = "\n\n".join(
        [
            table(header, rows),
            "Where the time of our side goes:",
            table(["", "the build and gRPC", "decoding", "PNG pictures", "actions and the rest"], limits),
            table(
                ["builds of 5 ± 2 ms, one of 20", "ours, steps/s", "against echo", "of the ceiling"],
                [row for row, _ in groups],
            ),
            table(["memory", "exchanges", "grown, MB"], [row for row, _ in memory]),
        ]
    )
    return publish("Environments", "make bench-envs", body, goals)


def _time(cell: Cell, seconds: float, contestant: Contestant) -> float:
    return seconds_per_exchange(contestant, cell, seconds)


def _row(cell: Cell, who: tuple[Contestant, ...], found: Mapping[str, list[float]], allowed: float) -> list[str]:
    rates = [f"{cell.agents / statistics.median(found[one.title]):,.0f}" for one in who]
    row = [cell.title, *rates, f"{_over(GRPC, found):.0f}", f"{allowed:.0f}", f"{_over(SOCKETS, found):.0f}"]
    return row + [f"{_times(found, title):.1f}" for title in ("fast protobuf", "as shipped") if title in found]


def _limits(who: tuple[Contestant, ...], cell: Cell, seconds: float) -> list[str]:
    """Where the time of our side goes."""
    ours = next(one for one in who if one.name == "ours")
    shares = run(ours, cell, ("--shares", "--seconds", str(seconds)))
    decoding, pictures = shares["decoding"] - shares["pictures"], shares["pictures"]
    rest = 1 - shares["waiting"] - shares["decoding"]
    return [cell.title, *(f"{share:.0%}" for share in (shares["waiting"], decoding, pictures, rest))]


def _goals(cell: Cell, found: Mapping[str, list[float]], allowed: float) -> list[Goal]:
    over = _over(GRPC, found)
    goals = [Goal(f"{cell.title}: at most {allowed:.0f} µs over the bare gRPC echo", f"{over:.0f} µs", over <= allowed)]
    if "fast protobuf" in found:
        times = _times(found, "fast protobuf")
        goals.append(
            Goal(f"{cell.title}: {TIMES_FAST:g} x the reference on fast protobuf", f"{times:.1f}", times >= TIMES_FAST)
        )
    if "as shipped" in found and cell.agents >= SHIPPED_FROM_AGENTS:
        times = _times(found, "as shipped")
        goals.append(
            Goal(f"{cell.title}: {TIMES_SHIPPED:g} x the reference as shipped", f"{times:.1f}", times >= TIMES_SHIPPED)
        )
    return goals


def _over(echo: str, found: Mapping[str, list[float]]) -> float:
    """Of an exchange, in µs, over that echo; negative where we are quicker."""
    return 1e6 * median_of(lambda ours, theirs: ours - theirs, found["ours"], found[echo])


def _times(found: Mapping[str, list[float]], title: str) -> float:
    return median_of(lambda ours, theirs: theirs / ours, found["ours"], found[title])


def _allowed(cell: Cell) -> float:
    return FIXED_MICROSECONDS + MICROSECONDS_AN_AGENT * cell.agents


def _decoder_alone(who: tuple[Contestant, ...], cell: Cell, seconds: float) -> float:
    """The PNG library on one message's pictures, in µs: nobody can do without, so it belongs to the limit."""
    ours = next(one for one in who if one.name == "ours")
    return 1e6 * seconds_per_exchange(replace(ours, title="decoder", name="decoder"), cell, seconds)


def _group(number: int, rounds: int) -> tuple[list[str], Goal]:
    _say(f"{number} slow builds")
    pairs = [measure_group(number) for _ in range(rounds)]
    ours, echo = (statistics.median(rates) for rates in zip(*pairs, strict=True))
    share = statistics.median(one / other for one, other in pairs)
    goal = Goal(f"{number} slow builds: {OWN_CEILING:.0%} of their own ceiling", f"{share:.1%}", share >= OWN_CEILING)
    return [str(number), f"{ours:,.0f}", f"{echo:,.0f}", f"{share:.1%}"], goal


def _memory(who: tuple[Contestant, ...], cell: Cell, exchanges: int) -> tuple[list[str], Goal]:
    _say(f"memory, {cell.title}")
    ours = next(one for one in who if one.name == "ours")
    grown = run(ours, cell, ("--exchanges", str(exchanges)))["grown_bytes"]
    goal = Goal(
        f"{cell.title}: memory constant over {exchanges:,} exchanges ({exchanges * cell.agents:,} agent steps)",
        f"{grown / 1e6:.1f} MB",
        grown <= MOST_GROWN_BYTES,
    )
    return [cell.title, f"{exchanges:,}", f"{grown / 1e6:.1f}"], goal


def _say(what: str) -> None:
    sys.stderr.write(f"▸ {what}\n")


if __name__ == "__main__":
    sys.exit(main())
