"""Runs as they may come: when, whose, how long, and what becomes of them. Each assumption stands beside its figure."""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

HOUR, DAY = 3600.0, 86400.0

TRAINING_MEDIAN_SECONDS = 1500.0
"""2,000,000 decisions of one build that thinks 5 ms: 1,365 a second (benchmarks/RESULTS.md, Training, third table)."""
TRAINING_SIGMA = 1.2
"""Of the log-normal: one training in twenty takes 7 times the median or more. An assumption."""
EVALUATION_MEDIAN_SECONDS = 240.0
EVALUATION_SIGMA = 0.5
"""100 episodes. An assumption."""
DEPLOYMENT_MEDIAN_SECONDS = 180.0
DEPLOYMENT_SIGMA = 0.3
"""Until a serverless endpoint is in service. An assumption."""
LONGEST_TRAINING_SECONDS = DAY
"""`instances.max_runtime_seconds` where nothing is said."""

DEPLOYED = 0.6
"""Of those that pass both jobs; the others are kept back by the gate. An assumption."""

INTERRUPTIONS_AN_HOUR = 0.05
"""Of a spot machine. An assumption on the careful side: AWS's Spot Instance Advisor speaks of a month."""

REASONS = (
    (0.020, "Player ended: Segmentation fault"),
    (0.015, "[NoAgents] The build has no agents. Remedy: Add ML-Agents and build again."),
    (0.010, "/opt/build/game: error while loading shared libraries: libGL.so.1: cannot open shared object file"),
    (0.010, "Out of memory, exit code: 137"),
    (0.010, "CapacityError: Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity"),
    (0.005, "InternalServerError: We encountered an internal error. Please try again."),
)
"""Share of trainings, and what SageMaker says of them: `rules.job_failures` reads it. Shares are assumptions."""

PRIORITIES = {-5: 0.15, 0: 0.80, 5: 0.05}
"""Priority, and its share of the runs."""


@dataclass(frozen=True)
class Run:
    """One run. Times are seconds; `reason`: what SageMaker says of its training that fails."""

    run_id: str
    team: str
    priority: int
    arrives: float
    training: float
    evaluation: float
    deployment: float
    reason: str | None
    is_better: bool


def runs(count: int, a_day: float, seed: int, teams: int = 8, sweep: int = 20) -> Iterator[Run]:
    """Runs in the order of their arrival.

    Args:
        count: how many.
        a_day: arrivals of a working week's day, on average over the week; most come within working hours.
        seed: the same seed, the same runs.
        teams: whose they are, by Zipf's law: the second sends half of what the first does, and so on.
        sweep: one arrival in this many is a sweep of as many runs at once; 0 or 1: each comes alone.
    """
    chance = random.Random(seed)
    weights = [1 / rank for rank in range(1, teams + 1)]
    # An arrival brings one run, or `sweep` of them one time in `sweep`: about two on average.
    mean = 1.0 if sweep < 2 else (sweep - 1) / sweep + 1.0
    moment, number = 0.0, 0
    while number < count:
        moment = _next(moment, a_day / mean, chance)
        team = chance.choices(range(teams), weights)[0]
        together = sweep if sweep > 1 and chance.random() < 1 / sweep else 1
        for _ in range(min(together, count - number)):
            yield _run(number, f"team-{team + 1}", moment, chance)
            number += 1


_BY_HOUR = [4.0 if 9 <= hour < 18 else 0.4 for hour in range(24)]
_BY_DAY = [1.0, 1.0, 1.0, 1.0, 1.0, 0.2, 0.2]


def rate(moment: float, a_day: float) -> float:
    """Arrivals a second; their mean over a week is `a_day`."""
    by_hour = _BY_HOUR[int(moment % DAY // HOUR)] / (sum(_BY_HOUR) / 24)
    by_day = _BY_DAY[int(moment // DAY) % 7] / (sum(_BY_DAY) / 7)
    return a_day / DAY * by_hour * by_day


def _next(moment: float, a_day: float, chance: random.Random) -> float:
    """The next arrival of a Poisson process whose rate changes (by thinning)."""
    highest = a_day / DAY * max(_BY_HOUR) / (sum(_BY_HOUR) / 24) * max(_BY_DAY) / (sum(_BY_DAY) / 7)
    while True:
        moment += chance.expovariate(highest)
        if chance.random() * highest < rate(moment, a_day):
            return moment


def _run(number: int, team: str, moment: float, chance: random.Random) -> Run:
    values, shares = list(PRIORITIES), list(PRIORITIES.values())
    return Run(
        run_id=f"{team}-{number:012x}",
        team=team,
        priority=chance.choices(values, shares)[0],
        arrives=moment,
        training=min(_log_normal(TRAINING_MEDIAN_SECONDS, TRAINING_SIGMA, chance), LONGEST_TRAINING_SECONDS),
        evaluation=_log_normal(EVALUATION_MEDIAN_SECONDS, EVALUATION_SIGMA, chance),
        deployment=_log_normal(DEPLOYMENT_MEDIAN_SECONDS, DEPLOYMENT_SIGMA, chance),
        reason=_reason(chance),
        is_better=chance.random() < DEPLOYED,
    )


def _log_normal(median: float, sigma: float, chance: random.Random) -> float:
    return chance.lognormvariate(math.log(median), sigma)


def _reason(chance: random.Random) -> str | None:
    drawn = chance.random()
    for share, reason in REASONS:
        if drawn < share:
            return reason
        drawn -= share
    return None
