"""`python -m benchmarks.predict`: our inference server against others, the Predict Lambda against boto3 alone."""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.predict.lambda_runs import ColdTimes, WarmTimes, measure_cold, measure_warm
from benchmarks.predict.measuring import (
    ALONE,
    CONNECTIONS,
    OURS_BINARY,
    OURS_JSON,
    Found,
    Side,
    play,
    soak,
    write_policies,
)
from benchmarks.predict.policies import CASES, Case
from benchmarks.predict.servers import FASTAPI, PEER_SERVERS, RLMODULE, Load, cores
from benchmarks.report import Goal, publish, table

ROUNDS, SECONDS = 3, 1.0
P50_MS, START_SECONDS, MEMORY_BYTES = 0.25, 1.0, 150e6
TIMES_FASTAPI, TIMES_RLMODULE, OF_ALONE = 2.5, 4.0, 0.5
OWN_MS, COLD_SECONDS, TIMES_BOTO3 = 2.0, 0.3, 1.6
SOAK_REQUESTS, SLICE_SECONDS = 360_000, 30.0
"""An hour of a hundred requests a second."""
MOST_GROWN_BYTES, MOST_SLOWER = 4e6, 1.25
LAMBDA_ROUNDS, LAMBDA_REQUESTS, COLD_STARTS = 5, 500, 20


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.predict", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each load")
    parser.add_argument("--soak-requests", type=int, default=SOAK_REQUESTS)
    parser.add_argument("--without-peers", action="store_true")
    chosen = parser.parse_args()
    peers = () if chosen.without_peers else PEER_SERVERS
    found = {case: Found() for case in CASES}
    with tempfile.TemporaryDirectory(prefix="bench-predict-") as folder:
        models = write_policies(Path(folder))
        for number in range(chosen.rounds):
            for case in CASES:
                say(f"{case.title}, round {number + 1} of {chosen.rounds}")
                play(case, models[case.policy], chosen.seconds, found[case], peers)
        say("soak")
        slices = soak(CASES[0], models[CASES[0].policy], chosen.soak_requests, SLICE_SECONDS)
    say("the Predict Lambda")
    warm = {case: [measure_warm(case, LAMBDA_REQUESTS) for _ in range(LAMBDA_ROUNDS)] for case in (CASES[0], CASES[-1])}
    cold = measure_cold(COLD_STARTS)
    goals = [goal for case in CASES for goal in goals_of(case, found[case])]
    goals += [*own_goals(list(found.values())), *lambda_goals(warm[CASES[0]], cold), *soak_goals(slices)]
    body = "\n\n".join(
        [
            f"The server has one core, the load generator {'another' if len(cores()) > 1 else 'the same'} one.",
            *(section for case in CASES for section in sections_of(case, found[case])),
            "The Predict Lambda, milliseconds:",
            table(["", "handler", "boto3 alone", "x"], [*warm_rows(warm), *cold_rows(cold)]),
            "Our server over an hour's requests at 100 a second:",
            table(["requests", "p50, ms", "p99, ms", "requests/s", "memory, MB"], soak_rows(slices)),
        ]
    )
    plain = chosen.rounds == ROUNDS and not chosen.without_peers
    command = "make bench-predict" if plain else f"python -m benchmarks.predict --rounds {chosen.rounds}"
    return publish("Predict", command, body, goals)


def say(what: str) -> None:
    sys.stderr.write(f"▸ {what}\n")


def sections_of(case: Case, found: Found) -> list[str]:
    """A table, and why a side is not in it."""
    header = [case.title]
    for count in CONNECTIONS:
        header += [f"{count}: requests/s", "p50, ms", "p99, ms"]
    header += ["server, µs each", "generator busy", "ours x"]
    best = OURS_BINARY if case.is_image else OURS_JSON
    rows = [row_of(side, best, found) for side in found.loads]
    failures = [f"Not measured: {name}: {reason.splitlines()[-1]}" for name, reason in found.failures.items()]
    return [table(header, rows), *failures]


def row_of(side: Side, best: Side, found: Found) -> list[str]:
    loads, cells = found.loads[side], [side.title]
    for count in CONNECTIONS:
        if count not in loads[0]:
            cells += ["", "", ""]
            continue
        cells.append(f"{_median(loads, count, lambda load: load.rate):,.0f}")
        cells += [
            f"{_median(loads, count, value):.3f}" for value in (lambda load: load.p50_ms, lambda load: load.p99_ms)
        ]
    if side == ALONE:
        return [*cells, f"{1e6 / _median(loads, 1, lambda load: load.rate):.0f}", "", ""]
    cells.append(f"{_median(loads, 8, lambda load: load.cpu_us):.0f}")
    cells.append(f"{max(load.busy for one in loads for load in one.values()):.0%}")
    times = "" if side == best else f"{ratio(found.rates(best, 8), found.rates(side, 8)):.2f}"
    return [*cells, times]


def goals_of(case: Case, found: Found) -> list[Goal]:
    """Of one kind of request."""
    if case.is_image:
        ours, alone = found.rates(OURS_BINARY, 8), found.rates(ALONE, 1)
        return [least(f"{case.title}, MessagePack, 8 connections: half of ONNX Runtime alone", ours, alone, OF_ALONE)]
    goals = []
    if case == CASES[0]:
        p50 = _median(found.loads[OURS_JSON], 1, lambda load: load.p50_ms)
        goals.append(Goal(f"{case.title}, 1 connection: p50 below {P50_MS} ms", f"{p50:.3f} ms", p50 < P50_MS))
    ours = found.rates(OURS_JSON, 8)
    for server, times in ((FASTAPI, TIMES_FASTAPI), (RLMODULE, TIMES_RLMODULE)):
        name = f"{case.title}, 8 connections: {times:g} x {server.title}"
        goals.append(least(name, ours, found.rates(Side(server), 8), times))
    return goals


def own_goals(found: Sequence[Found]) -> list[Goal]:
    """Start and memory of ours, of the policy where they are largest."""
    start = max(statistics.median(one.start_seconds) for one in found)
    memory = max(size for one in found for size in one.memory_bytes)
    return [
        Goal(f"start to first 200 on /ping below {START_SECONDS:g} s", f"{start:.2f} s", start < START_SECONDS),
        Goal(f"memory below {MEMORY_BYTES / 1e6:.0f} MB", f"{memory / 1e6:.0f} MB", memory < MEMORY_BYTES),
    ]


def warm_rows(warm: Mapping[Case, Sequence[WarmTimes]]) -> list[list[str]]:
    return [
        lambda_row(f"warm request, {case.title}", [one.handler_ms for one in times], [one.boto3_ms for one in times])
        for case, times in warm.items()
    ]


def cold_rows(pairs: Sequence[tuple[ColdTimes, ColdTimes]]) -> list[list[str]]:
    return [
        lambda_row(title, *([getattr(one[side], key) * 1e3 for one in pairs] for side in (0, 1)))
        for title, key in (
            ("import and clients", "seconds"),
            ("of it, processor", "processor_seconds"),
            ("until the first answer", "first"),
        )
    ]


def lambda_row(title: str, ours: Sequence[float], theirs: Sequence[float]) -> list[str]:
    """Milliseconds."""
    return [title, *(f"{statistics.median(side):.2f}" for side in (ours, theirs)), f"{ratio(ours, theirs):.2f}"]


def lambda_goals(warm: Sequence[WarmTimes], cold: Sequence[tuple[ColdTimes, ColdTimes]]) -> list[Goal]:
    own = statistics.median(one.own_ms for one in warm)
    ours, theirs = ([one[side].seconds for one in cold] for side in (0, 1))
    seconds, of_boto3 = statistics.median(ours), ratio(ours, theirs)
    return [
        Goal(f"Predict Lambda, warm: below {OWN_MS:g} ms over boto3 alone", f"{own:.2f} ms", own < OWN_MS),
        Goal(f"Predict Lambda, import and clients: below {COLD_SECONDS} s", f"{seconds:.3f} s", seconds < COLD_SECONDS),
        Goal(
            f"Predict Lambda, import and clients: below {TIMES_BOTO3} x those of boto3",
            f"{of_boto3:.2f}",
            of_boto3 < TIMES_BOTO3,
        ),
    ]


def soak_rows(slices: Sequence[tuple[Load, int]]) -> list[list[str]]:
    return [
        [f"{load.requests:,}", f"{load.p50_ms:.3f}", f"{load.p99_ms:.3f}", f"{load.rate:,.0f}", f"{memory / 1e6:.1f}"]
        for load, memory in slices
    ]


def soak_goals(slices: Sequence[tuple[Load, int]]) -> list[Goal]:
    """After the first slice everything that is kept has been made."""
    grown = slices[-1][1] - slices[0][1]
    slower = slices[-1][0].p50_ms / slices[0][0].p50_ms
    requests = sum(load.requests for load, _ in slices)
    return [
        Goal(f"memory constant over {requests:,} requests", f"{grown / 1e6:.1f} MB grown", grown < MOST_GROWN_BYTES),
        Goal(f"p50 at the end at most {MOST_SLOWER} x that of the beginning", f"{slower:.2f}", slower <= MOST_SLOWER),
    ]


def least(name: str, ours: Sequence[float], theirs: Sequence[float], times: float) -> Goal:
    """Reached when the median over rounds of ours over theirs is at least that."""
    if not theirs or len(theirs) != len(ours):
        return Goal(name, "not measured", False)
    return Goal(name, f"{ratio(ours, theirs):.2f}", ratio(ours, theirs) >= times)


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median over rounds; of as many as both have."""
    return statistics.median(one / other for one, other in zip(ours, theirs, strict=False))


def _median(loads: Sequence[dict[int, Load]], connections: int, value: Callable[[Load], float]) -> float:
    return statistics.median(value(one[connections]) for one in loads)


if __name__ == "__main__":
    sys.exit(main())
