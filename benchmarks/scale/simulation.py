"""Thousands of runs of one stack, on a virtual clock.

Whose turn it is, when it is looked at, what a failure means, what is tried again and what a machine costs are decided
by the code of the product: `pipeline.rules` and the state machine. What AWS does (machines, quotas, interruptions) is
played here; `workload` says how runs come.
"""

import json
import random
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field

from benchmarks.scale import workload
from benchmarks.scale.clock import Clock, Process
from benchmarks.scale.looks import found_after
from benchmarks.scale.quotas import ASecond, AtOnce
from benchmarks.scale.state_machine import retry
from benchmarks.scale.workload import Run
from pipeline.contracts.run import RunStatus
from pipeline.contracts.turns import Turns
from pipeline.rules import cost
from pipeline.rules.failures import classify
from pipeline.rules.job_failures import job_failure
from pipeline.rules.turns import asked, pause_seconds, released, waiting_since
from pipeline.steps.turns import LONGEST_SECONDS

STEP_SECONDS = 2.0
"""Of a Lambda that starts, decides or verifies something. An assumption; none is waited for long."""
REDRIVE_SECONDS = 1800.0
"""Until somebody redrives a run whose failure may go well the next time; each is redriven once. An assumption."""
REPLACEMENT_SECONDS = 300.0
"""Until there is another spot machine, on average. An assumption."""
CHECKPOINT_SECONDS = 60.0
"""Of work that an interruption may cost at most: `checkpoint_interval_seconds` of rl_src.training.settings.config."""

Pause = Callable[[Turns, str, int, int, int, int], int]
"""`rules.turns.pause_seconds`, or another rule to compare it with."""


@dataclass(frozen=True)
class Stack:
    """A stack and its account."""

    max_concurrent_runs: int = 10
    poll_min_seconds: int = 20
    training_instances: int = 10
    evaluation_instances: int = 10
    creations_a_second: float = 1.0
    """CreateTrainingJob. AWS publishes no figure; this is an assumption."""
    training_type: str = "ml.c7i.2xlarge"
    evaluation_type: str = "ml.c7i.xlarge"
    spot: bool = True
    pause: Pause = pause_seconds


@dataclass
class Ended:
    """What became of a run. Seconds; `waited` of all attempts, `slot` from its turn to its end."""

    run: Run
    status: RunStatus = RunStatus.RUNNING
    code: str = ""
    finished: float = 0.0
    waited: float = 0.0
    slot: float = 0.0
    trained: float = 0.0
    evaluated: float = 0.0
    attempts: int = 0
    interruptions: int = 0
    looks: Counter[str] = field(default_factory=Counter)


@dataclass
class TurnKeeper:
    """The document of the turns, and what it goes through."""

    limit: int
    turns: Turns = field(default_factory=Turns)
    asks: int = 0
    writes: int = 0
    longest_queue: int = 0
    idle_seconds: float = 0.0
    """Of turns that were free while somebody waited."""
    waiting_seconds: float = 0.0
    """Of all that waited."""
    by_minute: Counter[int] = field(default_factory=Counter)
    _since: float = 0.0

    def change(self, turns: Turns, now: float) -> None:
        """Put the next document in the place of the present one."""
        free = max(self.limit - len(self.turns.holders), 0)
        self.idle_seconds += min(free, len(self.turns.waiting)) * (now - self._since)
        self.waiting_seconds += len(self.turns.waiting) * (now - self._since)
        self._since = now
        self.writes += turns is not self.turns and turns != self.turns
        self.turns = turns
        self.longest_queue = max(self.longest_queue, len(turns.waiting))

    def ask(self, run: Run, now: float) -> bool:
        """Whether the run has its turn."""
        self.asks += 1
        self.by_minute[int(now // 60)] += 1
        self.change(asked(self.turns, run.run_id, run.priority, self.limit, int(now)), now)
        return run.run_id in self.turns.holders


class _GivenUpError(Exception):
    """A state tried again as often as it may."""


class Simulation:
    """One stack that plays runs until all have ended."""

    def __init__(self, stack: Stack, seed: int) -> None:
        self.stack = stack
        self.clock = Clock()
        self.turns = TurnKeeper(stack.max_concurrent_runs)
        self.training = AtOnce(stack.training_instances)
        self.evaluation = AtOnce(stack.evaluation_instances)
        self.creations = ASecond(stack.creations_a_second, burst=5 * stack.creations_a_second)
        self.ended: list[Ended] = []
        self._chance = random.Random(seed)

    def play(self, runs: Iterable[Run]) -> None:
        """Play them to their ends."""
        for run in runs:
            self.clock.begin(self._life(Ended(run)), run.arrives)
        self.clock.play()

    def _life(self, ended: Ended) -> Process:
        yield 2 * STEP_SECONDS  # AdmitRun, InspectBuild
        while True:
            ended.attempts += 1
            again = yield from self._attempt(ended)
            if not again or ended.attempts > 1:
                break
            yield REDRIVE_SECONDS
        ended.finished = self.clock.now
        self.ended.append(ended)

    def _attempt(self, ended: Ended) -> Generator[float, None, bool]:
        """One attempt, from its turn to FinishRun. Whether the same again may go well."""
        begun = self.clock.now
        granted = yield from self._take_turn(ended)
        ended.waited += self.clock.now - begun
        if not granted:
            return self._finish(ended, RunStatus.FAILED, "DeadlineExceeded")
        turn_since = self.clock.now
        try:
            again = yield from self._jobs(ended)
        except _GivenUpError as error:
            again = self._finish(ended, RunStatus.FAILED, str(error))
        yield STEP_SECONDS  # FinishRun
        ended.slot += self.clock.now - turn_since
        self.turns.change(released(self.turns.turns, ended.run.run_id), self.clock.now)
        return again

    def _take_turn(self, ended: Ended) -> Generator[float, None, bool]:
        run, limit, minimum = ended.run, self.stack.max_concurrent_runs, self.stack.poll_min_seconds
        asks = 0
        while not self.turns.ask(run, self.clock.now):
            now = int(self.clock.now)
            waited = now - (waiting_since(self.turns.turns, run.run_id) or now)
            if waited > LONGEST_SECONDS:
                self.turns.change(released(self.turns.turns, run.run_id), self.clock.now)
                return False
            ended.looks["turn"] += 1
            yield self.stack.pause(self.turns.turns, run.run_id, limit, waited, asks, minimum)
            asks += 1
        return True

    def _jobs(self, ended: Ended) -> Generator[float, None, bool]:
        run = ended.run
        fails = run.reason is not None and ended.attempts == 1
        work = run.training * (self._chance.random() if fails else 1.0)
        seconds, billed = self._on_a_machine(work, ended)
        yield from self._job("StartTraining", "training", self.training, seconds, ended)
        ended.trained += billed
        if fails:
            assert run.reason is not None
            found = job_failure(run.reason)
            message = f"[{found.code}] {found.cause} Remedy: {found.remedy}"
            failure = classify("CheckTraining", "TrainingFailedError", json.dumps({"errorMessage": message}))
            self._finish(ended, RunStatus.FAILED, failure.code)
            return failure.retryable
        yield STEP_SECONDS  # ExtractCheckpoint
        seconds = run.evaluation + cost.OVERHEAD_SECONDS
        yield from self._job("StartEvaluation", "evaluation", self.evaluation, seconds, ended)
        ended.evaluated += seconds
        yield STEP_SECONDS  # DecidePromotion
        if not run.is_better:
            return self._finish(ended, RunStatus.KEPT)
        yield from self._look("endpoint", run.deployment, ended)
        yield STEP_SECONDS  # VerifyEndpoint
        return self._finish(ended, RunStatus.SUCCEEDED)

    def _job(
        self, state: str, loop: str, machines: AtOnce, seconds: float, ended: Ended
    ) -> Generator[float, None, None]:
        """Create a job as the state tries it, and look at it until its end is found. Its machine is free before."""
        tries: Counter[str] = Counter()
        while error := self._refusal(machines):
            tries[error] += 1
            pause = retry(state, error).pause(tries[error], self._chance)
            if pause is None:
                raise _GivenUpError(error.removesuffix("Error"))
            yield pause
        self.clock.begin(self._until_the_end(machines), self.clock.now + seconds)
        yield from self._look(loop, seconds, ended)

    def _refusal(self, machines: AtOnce) -> str | None:
        if not self.creations.take(self.clock.now):
            return "ThrottledError"
        return None if machines.take(self.clock.now) else "CapacityError"

    def _until_the_end(self, machines: AtOnce) -> Process:
        machines.give(self.clock.now)
        return
        yield  # a process, though one without pauses

    def _look(self, loop: str, seconds: float, ended: Ended) -> Generator[float, None, None]:
        found, looks = found_after(seconds, self.stack.poll_min_seconds)
        ended.looks[loop] += looks
        yield found

    def _on_a_machine(self, work: float, ended: Ended) -> tuple[float, float]:
        """Seconds until the job has ended, and those that are billed: what is lost by interruptions is done again."""
        passed, billed = float(cost.OVERHEAD_SECONDS), float(cost.OVERHEAD_SECONDS)
        left = work
        while self.stack.spot:
            until = self._chance.expovariate(workload.INTERRUPTIONS_AN_HOUR / workload.HOUR)
            if until >= left:
                break
            ended.interruptions += 1
            left += min(self._chance.uniform(0, CHECKPOINT_SECONDS), until) - until
            passed += until + self._chance.expovariate(1 / REPLACEMENT_SECONDS) + cost.OVERHEAD_SECONDS
            billed += until + cost.OVERHEAD_SECONDS
        return passed + left, billed + left

    @staticmethod
    def _finish(ended: Ended, status: RunStatus, code: str = "") -> bool:
        ended.status, ended.code = status, code
        return False


def played(stack: Stack, runs: Iterable[Run], seed: int = 1) -> Simulation:
    """A simulation that has been played to its end."""
    simulation = Simulation(stack, seed)
    simulation.play(runs)
    return simulation
