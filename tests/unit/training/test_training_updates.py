"""The queue between playing and learning: who waits for whom, and that nothing gets lost or out of order."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from rl_src.training.updates import UpdateQueue


class GatedLearner:
    """Each update waits until it is let through. Its one weight is the number of updates."""

    def __init__(self) -> None:
        self.gate = threading.Semaphore(0)
        self.learned: list[Any] = []
        self.error: Exception | None = None

    def learn(self, episodes: list[Any], env_steps: int) -> dict[str, float]:
        assert self.gate.acquire(timeout=60)
        if self.error is not None:
            raise self.error
        self.learned.append((episodes, env_steps))
        return {"loss": float(env_steps)}

    def weights(self) -> dict[str, np.ndarray]:
        return {"count": np.array(len(self.learned))}

    def let_through(self, updates: int = 1) -> None:
        self.gate.release(updates)


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as thread:
        yield thread


@pytest.fixture
def learner(executor: ThreadPoolExecutor) -> Iterator[GatedLearner]:
    made = GatedLearner()
    yield made
    made.let_through(100)


def begin(queue: UpdateQueue, number: int, *, learns: bool = True) -> list[int]:
    """As a turn does; numbers of the lines that are complete."""
    lines = queue.make_room()
    queue.begin({"number": number}, ["loss"], [f"batch {number}"] if learns else None, number)
    return [line["number"] for line in lines]


def test_batches_wait_in_order_and_playing_does_not_until_the_queue_is_full(executor, learner):
    queue = UpdateQueue(executor, learner, waiting=2)
    assert [begin(queue, number) for number in (1, 2, 3)] == [[], [], []]  # one is learned from, two wait
    assert not queue.has_finished()
    assert queue.learned.updates == 0
    threading.Timer(0.05, learner.let_through).start()
    assert begin(queue, 4) == [1]  # the fourth waits for the first, and for no other
    assert (queue.learned.updates, queue.learned.weights["count"]) == (1, 1)
    learner.let_through(3)
    assert [line["number"] for line in queue.finish()] == [2, 3, 4]
    assert learner.learned == [([f"batch {number}"], number) for number in (1, 2, 3, 4)]
    assert (queue.begun, queue.learned.updates) == (4, 4)


def test_without_room_each_batch_waits_for_the_one_before(executor, learner):
    queue = UpdateQueue(executor, learner, waiting=0)
    learner.let_through(3)
    assert [begin(queue, number) for number in (1, 2, 3)] == [[], [1], [2]]
    assert [line["number"] for line in queue.finish()] == [3]


def test_what_is_done_is_told_with_its_statistics_and_nothing_is_waited_for(executor, learner):
    queue = UpdateQueue(executor, learner, waiting=2)
    begin(queue, 1)
    begin(queue, 2, learns=False)
    assert not queue.has_finished()  # the second is, but lines come in order
    assert queue.collect() == []
    learner.let_through()
    line, other = queue.finish()
    assert (line["number"], line["loss"]) == (1, 1.0)
    assert line["learning_seconds"] >= 0
    assert other == {"number": 2, "learning_seconds": 0.0, "loss": None}
    assert (queue.begun, queue.learned.updates) == (1, 1)


def test_weights_are_those_of_the_update_not_of_the_learner_at_work(executor, learner):
    queue = UpdateQueue(executor, learner, waiting=2)
    for number in (1, 2, 3):
        begin(queue, number)
    learner.let_through()
    assert begin(queue, 4) == [1]
    seen = queue.learned
    learner.let_through(3)
    queue.finish()
    assert (seen.updates, int(seen.weights["count"])) == (1, 1)


def test_an_update_that_fails_raises_where_it_is_collected(executor, learner):
    queue = UpdateQueue(executor, learner, waiting=1)
    begin(queue, 1)
    learner.error = ValueError("not finite")
    learner.let_through()
    with pytest.raises(ValueError, match="not finite"):
        queue.finish()
    queue.close()


def test_closed_it_calls_off_what_waits_and_waits_for_what_is_learned(executor, learner):
    queue = UpdateQueue(executor, learner, waiting=3)
    for number in (1, 2, 3):
        begin(queue, number)
    threading.Timer(0.05, learner.let_through, [3]).start()
    queue.close()
    assert executor.submit(lambda: [steps for _, steps in learner.learned]).result() == [1]
    assert queue.finish() == []
