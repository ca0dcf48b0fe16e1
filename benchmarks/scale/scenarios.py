"""What is played for docs/scale.md, and its figures as they are kept in results.json."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks.scale.simulation import Simulation, Stack, played
from benchmarks.scale.summary import summary
from benchmarks.scale.workload import runs
from pipeline.rules.waiting import wait_seconds

RESULTS = Path(__file__).with_name("results.json")
SEED = 7
RUNS_A_DAY = 150.0
AS_DEPLOYED = Stack()

SCENARIOS: dict[str, tuple[Stack, int, float]] = {
    "as deployed": (AS_DEPLOYED, 10_000, RUNS_A_DAY),
    "2,000 of them": (AS_DEPLOYED, 2000, RUNS_A_DAY),
    "pauses of 5 %": (
        replace(AS_DEPLOYED, pause=lambda turns, run_id, limit, waited, asks, minimum: wait_seconds(waited, minimum)),
        2000,
        RUNS_A_DAY,
    ),
    "5 machines, 10 turns": (replace(AS_DEPLOYED, training_instances=5), 2000, RUNS_A_DAY),
    "5 machines, 5 turns": (replace(AS_DEPLOYED, training_instances=5, max_concurrent_runs=5), 2000, RUNS_A_DAY),
    "ten times": (
        replace(AS_DEPLOYED, max_concurrent_runs=100, training_instances=100, evaluation_instances=100),
        3000,
        10 * RUNS_A_DAY,
    ),
}
"""Stack, number of runs, runs a day."""


def play(name: str) -> Simulation:
    """One of them."""
    stack, count, a_day = SCENARIOS[name]
    return played(stack, runs(count, a_day, SEED), SEED)


def figures(simulation: Simulation) -> dict[str, Any]:
    """As JSON keeps them."""
    ended = simulation.ended
    more = {
        "queued": sum(one.waited for one in ended) / len(ended),
        "slot": sum(one.slot for one in ended) / len(ended),
        "trained": sum(one.trained for one in ended) / len(ended),
        "evaluated": sum(one.evaluated for one in ended) / len(ended),
    }
    kept: dict[str, Any] = json.loads(json.dumps(_rounded(asdict(summary(simulation)) | more)))
    return kept


def results() -> dict[str, Any]:
    """What was kept."""
    kept: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8"))
    return kept


def keep(drawn: Callable[[Simulation], None]) -> None:
    """Play all, draw the first, and keep their figures."""
    found = {}
    for name in SCENARIOS:
        simulation = play(name)
        if simulation.stack is AS_DEPLOYED and len(simulation.ended) == SCENARIOS["as deployed"][1]:
            drawn(simulation)
        found[name] = figures(simulation)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def _rounded(value: Any) -> Any:
    """Six digits: what the last bits of a logarithm are is the machine's."""
    if isinstance(value, dict):
        return {str(name): _rounded(one) for name, one in value.items()}
    return float(f"{value:.6g}") if isinstance(value, float) else value
