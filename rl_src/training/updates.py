"""Updates of one behavior, which are learned one after the other while it is played on."""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from time import monotonic
from typing import Any

from ray.rllib.env.single_agent_episode import SingleAgentEpisode

from rl_src.training.algorithms.learners import Learner
from rl_src.training.artifacts.best import Weights


@dataclass(frozen=True)
class Learned:
    """The policy after so many updates of this process."""

    updates: int
    weights: Weights


@dataclass(frozen=True)
class _Outcome:
    statistics: dict[str, float]
    seconds: float
    weights: Weights


@dataclass(frozen=True)
class _Update:
    """`line`: what is to be told of its batch; `names`: of the statistics that belong to it."""

    line: dict[str, Any]
    names: Sequence[str]
    outcome: "Future[_Outcome] | None"

    @property
    def is_done(self) -> bool:
        return self.outcome is None or self.outcome.done()


class UpdateQueue:
    """Hands batches to a learner, in order, and takes what came of them. Close it.

    While an update goes on nobody else may touch the learner: its weights come along with the update.

    Args:
        executor: one thread, to learn in.
        learner: learns.
        waiting: batches that may wait while the learner works on another one; 0: the next one waits for it.
    """

    def __init__(self, executor: Executor, learner: Learner, waiting: int) -> None:
        self._executor = executor
        self._learner = learner
        self._waiting = waiting
        self._pending: deque[_Update] = deque()
        self.begun = 0
        """Updates, ever."""
        self.learned = Learned(0, learner.weights())

    def begin_again(self) -> None:
        """The learner was given other weights, before any update."""
        self.learned = Learned(0, self._learner.weights())

    def begin(
        self, line: dict[str, Any], names: Sequence[str], episodes: list[SingleAgentEpisode] | None, env_steps: int
    ) -> None:
        """Learn from a batch as soon as those before it are done; None: tell of it only.

        Args:
            line: what is told of the batch.
            names: statistics that the line has besides, None where there was no update or no such part of it.
            episodes: the batch.
            env_steps: so far, for schedules.
        """
        outcome = None
        if episodes is not None:
            outcome = self._executor.submit(self._learn, episodes, env_steps)
            self.begun += 1
        self._pending.append(_Update(line, names, outcome))

    def has_finished(self) -> bool:
        """Whether the oldest update is done."""
        return bool(self._pending) and self._pending[0].is_done

    def is_learning(self) -> bool:
        """Whether an update goes on, or waits to."""
        return bool(self._pending) and not self._pending[-1].is_done

    def collect(self) -> list[dict[str, Any]]:
        """Progress lines of the updates that are done."""
        return self._complete(self.has_finished)

    def make_room(self) -> list[dict[str, Any]]:
        """Wait until one more batch may wait; progress lines of the updates that are done."""
        return self._complete(lambda: len(self._pending) > self._waiting) + self.collect()

    def finish(self) -> list[dict[str, Any]]:
        """Wait for all updates; their progress lines."""
        return self._complete(lambda: bool(self._pending))

    def close(self) -> None:
        """Nothing must go on without us: what waits is called off, what is being learned is waited for."""
        outcomes = [update.outcome for update in self._pending if update.outcome is not None]
        for outcome in [item for item in outcomes if not item.cancel()]:
            outcome.exception()
        self._pending.clear()

    def _complete(self, while_true: Callable[[], bool]) -> list[dict[str, Any]]:
        lines = []
        while while_true():
            lines.append(self._line(self._pending.popleft()))
        return lines

    def _line(self, update: _Update) -> dict[str, Any]:
        statistics: dict[str, float | None] = dict.fromkeys(update.names)
        seconds = 0.0
        if update.outcome is not None:
            outcome = update.outcome.result()
            statistics.update(outcome.statistics)
            seconds = outcome.seconds
            self.learned = Learned(self.learned.updates + 1, outcome.weights)
        return {**update.line, "learning_seconds": seconds, **statistics}

    def _learn(self, episodes: list[SingleAgentEpisode], env_steps: int) -> _Outcome:
        """In the learning thread."""
        began = monotonic()
        statistics = self._learner.learn(episodes, env_steps)
        return _Outcome(statistics, monotonic() - began, self._learner.weights())
