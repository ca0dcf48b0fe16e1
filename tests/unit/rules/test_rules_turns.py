"""Turns: never too many at once, the more important first, of equals who came first; nobody waits for ever."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pipeline.contracts.request import RunOptions
from pipeline.contracts.turns import Turns, Waiting
from pipeline.rules.turns import (
    FORGOTTEN_SECONDS,
    HEAD_START_SECONDS,
    MOST_WAITING,
    SEEN_SECONDS,
    asked,
    pause_seconds,
    released,
    waiting_since,
)
from pipeline.steps.turns import LONGEST_SECONDS

RUNS = [f"run-{number}" for number in range(6)]


def test_as_many_as_may_take_a_turn_and_the_next_waits() -> None:
    turns = Turns()
    for run in RUNS[:3]:
        turns = asked(turns, run, 0, limit=2, now=100)
    assert turns.holders == ("run-0", "run-1")
    assert waiting_since(turns, "run-2") == 100


def test_a_turn_given_back_goes_to_the_first_of_the_highest_priority() -> None:
    turns = asked(Turns(), "busy", 0, limit=1, now=0)
    for moment, (run, priority) in enumerate([("low", -1), ("early", 3), ("late", 3)]):
        turns = asked(turns, run, priority, limit=1, now=moment)
    turns = released(turns, "busy")
    for run, priority in [("low", -1), ("late", 3)]:
        turns = asked(turns, run, priority, limit=1, now=10)
        assert turns.holders == (), "it is the turn of another one"
    assert asked(turns, "early", 3, limit=1, now=10).holders == ("early",)


def test_two_free_turns_are_for_the_first_two_whoever_asks_first() -> None:
    turns = Turns(holders=("a", "b"))
    for moment, run in enumerate(("one", "two", "three")):
        turns = asked(turns, run, 0, limit=2, now=moment)
    turns = released(released(turns, "a"), "b")
    assert asked(turns, "three", 0, limit=2, now=3).holders == ()
    assert asked(turns, "two", 0, limit=2, now=3).holders == ("two",)


def test_who_asks_again_holds_what_it_holds_and_keeps_its_place() -> None:
    turns = asked(asked(Turns(), "a", 0, limit=1, now=0), "b", 0, limit=1, now=5)
    assert asked(turns, "a", 0, limit=1, now=9) == turns
    assert waiting_since(asked(turns, "b", 0, limit=1, now=9), "b") == 5


def test_one_that_has_died_waiting_is_forgotten() -> None:
    turns = asked(asked(Turns(holders=("a",)), "dead", 5, limit=1, now=0), "b", 0, limit=1, now=1)
    turns = released(turns, "a")
    assert asked(turns, "b", 0, limit=1, now=FORGOTTEN_SECONDS - 1).holders == ()
    assert asked(turns, "b", 0, limit=1, now=FORGOTTEN_SECONDS).holders == ("b",)


@given(st.integers(1, 5))
def test_a_limit_that_was_lowered_takes_nobodys_turn(limit: int) -> None:
    turns = Turns(holders=tuple(RUNS[:5]))
    assert asked(turns, "run-5", 10, limit=limit, now=0).holders == turns.holders


def queue(*names: str, seen: int = 0) -> Turns:
    return Turns(holders=("a",), waiting=tuple(Waiting(run_id=one, priority=0, since=0, seen=seen) for one in names))


def test_who_has_waited_a_points_worth_longer_is_not_overtaken_by_it() -> None:
    patient = Waiting(run_id="patient", priority=0, since=0, seen=HEAD_START_SECONDS)
    turns = Turns(holders=("a",), waiting=(patient,))
    late = asked(turns, "urgent", 1, limit=1, now=HEAD_START_SECONDS + 1)
    assert [one.run_id for one in late.waiting] == ["patient", "urgent"]
    early = asked(turns, "urgent", 1, limit=1, now=HEAD_START_SECONDS - 1)
    assert [one.run_id for one in early.waiting] == ["urgent", "patient"]


def test_no_priority_keeps_another_waiting_beyond_the_longest_wait() -> None:
    bounds = RunOptions.model_json_schema()["properties"]["priority"]
    assert (bounds["maximum"] - bounds["minimum"]) * HEAD_START_SECONDS < LONGEST_SECONDS


@given(st.lists(st.tuples(st.integers(-10, 10), st.integers(0, 10_000_000)), min_size=1, max_size=20))
def test_what_comes_later_than_all_head_starts_is_behind_everybody(ahead: list[tuple[int, int]]) -> None:
    turns = Turns(holders=("a",))
    for number, (priority, since) in enumerate(sorted(ahead, key=lambda one: one[1])):
        turns = asked(turns, f"run-{number}", priority, limit=1, now=since)
    last = max(since for _, since in ahead) + 20 * HEAD_START_SECONDS + 1
    known = [one.model_copy(update={"seen": last}) for one in turns.waiting]
    found = asked(turns.model_copy(update={"waiting": tuple(known)}), "late", 10, limit=1, now=last)
    assert found.waiting[-1].run_id == "late"


def test_an_ask_that_changes_nothing_is_no_write() -> None:
    turns = queue("b", "c")
    assert asked(turns, "c", 0, limit=1, now=SEEN_SECONDS - 1) == turns
    assert asked(turns, "c", 0, limit=1, now=SEEN_SECONDS).waiting[1].seen == SEEN_SECONDS


def test_the_longest_queue_fits_into_an_item() -> None:
    """DynamoDB: 400 KB an item, names and values."""
    widest = Waiting(run_id="r" * 50, priority=-10, since=9_999_999_999, seen=9_999_999_999)
    full = Turns(holders=("h" * 50,) * 1000, waiting=(widest,) * MOST_WAITING)
    assert len(full.model_dump_json()) < 400 * 1024 - 100


def test_who_finds_no_place_stays_outside_until_there_is_one() -> None:
    full = queue(*(f"run-{number}" for number in range(MOST_WAITING)))
    assert asked(full, "late", 10, limit=1, now=1) == full
    assert pause_seconds(full, "late", 1, waited=0, asks=0, minimum=20) == 3600
    assert waiting_since(asked(released(full, "run-7"), "late", 0, limit=1, now=2), "late") == 2


@given(st.integers(1, 1000), st.integers(0, 7 * 86400), st.integers(0, 1000), st.integers(1, 300), st.integers(0, 20))
def test_the_nearer_its_turn_the_sooner_a_run_asks_again(
    limit: int, waited: int, asks: int, minimum: int, place: int
) -> None:
    turns = queue(*(f"run-{number}" for number in range(22)))
    nearer, farther = (pause_seconds(turns, f"run-{one}", limit, waited, asks, minimum) for one in (place, place + 1))
    assert minimum <= nearer <= farther <= 3600
    assert farther * 3 <= FORGOTTEN_SECONDS, "who waits is not taken for dead"


def test_the_first_asks_each_half_minute_and_the_thousandth_each_hour() -> None:
    turns = queue(*(f"run-{number}" for number in range(1000)))
    assert pause_seconds(turns, "run-0", 10, waited=86400, asks=0, minimum=20) == 30
    assert pause_seconds(turns, "run-9", 10, waited=86400, asks=399, minimum=20) == 300
    assert pause_seconds(turns, "run-999", 10, waited=600, asks=0, minimum=20) == 3600
    assert pause_seconds(turns, "run-0", 10, waited=40_000, asks=400, minimum=20) == 2000, "it asks too long"


class Queue(RuleBasedStateMachine):
    """Any order of asking and ending."""

    @initialize(limit=st.integers(1, 3))
    def begin(self, limit: int) -> None:
        self.limit, self.turns, self.now = limit, Turns(), 0
        self.priorities: dict[str, int] = {}

    @rule(run=st.sampled_from(RUNS), priority=st.integers(-10, 10))
    def ask(self, run: str, priority: int) -> None:
        self.now += 1
        priority = self.priorities.setdefault(run, priority)
        before = self.turns
        self.turns = asked(before, run, priority, self.limit, self.now)
        if run in self.turns.holders and run not in before.holders:
            free = self.limit - len(before.holders)
            better = [one for one in before.waiting if one.run_id != run and one.priority > priority]
            assert len(better) < free, "it went past a more important one"

    @rule(run=st.sampled_from(RUNS))
    def end(self, run: str) -> None:
        self.turns = released(self.turns, run)
        self.priorities.pop(run, None)

    @precondition(lambda self: self.turns.waiting and len(self.turns.holders) < self.limit)
    @rule()
    def the_first_asks(self) -> None:
        first = self.turns.waiting[0]
        self.now += 1
        self.turns = asked(self.turns, first.run_id, first.priority, self.limit, self.now)
        assert first.run_id in self.turns.holders, "a free turn is taken"

    @invariant()
    def never_too_many_and_nobody_twice(self) -> None:
        if hasattr(self, "turns"):
            names = [*self.turns.holders, *(one.run_id for one in self.turns.waiting)]
            assert len(self.turns.holders) <= self.limit
            assert len(names) == len(set(names))


TestQueue = Queue.TestCase
