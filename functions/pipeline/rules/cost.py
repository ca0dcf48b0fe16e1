"""What the jobs of a run may cost at most, whether that is too much, and what they have cost.

SageMaker bills every instance of a training job by the second, from the start of the instance to the end of the upload,
and at most until MaxRuntimeInSeconds (SageMaker pricing; API reference, StoppingCondition). The price list is a data
file beside this one.
"""

import json
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.contracts.cost import CostEstimate, JobCost
from pipeline.contracts.job import StopRule
from pipeline.contracts.problem import FieldProblem
from pipeline.contracts.request import RunOptions
from pipeline.contracts.run import JobRecord, RunRecord
from pipeline.contracts.validation import InvalidDocumentError

OVERHEAD_SECONDS = 180
"""Billed around a training that ends by its own clock (start, download, upload): an estimate, not measured."""

_PRICES = Path(__file__).with_name("instance_prices.json")


def usd_per_hour(instance_type: str, *, spot: bool) -> float | None:
    """Price of one instance; None where the list does not have it."""
    document = _document()
    price: float | None = document["usd_per_hour"].get(instance_type)
    return price if price is None or not spot else price * float(document["spot_factor"])


def estimate(options: RunOptions, training_instance_type: str, evaluation_instance_type: str) -> CostEstimate:
    """The most that the run's two jobs can cost.

    Args:
        options: the run's.
        training_instance_type: of a training whose options name none.
        evaluation_instance_type: of evaluations.
    """
    instances = options.instances
    instance_type = instances.instance_type or training_instance_type
    price = _own_price(options, instance_type)
    training = _job(instance_type, instances.instance_count, instances.spot, price, _training_seconds(options, price))
    evaluation = _job(
        evaluation_instance_type,
        1,
        False,
        usd_per_hour(evaluation_instance_type, spot=False),
        options.evaluation.max_runtime_seconds,
    )
    both = (training.max_usd, evaluation.max_usd)
    known = None if None in both else round(sum(usd for usd in both if usd is not None), 2)
    document = _document()
    return CostEstimate(
        training=training, evaluation=evaluation, max_usd=known, prices=f"{document['region']}, {document['as_of']}"
    )


def check_affordable(options: RunOptions, cost: CostEstimate) -> None:
    """Refuse a run that could cost more than it may, or whose price nobody knows where that matters.

    Raises:
        InvalidDocumentError: names the field, the sum and what would be right.
    """
    stop = options.stop
    if cost.training.usd_per_hour is None and stop is not None and stop.budget_usd is not None:
        raise _refused("stop.budget_usd", _unknown(cost.training.instance_type, "the budget cannot be kept"))
    limit = options.max_cost_usd
    if limit is None:
        return
    if cost.max_usd is None:
        job = cost.training if cost.training.max_usd is None else cost.evaluation
        raise _refused("max_cost_usd", _unknown(job.instance_type, "nobody can say what the run costs"))
    if cost.max_usd > limit:
        raise _refused("max_cost_usd", _too_dear(cost, limit))


def spent_usd(record: RunRecord, until: datetime) -> float:
    """What the jobs of the run's present attempt have cost, at the list's prices; one without a price counts nothing.

    Args:
        record: the run's.
        until: a job whose end is not known is paid for until then.
    """
    if record.estimate is None:
        return 0.0
    begun = record.history[0].at if record.history else record.created_at
    jobs = ((record.training_job, record.estimate.training), (record.evaluation_job, record.estimate.evaluation))
    return round(sum(_spent_usd(job, cost, begun, until) for job, cost in jobs), 4)


def _spent_usd(job: JobRecord | None, cost: JobCost, begun: datetime, until: datetime) -> float:
    if job is None or job.started_at is None or job.started_at < begun or cost.usd_per_hour is None:
        return 0.0
    hours = ((job.ended_at or until) - job.started_at).total_seconds() / 3600
    return max(hours, 0.0) * cost.usd_per_hour * cost.instance_count


def with_price(options: RunOptions, training_instance_type: str) -> RunOptions:
    """The options with the list's price in `stop.usd_per_hour`, where a budget needs it: jobs have no list."""
    stop = options.stop
    if stop is None or stop.budget_usd is None or stop.usd_per_hour is not None:
        return options
    price = usd_per_hour(options.instances.instance_type or training_instance_type, spot=options.instances.spot)
    return options.model_copy(update={"stop": stop.model_copy(update={"usd_per_hour": price})})


def _own_price(options: RunOptions, instance_type: str) -> float | None:
    by_hand = options.stop.usd_per_hour if options.stop is not None else None
    return by_hand if by_hand is not None else usd_per_hour(instance_type, spot=options.instances.spot)


def _training_seconds(options: RunOptions, price: float | None) -> int:
    """Until the platform ends the job, or the training itself does, where every behavior obeys one stop rule."""
    longest = options.instances.max_runtime_seconds
    own_rules = any(behavior.stop is not None for behavior in options.behaviors.values())
    if options.stop is None or own_rules:
        return longest
    return int(min([longest, *_seconds_of_rule(options.stop, price, options.instances.instance_count)]))


def _seconds_of_rule(stop: StopRule, price: float | None, instance_count: int) -> list[float]:
    by_clock = [] if stop.wall_time_seconds is None else [stop.wall_time_seconds + OVERHEAD_SECONDS]
    if stop.budget_usd is None or price is None:
        return by_clock
    # A training looks at its budget between updates, so the start is the least that is billed.
    return [*by_clock, max(stop.budget_usd / (price * instance_count) * 3600, OVERHEAD_SECONDS)]


def _job(instance_type: str, count: int, spot: bool, price: float | None, seconds: int) -> JobCost:
    return JobCost(
        instance_type=instance_type,
        instance_count=count,
        spot=spot,
        max_seconds=seconds,
        usd_per_hour=price,
        max_usd=None if price is None else round(price * count * seconds / 3600, 4),
    )


def _too_dear(cost: CostEstimate, limit: float) -> str:
    training, rest = cost.training, (cost.max_usd or 0.0) - (cost.training.max_usd or 0.0)
    jobs = f"training {_words(training)}, evaluation {_words(cost.evaluation)}"
    words = f"the run could cost up to {cost.max_usd:.2f} USD: {jobs}"
    left = limit - rest
    an_hour = (training.usd_per_hour or 0.0) * training.instance_count
    seconds = int(left / an_hour * 3600) if an_hour else 0
    if seconds < OVERHEAD_SECONDS:
        limits = "instances.max_runtime_seconds and evaluation.max_runtime_seconds"
        return f"{words}; raise max_cost_usd, or lower {limits}"
    return (
        f"{words}; raise it, or set instances.max_runtime_seconds to at most {seconds} "
        f"or stop.budget_usd to at most {left:.2f}"
    )


def _words(job: JobCost) -> str:
    return (
        f"{job.instance_count} x {job.instance_type}{' (spot)' if job.spot else ''} for {job.max_seconds / 3600:.4g} h"
    )


def _unknown(instance_type: str, why: str) -> str:
    family = instance_type.rpartition(".")[0] + "."
    prices = _document()["usd_per_hour"]
    known = [name for name in prices if name.startswith(family)] or list(prices)
    remedy = f"set stop.usd_per_hour, or choose one of {', '.join(known)}"
    return f"the price of {instance_type} is not known, so {why}; {remedy}"


def _refused(field: str, message: str) -> InvalidDocumentError:
    return InvalidDocumentError([FieldProblem(field=field, message=message)])


@cache
def _document() -> Any:
    return json.loads(_PRICES.read_text())
