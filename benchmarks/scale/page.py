"""docs/scale.md, from the arithmetic and what was kept of the simulations: `python -m benchmarks.scale.page`."""

import sys
from collections.abc import Sequence
from typing import Any

from benchmarks.report import table
from benchmarks.scale import arithmetic, limits, workload
from benchmarks.scale.arithmetic import Demand, Load, RunNeeds
from benchmarks.scale.limits import LIMITS
from benchmarks.scale.scenarios import RUNS_A_DAY, SCENARIOS, results
from pipeline.contracts.request import Instances
from pipeline.rules.turns import HEAD_START_SECONDS, MOST_WAITING

LOAD = Load(RUNS_A_DAY, policies=20, predictions_a_second=100)
FACTORS = (1, 10, 1000)


def page() -> str:
    """The page as Markdown."""
    kept = results()
    whole = kept["as deployed"]
    one = RunNeeds(
        whole["queued"],
        whole["slot"],
        whole["trained"],
        whole["looks"],
        whole["writes"] / whole["runs"],
        whole["longest_queue"],
    )
    parts = (_head(whole), _takes(whole), _breaks(one), _changes(), _cost(whole), _simulation(kept))
    return "\n".join(parts)


def _head(whole: dict[str, Any]) -> str:
    most = arithmetic.runs_a_day(LIMITS["turns"].value or 0, whole["slot"])
    return f"""# How far one stack goes

<!-- Written by `make scale` from benchmarks/scale and its results.json: change those. -->

On paper: no AWS account was reachable. Quotas are AWS's published defaults for us-east-1 (names and sources below), rates of
our own were [measured](../benchmarks/RESULTS.md) on 2026-11-29, and the rest is arithmetic and a simulation on a virtual clock
(`benchmarks/scale`; tests hold both). What nobody has measured is called an assumption where it stands.

- A stack as deployed gets through **{most:,.0f} runs a day** of {whole["slot"] / 60:.0f} minutes each; `MaxConcurrentRuns` (10) is what limits it.
- **What breaks first** is SageMaker's quotas. In a new account these are instances (often 0) and the concurrency of serverless
  endpoints: users report 10, which is 2 policies of `max_concurrency` 5, where the guide says 200, which is 40.
- A thousand runs cost about **{_thousand(whole):,.0f} USD**, nearly all of it machines; a million predictions **{sum(arithmetic.predictions_usd("serverless").values()):.2f} USD**, most of it API Gateway.
- Ten times as much needs parameters and raised quotas. A thousand times as much needs another design in five places.
"""


def _thousand(whole: dict[str, Any]) -> float:
    machines = (whole["training_usd"] + whole["evaluation_usd"]) / whole["runs"]
    return 1000 * float(machines + sum(arithmetic.pipeline_usd(whole["looks"]).values()))


def _takes(whole: dict[str, Any]) -> str:
    concurrency = LIMITS["serverless_concurrency"].value or 0
    hosts = Instances.model_json_schema()["properties"]["instance_count"]["maximum"]
    serverless = 5 / arithmetic.ANSWER_SECONDS
    rows = [
        (
            "runs a day",
            f"{arithmetic.runs_a_day(10, whole['slot']):,.0f}",
            "10 turns x a day / a run's time with its turn",
        ),
        ("runs that wait", f"{MOST_WAITING:,}", "places in one DynamoDB item; more stay outside and ask again"),
        ("builds uploaded at once", "1,300", "StartExecution; EventBridge delivers the rest later, for an hour"),
        ("policies in service", "2 to 40", f"concurrency of all serverless endpoints, 10 to {concurrency:.0f}, by 5"),
        ("hosts of a run", f"{hosts}", "`instances.instance_count`; the account's instances for all runs together"),
        (
            "agents of a run",
            "64 at 34,333 decisions/s",
            "measured on 2 cores (RESULTS.md, Training): the learner is busy 83 %",
        ),
        (
            "decisions/s of a run",
            "about 41,000",
            "34,333 / 0.83: one learner; more hosts help slow builds, not a full learner",
        ),
        ("predictions/s of a serverless policy", f"{serverless:,.0f}", "5 at once, 10 ms each (an assumption)"),
        (
            "predictions/s of a real-time core",
            "24,561",
            "8 numbers over 8 connections (RESULTS.md, Predict); 64 agents: 11,472",
        ),
        ("predictions/s of a key, of the account", "1,000, 10,000", "`PredictRateLimit`; API Gateway"),
    ]
    return f"""## What it takes

{table(("what", "how much", "why"), rows)}

One request may hold many agents: 11,472 requests a second of 64 agents are 734,000 actions a second of one core, and one request at API Gateway.
"""


def _breaks(one: RunNeeds) -> str:
    columns = [arithmetic.demands(LOAD.times(factor), one, RUNS_A_DAY) for factor in FACTORS]
    rows = _rows(columns)
    first = [name for name, demand in columns[1].items() if demand.holds is False]
    broken = ", ".join(LIMITS[name].name for name in first)
    alone = arithmetic.asks_a_second(1000, 10, 20)
    return f"""## What breaks first

1x is {LOAD.runs_a_day:.0f} runs a day, {LOAD.policies} serverless policies and {LOAD.predictions_a_second:.0f} predictions a second. Rates are those of the
busiest hour, {arithmetic.peak():.1f} times the average; turns and instances are averages, since the queue levels them. **Bold** does not hold.

{table(("quota", "default", *(f"{factor}x" for factor in FACTORS), "from"), rows)}

At 10x: {broken}. AWS publishes no rate for CreateTrainingJob and DescribeTrainingJob; ours are {_describes(one, 10):.1f} of the latter a
second at 10x and {_describes(one, 1000):,.0f} at 1000x, and throttled calls are tried again.

A thousand builds dropped at once ask for turns {alone:.1f} times a second together: who is far behind asks seldom. A run takes
{columns[0]["history"].needed:,.0f} history events of 25,000; tests hold that the longest allowed run keeps within.
"""


def _rows(columns: Sequence[dict[str, Demand]]) -> list[tuple[str, ...]]:
    return [
        (
            demand.limit.name,
            "by account" if demand.limit.value is None else f"{demand.limit.value:,.0f}",
            *(_needed(column[name]) for column in columns),
            demand.limit.source,
        )
        for name, demand in columns[0].items()
    ]


def _needed(demand: Demand) -> str:
    digits = 0 if demand.needed >= 10 else 2
    shown = f"{demand.needed:,.{digits}f}"
    return f"**{shown}**" if demand.holds is False else shown


def _describes(one: RunNeeds, factor: float) -> float:
    looks = one.looks["training"] + one.looks["evaluation"]
    return LOAD.runs_a_day * factor / workload.DAY * looks * arithmetic.peak()


def _changes() -> str:
    dear = LOAD.predictions_a_second * 1000 * workload.DAY * limits.REQUEST_USD
    return f"""## What to change

**For 10x**, nothing but numbers. Raise `MaxConcurrentRuns` to 100, and the quotas of the training type (spot) and of the evaluation
type to as many; the quotas of serverless endpoints and of their concurrency, or lower `endpoint.max_concurrency`, or serve what is
asked often in real time (its instances are a quota, too); `PredictRateLimit`. Ask for the quotas before: it takes days.

**For 1000x**, five parts need another design:

1. *One queue in one item.* Each writer waits for the others, and it ends at 3,000 places; a run that waits also reads the record of
   every run that trains. Instead: an item for each run, an index by its place, and a scheduler that hands turns over by task
   tokens: then nobody asks.
2. *One endpoint for each policy.* 20,000 endpoints are not to be had. Instead: real-time endpoints that hold many policies (our
   server reads small ONNX files; inference components or multi-model endpoints move them in and out), and no two alarms for each.
3. *One account.* 5,500 machines of one type are more than one account's spot pool gives. Instead: several accounts and
   regions, a stack in each, and several instance types for a run; the scheduler chooses.
4. *API Gateway's REST API* for every prediction: 100,000 a second are {dear:,.0f} USD a day. Instead: more agents in a request, then
   a load balancer before the endpoints, or the policy within the game (Unity runs the ONNX file).
5. *`by_created` holds all runs below one key*, and one key takes 1,000 write units a second. Instead: a key for each day and
   shard. Looking at jobs becomes listening (EventBridge tells of ends), with looks of an hour as a safety net.
"""


def _cost(whole: dict[str, Any]) -> str:
    runs = whole["runs"]
    training, evaluation = (1000 * whole[name] / runs for name in ("training_usd", "evaluation_usd"))
    pipeline = {name: 1000 * usd for name, usd in arithmetic.pipeline_usd(whole["looks"]).items()}
    hours = whole["trained"] / workload.HOUR
    machines, work = arithmetic.by_hand_usd("ml.c7i.2xlarge", hours)
    judged, _ = arithmetic.by_hand_usd("ml.c7i.xlarge", whole["evaluated"] / workload.HOUR)
    ours = [
        ("training, ml.c7i.2xlarge spot", f"{training:,.2f}", f"{1000 * machines:,.2f}"),
        ("evaluation, ml.c7i.xlarge", f"{evaluation:,.2f}", f"{1000 * judged:,.2f}"),
        *((name, f"{usd:,.2f}", "") for name, usd in pipeline.items()),
        ("a person's work", "", f"{1000 * work:,.2f}"),
        (
            "together",
            f"{training + evaluation + sum(pipeline.values()):,.2f}",
            f"{1000 * (machines + judged + work):,.2f}",
        ),
    ]
    modes = {mode: arithmetic.predictions_usd(mode) for mode in ("serverless", "realtime", "by hand")}
    names = list(dict.fromkeys(name for parts in modes.values() for name in parts))
    million = [
        *((name, *(f"{parts[name]:.2f}" if name in parts else "" for parts in modes.values())) for name in names),
        ("together", *(f"{sum(parts.values()):.2f}" for parts in modes.values())),
    ]
    idle = sum(arithmetic.predictions_usd("realtime", 0.1).values())
    idle_hand = sum(arithmetic.predictions_usd("by hand", 0.1).values())
    return f"""## What it costs

Prices of machines are those of [Cost](cost.md#instances); the others: {limits.PRICES}.

**1,000 runs**, USD, at the simulation's {hours * 60:.0f} minutes of training. By hand: EC2 on demand (SageMaker's price / {limits.OVER_EC2}), machines busy
{arithmetic.HAND_BUSY:.0%} of the time that they are on, {arithmetic.HAND_MINUTES} minutes of a person at {arithmetic.HAND_USD_AN_HOUR} USD an hour; all three are assumptions.

{table(("", "one stack", "by hand"), ours)}

Where somebody keeps EC2 spot machines busy all the time and counts no work, that person pays less than SageMaker's price: our spot is
{training:,.0f} USD, the same hours on EC2 at the same discount {training / limits.OVER_EC2:,.0f}.

**A million predictions**, USD. Instances are at {arithmetic.REALTIME_A_MINUTE:,} requests a minute each, at which autoscaling aims; by hand are two EC2 machines behind a
load balancer, without keys, limits, logs or traces.

{table(("", "serverless", "real-time", "by hand"), million)}

At a tenth of that use a million costs {idle:.2f} in real time and {idle_hand:.2f} by hand; serverless stays the same. From {arithmetic.cheaper_by_hand_from() / 1e6:.0f} million a month on, two
machines of one's own cost less than the serverless way.
"""


def _simulation(kept: dict[str, Any]) -> str:
    whole = kept["as deployed"]
    waits = [
        (f"{priority}", f"{one['runs']:,}", *(_hours(one[name]) for name in ("mean", "p50", "p95", "p99")))
        for priority, one in whole["waits"].items()
    ]
    compared = [
        (
            name,
            f"{one['runs']:,}",
            f"{one['runs_a_day']:,.0f}",
            _hours(one["queued"]),
            _hours(one["waits"]["-5"]["p99"]),
            f"{one['turns_used']:.1%}",
            f"{one['fairness']:.3f}",
            f"{one['asks'] / one['runs']:.0f}",
            str(one["codes"].get("Capacity", 0)),
            str(one["codes"].get("DeadlineExceeded", 0)),
        )
        for name, one in kept.items()
    ]
    ended = ", ".join(f"{count:,} {status}" for status, count in whole["statuses"].items())
    codes = ", ".join(f"{count} {code}" for code, count in whole["codes"].items())
    asked = [f"{SCENARIOS[name][2]:,.0f} a day" for name in ("as deployed", "ten times")]
    few, half = kept["5 machines, 5 turns"], kept["5 machines, 10 turns"]
    old, new = kept["pauses of 5 %"], kept["2,000 of them"]
    return f"""## 10,000 runs on a virtual clock

Runs come in working hours, one in twenty arrivals is a sweep of 20, from eight teams of which the first sends most. Trainings are
log-normal: half of them beyond {workload.TRAINING_MEDIAN_SECONDS / 60:.0f} minutes (two million decisions of one build of 5 ms at the measured 1,365 a second), one in twenty beyond
three hours. Spot machines are taken away once in {1 / workload.INTERRUPTIONS_AN_HOUR:.0f} hours; {sum(share for share, _ in workload.REASONS):.0%} of trainings fail, by reasons that the product's own classifier
reads; what may go well again is redriven once. Turns, pauses, retries, failures and prices are the product's own code. Shares and
spreads are assumptions (`benchmarks/scale/workload.py`).

As deployed, at {asked[0]}: {whole["days"]:.0f} days, {ended}; failed for good: {codes}. {whole["redriven"]} were redriven,
{whole["interruptions"]} interrupted. Machines {whole["training_usd"] + whole["evaluation_usd"]:,.0f} USD. {whole["turns_used"]:.1%} of the turns' time was used while anybody waited.

![the queue over three weeks, and how long runs wait](images/scale.png)

Hours until the turn, all attempts together; a point of priority is worth {HEAD_START_SECONDS // 3600} hours of waiting:

{table(("priority", "runs", "mean", "p50", "p95", "p99"), waits)}

Other stacks, and other rules ("ten times" is {asked[1]} on 100 turns; "used": of the turns' time while anybody waited; Jain: 1 where
all teams are as quick as one another):

{table(("", "runs", "a day", "in queue, h", "p99 of -5, h", "used", "Jain", "asks a run", "Capacity", "Deadline"), compared)}

- **Who is next asks often.** With pauses of 5 % of the time waited, as it was before, {1 - old["turns_used"]:.1%} of the turns stood free beside a queue; now
  {1 - new["turns_used"]:.1%}, with {new["asks"] / old["asks"]:.0%} of the asks.
- **Fewer machines than turns** makes runs hold turns while they try for a machine: {half["codes"].get("Capacity", 0)} gave up (`Capacity`) after {half["refused"]:,} refusals. As few turns as
  machines is worse where both are too few, since a run trains for {whole["trained"] / whole["slot"]:.0%} of its turn and holds it through evaluation and
  deployment, too: give {whole["slot"] / whole["trained"]:.1f} turns for each machine.
- **Overload is no queue.** Five turns get through {few["runs_a_day"]:,.0f} of 150 runs a day: the wait grows, and {few["codes"].get("DeadlineExceeded", 0)} of {few["runs"]:,} runs were ended after a
  week. `MaxConcurrentRuns`, or a smaller number of runs, is the only remedy.
- **Fairness is by arrival, not by team.** Nobody is kept waiting for ever, but a team that drops a hundred builds is served a hundred times
  before the next one's first. Teams that must not wait for one another need stacks of their own.
"""


def _hours(seconds: float) -> str:
    return f"{seconds / workload.HOUR:.1f}"


if __name__ == "__main__":
    sys.stdout.write(page())
