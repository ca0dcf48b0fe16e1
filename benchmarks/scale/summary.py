"""Figures of runs that have ended."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from benchmarks.scale.simulation import Ended, Simulation
from benchmarks.scale.workload import DAY, HOUR
from pipeline.rules import cost


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest value that `share` of them do not exceed.

    Raises:
        ValueError: there is none.
    """
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values, no percentile")
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def jain(shares: Sequence[float]) -> float:
    """Jain's index: 1 where all have the same, 1/n where one has everything."""
    squares = sum(share * share for share in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else 1.0


@dataclass(frozen=True)
class Waits:
    """Seconds in the queue."""

    runs: int
    mean: float
    p50: float
    p95: float
    p99: float


@dataclass(frozen=True)
class Summary:
    """What one simulation comes to."""

    runs: int
    days: float
    runs_a_day: float
    statuses: dict[str, int]
    codes: dict[str, int]
    redriven: int
    interruptions: int
    waits: dict[int, Waits]
    """By priority."""
    fairness: float
    """Jain's index of the teams' speed: a team's turns' seconds over these and its seconds in the queue."""
    turns_used: float
    """Of MaxConcurrentRuns, while anybody wanted one: 1 less what stood free beside a queue."""
    longest_queue: int
    asks: int
    writes: int
    asks_a_second: float
    """In the busiest minute."""
    machines_most: int
    refused: int
    training_usd: float
    evaluation_usd: float
    looks: dict[str, float]
    """Of a run, on average, by loop."""


def summary(simulation: Simulation) -> Summary:
    """The figures of a simulation that has been played."""
    ended, stack, turns = simulation.ended, simulation.stack, simulation.turns
    days = (max(one.finished for one in ended) - min(one.run.arrives for one in ended)) / DAY
    held = sum(one.slot for one in ended)
    training, evaluation = (
        cost.usd_per_hour(stack.training_type, spot=stack.spot),
        cost.usd_per_hour(stack.evaluation_type, spot=False),
    )
    if training is None or evaluation is None:
        raise ValueError(f"the price of {stack.training_type} or {stack.evaluation_type} is not known")
    looks: Counter[str] = sum((one.looks for one in ended), Counter())
    return Summary(
        runs=len(ended),
        days=days,
        runs_a_day=len(ended) / days,
        statuses=dict(sorted(Counter(one.status.value for one in ended).items())),
        codes=dict(sorted(Counter(one.code for one in ended if one.code).items())),
        redriven=sum(one.attempts > 1 for one in ended),
        interruptions=sum(one.interruptions for one in ended),
        waits={priority: _waits(some) for priority, some in sorted(_by_priority(ended).items())},
        fairness=jain(_speeds(ended)),
        turns_used=held / (held + turns.idle_seconds),
        longest_queue=turns.longest_queue,
        asks=turns.asks,
        writes=turns.writes,
        asks_a_second=max(turns.by_minute.values()) / 60,
        machines_most=simulation.training.most,
        refused=simulation.training.refused + simulation.evaluation.refused + simulation.creations.refused,
        training_usd=sum(one.trained for one in ended) / HOUR * training,
        evaluation_usd=sum(one.evaluated for one in ended) / HOUR * evaluation,
        looks={loop: looks[loop] / len(ended) for loop in sorted(looks)},
    )


def _waits(waited: Sequence[float]) -> Waits:
    return Waits(len(waited), fmean(waited), *(percentile(waited, share) for share in (0.5, 0.95, 0.99)))


def _by_priority(ended: Iterable[Ended]) -> dict[int, list[float]]:
    found: dict[int, list[float]] = defaultdict(list)
    for one in ended:
        found[one.run.priority].append(one.waited)
    return found


def _speeds(ended: Iterable[Ended]) -> list[float]:
    served: dict[str, float] = defaultdict(float)
    waited: dict[str, float] = defaultdict(float)
    for one in ended:
        served[one.run.team] += one.slot
        waited[one.run.team] += one.waited
    return [served[team] / (served[team] + waited[team]) for team in sorted(served)]
