"""Questions that arrive together are asked together.

A batch is what one round of the event loop has read from all connections: nobody waits for company, and a lone request
is asked alone. Several calls of the model become one, and each stage's code and data stay in the processor's caches.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rl_src.serving.onnx_policy import Feed
from rl_src.serving.questions import Question
from rl_src.serving.tensors import Floats

MOST_AGENTS = 1024
"""In one call of a model: beyond, a batch gains nothing, and its first request waits for its last."""

Actions = tuple[Floats, NDArray[np.int64], Floats]
"""Continuous [N, C], discrete [N, branches] and the memory [N, M] of a question's agents."""
Done = Callable[[Actions | Exception], None]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Waiting:
    question: Question
    done: Done


class Batcher:
    """Asks once a round of the loop. `told` hears of each call: for how many requests and agents."""

    def __init__(self, told: Callable[[int, int], None]) -> None:
        self._told = told
        self._waiting: list[_Waiting] = []

    def ask(self, question: Question, done: Done) -> None:
        """`done` is called in this round or the next, with the actions or with what the model raised."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._flush)
        self._waiting.append(_Waiting(question, done))

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        alike: dict[tuple[str, bool], list[_Waiting]] = {}
        for one in waiting:
            alike.setdefault((one.question.served.name, one.question.deterministic), []).append(one)
        for same in alike.values():
            for batch in _portions(same):
                self._run(batch)

    def _run(self, batch: Sequence[_Waiting]) -> None:
        first, feeds = batch[0].question, [one.question.feed for one in batch]
        feed = feeds[0] if len(feeds) == 1 else Feed.joined(feeds)
        try:
            continuous, discrete, memory = first.served.policy.run(feed, first.deterministic)
        except Exception as error:  # ONNX Runtime's errors have no common base but Exception
            self._run_apart(batch, error)
            return
        self._told(len(batch), feed.count)
        start = 0
        for one in batch:
            rows = slice(start, start := start + one.question.feed.count)
            one.done((continuous[rows], discrete[rows], memory[rows]))

    def _run_apart(self, batch: Sequence[_Waiting], error: Exception) -> None:
        """What went wrong with a batch need not go wrong with each."""
        if len(batch) == 1:
            batch[0].done(error)
            return
        for one in batch:
            self._run([one])


def _portions(waiting: Sequence[_Waiting]) -> list[list[_Waiting]]:
    portions: list[list[_Waiting]] = [[]]
    agents = 0
    for one in waiting:
        agents += one.question.feed.count
        if agents > MOST_AGENTS and portions[-1]:
            portions.append([])
            agents = one.question.feed.count
        portions[-1].append(one)
    return portions
