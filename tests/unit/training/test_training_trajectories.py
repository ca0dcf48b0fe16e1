"""Trajectories against a plain reading of the same stream, agent by agent."""

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_src.training.sampling.trajectories import Trajectory, TrajectoryCollector


def ids(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def floats(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def seen(*values: float) -> tuple[np.ndarray, ...]:
    return (np.array(values, dtype=np.float32).reshape(-1, 1),)


def decide(
    collector: TrajectoryCollector, keys: np.ndarray, observations: tuple[np.ndarray, ...], *acts: float
) -> None:
    actions = np.array(acts, dtype=np.float32).reshape(-1, 1)
    collector.record(keys, observations, actions, actions * 10, None)


def test_terminal_and_next_decision_in_one_exchange_are_two_episodes():
    collector = TrajectoryCollector()
    collector.receive(ids(1), floats(0))
    decide(collector, ids(1), seen(10), 0)
    collector.receive_terminals(ids(1), floats(1), np.array([False]), seen(11))
    collector.receive(ids(2), floats(0))
    decide(collector, ids(2), seen(20), 1)
    collector.receive(ids(2), floats(0.5))
    first, second = collector.take(ids(2), seen(21))
    assert (first.terminated, first.truncated, second.terminated, second.truncated) == (True, False, False, False)
    assert first.observations[0].ravel().tolist() == [10, 11]
    assert second.observations[0].ravel().tolist() == [20, 21]
    assert first.rewards.tolist() == [1]
    assert second.rewards.tolist() == [0.5]
    finished = collector.take_finished()
    assert [(item.episode_return, item.length) for item in finished] == [(1.0, 1)]
    assert collector.take_finished() == []


def test_an_id_that_is_used_again_after_its_end_is_another_episode():
    collector = TrajectoryCollector()
    for reward in (1.0, 2.0):
        decide(collector, ids(1), seen(reward), 0)
        collector.receive_terminals(ids(1), floats(reward), np.array([False]), seen(9))
    assert [(item.rewards.tolist(), item.started_at) for item in collector.take(ids(), ())] == [([1], 0), ([2], 0)]


def test_truncated_is_not_terminated():
    collector = TrajectoryCollector()
    decide(collector, ids(1), seen(1), 0)
    collector.receive_terminals(ids(1), floats(2), np.array([True]), seen(9))
    (only,) = collector.take(ids(), ())
    assert (only.terminated, only.truncated) == (False, True)
    assert only.observations[0].ravel().tolist() == [1, 9]


def test_an_open_episode_goes_on_in_the_next_sample_and_is_counted_once():
    collector = TrajectoryCollector()
    decide(collector, ids(1), seen(1), 0)
    collector.receive(ids(1), floats(0.25))
    (first,) = collector.take(ids(1), seen(2))
    assert collector.take_finished() == []
    decide(collector, ids(1), seen(2), 0)
    collector.receive_terminals(ids(1), floats(0.5), np.array([False]), seen(3))
    (second,) = collector.take(ids(), ())
    assert (first.key, first.started_at, second.key, second.started_at) == (1, 0, 1, 1)
    assert [(item.episode_return, item.length) for item in collector.take_finished()] == [(0.75, 2)]


def test_a_decision_whose_outcome_is_unknown_is_kept_back():
    """Agent 2 decides every other step: at the cut it neither ended nor asks again."""
    collector = TrajectoryCollector()
    decide(collector, ids(1, 2), seen(1, 50), 0, 0)
    collector.receive(ids(1, 2), floats(1, 5))
    decide(collector, ids(1, 2), seen(2, 51), 0, 7)
    collector.receive(ids(1), floats(2))
    taken = {item.key: item for item in collector.take(ids(1), seen(3))}
    assert taken[1].rewards.tolist() == [1, 2]
    assert taken[2].rewards.tolist() == [5]
    assert taken[2].observations[0].ravel().tolist() == [50, 51]  # bootstraps from where it decided last
    collector.receive(ids(2), floats(6))
    (late,) = collector.take(ids(2), seen(52))
    assert (late.key, late.started_at, late.rewards.tolist(), late.actions.ravel().tolist()) == (2, 1, [6], [7])


def test_an_episode_without_a_decision_leaves_no_trace():
    collector = TrajectoryCollector()
    collector.receive_terminals(ids(3), floats(1), np.array([False]), seen(1))
    assert collector.take(ids(), ()) == []
    assert collector.take_finished() == []


def test_after_a_reset_open_episodes_are_dropped_and_ended_ones_kept():
    collector = TrajectoryCollector()
    decide(collector, ids(1, 2), seen(1, 2), 0, 0)
    collector.receive_terminals(ids(1), floats(1), np.array([False]), seen(9))
    collector.receive(ids(2), floats(3))
    decide(collector, ids(2), seen(4), 0)
    collector.abandon()
    decide(collector, ids(3), seen(5), 0)
    collector.receive(ids(3), floats(4))
    taken = collector.take(ids(3), seen(6))
    assert [(item.key, item.rewards.tolist(), item.terminated) for item in taken] == [(1, [1], True), (3, [4], False)]


def test_one_builds_agents_can_be_dropped_alone():
    collector = TrajectoryCollector()
    decide(collector, ids(1, 2), seen(1, 2), 0, 0)
    collector.receive(ids(1, 2), floats(3, 4))
    decide(collector, ids(1, 2), seen(5, 6), 0, 0)
    collector.receive(ids(1, 2), floats(7, 8))
    collector.abandon({1, 77})
    assert collector.decisions == 2
    (only,) = collector.take(ids(2), seen(9))
    assert (only.key, only.rewards.tolist(), only.observations[0].ravel().tolist()) == (2, [4, 8], [2, 6, 9])


def test_a_reset_before_anything_has_ended_leaves_nothing():
    collector = TrajectoryCollector()
    decide(collector, ids(1), seen(1), 0)
    collector.abandon()
    assert collector.decisions == 0
    assert collector.take(ids(), ()) == []


def test_masks_that_come_late_count_as_everything_allowed_before():
    collector = TrajectoryCollector()
    decide(collector, ids(1), seen(1), 0)
    collector.receive(ids(1), floats(0))
    action = floats(1).reshape(1, 1)
    collector.record(ids(1), seen(2), action, action, np.array([[1, 0]], dtype=np.float32))
    collector.receive(ids(1), floats(0))
    (only,) = collector.take(ids(1), seen(3))
    assert only.masks is not None
    assert only.masks.tolist() == [[1, 1], [1, 0]]


def test_an_episode_that_ends_right_after_a_cut_is_still_counted():
    collector = TrajectoryCollector()
    decide(collector, ids(1), seen(1), 0)
    collector.receive(ids(1), floats(0.25))
    collector.take(ids(1), seen(2))
    collector.receive_terminals(ids(1), floats(0.5), np.array([True]), seen(3))
    assert collector.take(ids(), ()) == []
    assert [(item.episode_return, item.length) for item in collector.take_finished()] == [(0.75, 1)]


@dataclass
class Reference:
    """One agent's episode, read plainly."""

    observations: list[float] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    final: float | None = None
    end: str = ""


class Stream:
    """Four bodies on one collector, and the plain record beside it."""

    def __init__(self) -> None:
        self.collector = TrajectoryCollector()
        self.reference: dict[int, Reference] = defaultdict(Reference)
        self.chunks: dict[int, list[Trajectory]] = defaultdict(list)
        self.bodies = [0, 1, 2, 3]
        self.waiting: dict[int, float] = {}  # key -> what it sees
        self.clock = 0.0

    def play(self, event: str, body: int) -> None:
        self.clock += 1
        key = self.bodies[body]
        match event:
            case "take":
                self.take()
            case "ask":  # and the sample may be cut before it is answered
                self.ask(key)
            case "decide":
                self.ask(key)
                decide(self.collector, ids(key), seen(self.waiting[key]), self.clock)
                self.reference[key].observations.append(self.waiting.pop(key))
            case _ if key not in self.waiting:
                self.end(key, event)
                self.bodies[body] = max(self.bodies) + 1

    def take(self) -> None:
        keys = sorted(self.waiting)
        observations = seen(*(self.waiting[key] for key in keys)) if keys else ()
        for item in self.collector.take(ids(*keys), observations):
            self.chunks[item.key].append(item)

    def ask(self, key: int) -> None:
        if key not in self.waiting:
            self.collector.receive(ids(key), floats(self.clock))
            self.credit(key)
            self.waiting[key] = self.clock

    def end(self, key: int, how: str) -> None:
        final = self.clock + 0.5
        self.collector.receive_terminals(ids(key), floats(self.clock), np.array([how == "truncate"]), seen(final))
        self.credit(key)
        if self.reference[key].observations:
            self.reference[key].final, self.reference[key].end = final, how

    def credit(self, key: int) -> None:
        if self.reference[key].observations:
            self.reference[key].rewards.append(self.clock)


def check(found: list[Trajectory], expected: Reference) -> None:
    """The stretches, joined, are the episode as far as its rewards are known."""
    rewards = [value for item in found for value in item.rewards.tolist()]
    observations = [value for item in found for value in item.observations[0][:-1].ravel().tolist()]
    assert rewards == expected.rewards
    assert observations == expected.observations[: len(rewards)]
    for earlier, later in pairwise(found):
        assert (earlier.terminated, earlier.truncated) == (False, False)
        assert earlier.observations[0][-1] == later.observations[0][0]
        assert later.started_at == earlier.started_at + len(earlier.rewards)
    if expected.final is not None:
        assert found[-1].observations[0][-1] == expected.final
        how = "terminate" if found[-1].terminated else "truncate" if found[-1].truncated else ""
        assert how == expected.end


events = st.lists(
    st.tuples(st.sampled_from(["decide", "decide", "ask", "terminate", "truncate", "take"]), st.integers(0, 3)),
    max_size=60,
)


@given(events)
@settings(max_examples=500)
def test_any_stream_comes_out_whole_and_in_order(played):
    """Four bodies decide, skip, end and begin anew in any order, and samples are cut anywhere."""
    stream = Stream()
    for event, body in played:
        stream.play(event, body)
    stream.take()
    for key, expected in stream.reference.items():
        check(stream.chunks[key], expected)
    finished = sorted((item.episode_return, item.length) for item in stream.collector.take_finished())
    ended = [item for item in stream.reference.values() if item.final is not None]
    assert finished == sorted((sum(item.rewards), len(item.rewards)) for item in ended)
