"""Turns: never too many at once, the more important first, of equals who came first; nobody waits for the dead."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pipeline.contracts.turns import Turns
from pipeline.rules.turns import FORGOTTEN_SECONDS, asked, released, waiting_since

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
