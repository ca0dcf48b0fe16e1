"""How far a training has come against each of its limits, how long it takes at most, and what the run has cost."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from gamedojo.models import Job, JobCost, Run
from gamedojo.texts import duration_text, return_text, seconds_left, steps_text, usd_text


@dataclass(frozen=True)
class Limit:
    """One rule that ends a training.

    `share` of it is used up, from 0 to 1 (None: not known yet); `text` says so in its own unit; `seconds_left` is how
    long it takes at the present speed (None: that cannot be said, as of a mean return).
    """

    name: str
    share: float | None
    text: str
    seconds_left: float | None = None


def limits_of(
    run: Run, now: datetime, first_return: float | None = None, env_steps_per_second: float | None = None
) -> tuple[Limit, ...]:
    """Every limit that is known, env steps first.

    Args:
        run: its record.
        now: the present time.
        first_return: mean return that the training began with.
        env_steps_per_second: a speed that is steadier than the record's, which is the last iteration's.
    """
    return tuple(_limits(run, now, first_return, env_steps_per_second))


def most_seconds_left(limits: tuple[Limit, ...]) -> float | None:
    """How long the training goes on at most: until the limit that is reached first. None: nobody knows."""
    known = [limit.seconds_left for limit in limits if limit.seconds_left is not None]
    return min(known, default=None)


def spent_usd(run: Run, now: datetime) -> float | None:
    """About what the run's jobs have cost, at the list's price; None: a price is not known, or nothing is yet."""
    if run.estimate is None:
        return None
    pairs = ((run.estimate.training, run.training_job), (run.estimate.evaluation, run.evaluation_job))
    costs = [_cost(price, job, now) for price, job in pairs]
    known = [cost for cost in costs if cost is not None]
    return sum(known) if len(known) == len(costs) else None


def _limits(run: Run, now: datetime, first_return: float | None, env_steps_per_second: float | None) -> Iterator[Limit]:
    progress, stop = run.progress, run.options.stop
    if progress.env_steps_limit:
        share = _share(progress.env_steps or 0, progress.env_steps_limit)
        yield Limit("env steps", share, steps_text(progress), seconds_left(progress, env_steps_per_second))
    if stop is None or run.training_job is None:
        return
    seconds = _seconds(run.training_job, now)
    if stop.wall_time_seconds:
        text = f"{duration_text(seconds)} of {duration_text(stop.wall_time_seconds)}"
        left = max(0.0, stop.wall_time_seconds - seconds)
        yield Limit("time", _share(seconds, stop.wall_time_seconds), text, left)
    if stop.budget_usd and (usd_per_hour := _usd_per_hour(run)):
        spent = usd_per_hour * seconds / 3600
        text = f"{usd_text(spent)} of {usd_text(stop.budget_usd)}"
        left = max(0.0, stop.budget_usd - spent) / usd_per_hour * 3600
        yield Limit("budget", _share(spent, stop.budget_usd), text, left)
    if stop.mean_return is not None:
        text = f"{return_text(progress.mean_return)} of {return_text(stop.mean_return)}"
        yield Limit("target", _share_of_rise(first_return, progress.mean_return, stop.mean_return), text)


def _share(done: float, total: float) -> float:
    return max(0.0, min(1.0, done / total))


def _share_of_rise(first: float | None, present: float | None, target: float) -> float | None:
    """Of the way from the first mean return to the target."""
    if present is None:
        return None
    if present >= target:
        return 1.0
    return None if first is None or first >= target else _share(present - first, target - first)


def _usd_per_hour(run: Run) -> float | None:
    """Of all instances of the training job."""
    given = run.options.stop.usd_per_hour if run.options.stop else None
    if run.estimate is None:
        return given
    price = given or run.estimate.training.usd_per_hour
    return None if price is None else price * run.estimate.training.instance_count


def _cost(price: JobCost, job: Job | None, now: datetime) -> float | None:
    if job is None or job.started_at is None:
        return 0.0
    if price.usd_per_hour is None:
        return None
    return price.usd_per_hour * price.instance_count * _seconds(job, now) / 3600


def _seconds(job: Job, now: datetime) -> float:
    return 0.0 if job.started_at is None else max(0.0, ((job.ended_at or now) - job.started_at).total_seconds())
