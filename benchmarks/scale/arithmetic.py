"""What one run and one prediction need and cost, and which quota is the first that does not hold."""

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.scale import limits, workload
from benchmarks.scale.limits import LIMITS, Limit
from benchmarks.scale.state_machine import events, invocations, transitions, visits
from pipeline.contracts.turns import Turns, Waiting
from pipeline.rules import cost
from pipeline.rules.turns import MOST_WAITING, pause_seconds

HOURS_A_MONTH = 730.0
LAMBDA_SECONDS = 1.0
"""Of a state's Lambda. An assumption; they take less."""
LAMBDA_GIGABYTES = 0.5
RECORD_UNITS = 20
"""Write units of a change of a run's record: 4 KB (an assumption), in the table and its four indexes."""
INDEX_UNITS = 4
"""Of these, the index that holds all runs below one key (`by_created`)."""
LOG_BYTES_A_CALL = 2000
"""What a Lambda logs of one call, with the platform's lines. An assumption."""
STORED_GIGABYTES = 0.15
"""Build, checkpoints and artifacts of a run. An assumption."""

PREDICT_SECONDS = 0.011
"""The handler's 0.62 ms (benchmarks/RESULTS.md, Predict) and 10 ms for InvokeEndpoint there and back, an assumption."""
PREDICT_GIGABYTES = 1.0
ANSWER_SECONDS = 0.010
"""That a serverless endpoint is billed for one answer. An assumption."""
TRACED = 0.05
"""X-Ray's own sampling."""
PREDICTION_BYTES = 2000
"""There and back. An assumption."""
REALTIME_A_MINUTE = 6000
"""Of one instance: `endpoint.invocations_per_minute`, which autoscaling aims at."""

HAND_MINUTES = 10
"""Of a person for one run by hand: start a machine, copy, watch, evaluate, deploy. An assumption."""
HAND_USD_AN_HOUR = 60
HAND_BUSY = 0.5
"""Share of its hours that a machine is used which people start and stop. An assumption."""


@dataclass(frozen=True)
class Load:
    """What a stack is asked for."""

    runs_a_day: float
    policies: int
    predictions_a_second: float

    def times(self, factor: float) -> "Load":
        """As many times as much of everything."""
        return Load(self.runs_a_day * factor, round(self.policies * factor), self.predictions_a_second * factor)


@dataclass(frozen=True)
class RunNeeds:
    """One run, on average. Seconds; `looks` by loop of the state machine."""

    queued: float
    slot: float
    trained: float
    looks: Mapping[str, float]
    turn_writes: float
    longest_queue: int
    """Of the load that these were measured with."""


@dataclass(frozen=True)
class Demand:
    """What a load takes of a quota."""

    limit: Limit
    needed: float

    @property
    def holds(self) -> bool | None:
        """None: nobody can say."""
        return None if self.limit.value is None else self.needed <= self.limit.value


def runs_a_day(at_once: float, seconds: float) -> float:
    """So many at once, each for so long (Little's law)."""
    return at_once * workload.DAY / seconds


def at_once(a_second: float, seconds: float) -> float:
    """The same the other way round: how many there are at once."""
    return a_second * seconds


def peak() -> float:
    """The busiest hour's arrivals over the average hour's."""
    moments = [hour * workload.HOUR for hour in range(7 * 24)]
    return max(workload.rate(moment, workload.DAY) for moment in moments)


def demands(load: Load, one: RunNeeds, measured_runs_a_day: float) -> dict[str, Demand]:
    """What the load takes of each quota that grows with it.

    Turns and instances are averages, for the queue levels what comes at once; rates are those of the busiest hour.
    """
    a_second = load.runs_a_day / workload.DAY
    busy = a_second * peak()
    factor = load.runs_a_day / measured_runs_a_day
    queue = one.longest_queue * factor
    item_units = min(queue, MOST_WAITING) * bytes_a_place() / 1024
    visited = visits({loop: round(count) for loop, count in one.looks.items()})
    needed = {
        "turns": at_once(a_second, one.slot),
        "places": queue,
        "training_instances": at_once(a_second, one.trained),
        "serverless_endpoints": load.policies,
        "serverless_concurrency": 5 * load.policies,
        "alarms": 16 + 2 * load.policies,
        "transitions": busy * transitions(visited),
        "starts": busy,
        "executions": at_once(a_second, one.queued + one.slot),
        "history": events(visited),
        "lambdas": busy * invocations(visited) * LAMBDA_SECONDS + load.predictions_a_second * PREDICT_SECONDS,
        "requests": load.predictions_a_second,
        "partition_writes": max(busy * invocations(visited) * INDEX_UNITS, busy * one.turn_writes * item_units),
    }
    return {name: Demand(LIMITS[name], value) for name, value in needed.items()}


def bytes_a_place() -> int:
    """Of one that waits, in the item of the turns."""
    place = Waiting(run_id="policy-of-a-usual-length-0123456789ab", priority=0, since=1_790_000_000, seen=1_790_000_000)
    return len(place.model_dump_json()) + 1


def asks_a_second(waiting: int, limit: int, minimum: int) -> float:
    """How often a queue of so many, all of them new, asks for turns."""
    places = tuple(Waiting(run_id=f"run-{number}", priority=0, since=0, seen=0) for number in range(waiting))
    turns = Turns(waiting=places)
    return sum(1 / pause_seconds(turns, one.run_id, limit, 0, 0, minimum) for one in places)


def pipeline_usd(looks: Mapping[str, float]) -> dict[str, float]:
    """What one run costs beside its machines, by service."""
    visited = visits({loop: round(count) for loop, count in looks.items()})
    calls = invocations(visited)
    return {
        "Step Functions": transitions(visited) * limits.TRANSITION_USD,
        "Lambda": calls * (limits.INVOCATION_USD + LAMBDA_SECONDS * LAMBDA_GIGABYTES * limits.GIGABYTE_SECOND_USD),
        "DynamoDB": calls * RECORD_UNITS * limits.WRITE_UNIT_USD,
        "logs": calls * LOG_BYTES_A_CALL / 1e9 * limits.LOG_GIGABYTE_USD,
        "S3, a month": STORED_GIGABYTES * limits.STORED_GIGABYTE_USD,
    }


def by_hand_usd(instance_type: str, hours: float) -> tuple[float, float]:
    """What so many hours cost on EC2 machines that people start, and those people: (machines, work) of one run."""
    price = cost.usd_per_hour(instance_type, spot=False)
    if price is None:
        raise ValueError(f"the price of {instance_type} is not known")
    return price / limits.OVER_EC2 * hours / HAND_BUSY, HAND_MINUTES / 60 * HAND_USD_AN_HOUR


def predictions_usd(mode: str, used: float = 1.0) -> dict[str, float]:
    """A million predictions, by part.

    Args:
        mode: "serverless", "realtime", or "by hand": two EC2 machines behind a load balancer.
        used: of the instances' capacity; serverless endpoints have none that stands idle.
    """
    million = 1e6
    hours = million / (REALTIME_A_MINUTE * 60 * used)
    machine = cost.usd_per_hour("ml.c7i.large", spot=False)
    assert machine is not None
    if mode == "by hand":
        return {"machines": 2 * machine / limits.OVER_EC2 * hours, "load balancer": limits.BALANCER_HOUR_USD * hours}
    ours = {
        "API Gateway": million * limits.REQUEST_USD,
        "Lambda": million * (limits.INVOCATION_USD + PREDICT_SECONDS * PREDICT_GIGABYTES * limits.GIGABYTE_SECOND_USD),
        "logs": million * LOG_BYTES_A_CALL / 1e9 * limits.LOG_GIGABYTE_USD,
        "traces": million * TRACED * limits.TRACE_USD,
    }
    if mode == "realtime":
        return ours | {"endpoint": machine * hours}
    data = PREDICTION_BYTES / 1e9 * limits.SERVERLESS_GIGABYTE_USD
    return ours | {"endpoint": million * (ANSWER_SECONDS * limits.SERVERLESS_SECOND_USD + data)}


def cheaper_by_hand_from() -> float:
    """Predictions a month from which two machines behind a balancer cost less than a serverless endpoint."""
    machine = cost.usd_per_hour("ml.c7i.large", spot=False)
    assert machine is not None
    a_month = (2 * machine / limits.OVER_EC2 + limits.BALANCER_HOUR_USD) * HOURS_A_MONTH
    return a_month / (sum(predictions_usd("serverless").values()) / 1e6)
