"""Runs on a virtual clock: what queueing theory and the rules say of them, whatever the seed."""

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.scale.clock import Clock, Process
from benchmarks.scale.looks import found_after
from benchmarks.scale.quotas import ASecond, AtOnce
from benchmarks.scale.scenarios import figures, play, results
from benchmarks.scale.simulation import Stack, played
from benchmarks.scale.state_machine import retry
from benchmarks.scale.summary import summary
from benchmarks.scale.workload import DAY, HOUR, PRIORITIES, REASONS, Run, rate, runs
from pipeline.contracts.run import RunStatus
from pipeline.rules.turns import HEAD_START_SECONDS

EVEN = Run("policy-0123456789ab", "team-1", 0, 0.0, 600.0, 60.0, 60.0, None, False)
ROOMY = Stack(training_instances=1000, evaluation_instances=1000, creations_a_second=1000.0, spot=False)


def alike(moments: list[float], priority: int = 0, first: int = 0) -> list[Run]:
    """Runs of which each takes as long as any other."""
    return [
        replace(EVEN, run_id=f"policy-{first + number:012x}", arrives=moment, priority=priority)
        for number, moment in enumerate(moments)
    ]


def poisson(count: int, mean: float, seed: int) -> list[float]:
    chance, moment = random.Random(seed), 0.0
    found = []
    for _ in range(count):
        moment += chance.expovariate(1 / mean)
        found.append(moment)
    return found


def test_the_clock_plays_in_the_order_of_moments_and_of_equals_who_was_first() -> None:
    clock, told = Clock(), []

    def process(name: str, pauses: list[float]) -> Process:
        for pause in pauses:
            yield pause
            told.append((name, clock.now))

    clock.begin(process("a", [2, 3]), 0)
    clock.begin(process("b", [5]), 0)
    clock.begin(process("c", [1]), 1)
    clock.play()
    assert told == [("a", 2), ("c", 2), ("b", 5), ("a", 5)]


@given(st.lists(st.floats(0, 10), max_size=200), st.floats(0.1, 10), st.integers(1, 20))
def test_a_rate_lets_through_what_it_may_and_no_more(gaps: list[float], a_second: float, burst: int) -> None:
    bucket, now, taken = ASecond(a_second, burst), 0.0, 0
    for gap in gaps:
        now += gap
        taken += bucket.take(now)
    assert taken <= burst + a_second * now + 1e-6
    assert taken + bucket.refused == len(gaps)


def test_at_once_a_rate_refuses_exactly_what_is_beyond_its_burst() -> None:
    bucket = ASecond(rate=2.0, burst=5)
    assert [bucket.take(0.0) for _ in range(8)] == [True] * 5 + [False] * 3
    assert [bucket.take(1.0) for _ in range(3)] == [True, True, False]


def test_instances_count_what_is_in_use_and_refuse_what_is_beyond() -> None:
    machines = AtOnce(2)
    assert [machines.take(0.0), machines.take(10.0), machines.take(10.0)] == [True, True, False]
    machines.give(20.0)
    machines.give(30.0)
    assert (machines.seconds, machines.most, machines.refused) == (10 + 2 * 10 + 10, 2, 1)
    with pytest.raises(ValueError, match="more instances were given back"):
        machines.give(40.0)


def test_the_state_machine_says_how_often_a_quota_is_tried_again() -> None:
    rule, chance = retry("StartTraining", "CapacityError"), random.Random(0)
    pauses = [rule.pause(attempt, chance) for attempt in range(1, 42)]
    assert pauses[-1] is None
    assert all(pause is not None and 0 <= pause <= 900 for pause in pauses[:-1])
    with pytest.raises(KeyError, match="does not try again"):
        retry("TakeTurn", "CapacityError")


@given(st.floats(1, 2 * DAY), st.integers(1, 300))
def test_an_end_is_found_by_a_look_and_not_much_later(seconds: float, minimum: int) -> None:
    found, looks = found_after(seconds, minimum)
    assert seconds <= found <= seconds + max(minimum, 0.05 * found)
    assert looks >= 1


def test_of_one_turn_and_even_runs_the_queue_is_that_of_pollaczek_and_khinchine() -> None:
    """M/D/1: a mean wait of load x service / 2 (1 - load); a turn that is free stands so until somebody asks."""
    alone = played(ROOMY, alike([0.0])).ended[0].slot
    load = 0.7
    stack = replace(ROOMY, max_concurrent_runs=1, pause=lambda *_: 10)
    simulation = played(stack, alike(poisson(4000, alone / load, seed=3)))
    assert {round(one.slot, 3) for one in simulation.ended} == {round(alone, 3)}
    waits = [one.waited for one in simulation.ended]
    effective = alone + 5  # half a pause
    busy = load * effective / alone
    assert sum(waits) / len(waits) == pytest.approx(busy * effective / (2 * (1 - busy)), rel=0.1)


def test_littles_law_holds_of_the_queue() -> None:
    simulation = played(Stack(), runs(500, 250, seed=1))
    waited = sum(one.waited for one in simulation.ended)
    assert simulation.turns.waiting_seconds == pytest.approx(waited, rel=1e-6)


def test_of_runs_that_come_at_once_each_round_of_turns_follows_the_one_before() -> None:
    simulation = played(replace(ROOMY, pause=lambda *_: 1), alike([0.0] * 40))
    rounds = sorted(round(one.waited / simulation.ended[0].slot) for one in simulation.ended)
    assert rounds == [0] * 10 + [1] * 10 + [2] * 10 + [3] * 10


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 12), st.floats(0.05, 1.0), st.floats(100, 2000))
def test_whatever_comes_each_run_ends_once_and_no_quota_is_overdrawn(
    seed: int, turns: int, machines: int, creations: float, a_day: float
) -> None:
    stack = Stack(
        max_concurrent_runs=turns,
        training_instances=machines,
        evaluation_instances=machines,
        creations_a_second=creations,
    )
    sent = list(runs(60, a_day, seed))
    simulation = played(stack, sent, seed)
    found = summary(simulation)
    assert sorted(one.run.run_id for one in simulation.ended) == sorted(one.run_id for one in sent)
    assert sum(found.statuses.values()) == len(sent)
    assert all(one.status.is_final for one in simulation.ended)
    assert all((one.status is RunStatus.FAILED) == bool(one.code) for one in simulation.ended)
    assert simulation.training.most <= machines
    assert simulation.training.used == simulation.evaluation.used == 0
    assert simulation.turns.turns.holders == simulation.turns.turns.waiting == ()
    assert simulation.training.seconds <= machines * simulation.clock.now
    assert 0 < found.turns_used <= 1
    assert 1 / 8 <= found.fairness <= 1 + 1e-9


def test_one_that_matters_least_has_its_turn_although_more_important_ones_keep_coming() -> None:
    stack = replace(ROOMY, max_concurrent_runs=1)
    alone = played(ROOMY, alike([0.0])).ended[0].slot
    urgent = alike([alone * 0.9 * number for number in range(300)], priority=5)
    last = alike([alone], priority=-5, first=1000)
    waited = next(one.waited for one in played(stack, [*urgent, *last]).ended if one.run.priority == -5)
    served = 10 * HEAD_START_SECONDS / 0.9  # for all that come within its head start, one after the other
    assert served * 0.95 < waited < served * 1.3, "turns stand free for a part of the time"


def test_fewer_machines_than_turns_are_refused_and_tried_again() -> None:
    stack = replace(ROOMY, training_instances=2)
    simulation = played(stack, alike([0.0] * 10))
    assert simulation.training.most == 2
    assert simulation.training.refused > 0
    assert {one.status for one in simulation.ended} == {RunStatus.KEPT}


def test_failures_are_what_the_classifier_makes_of_them_and_those_that_may_go_well_are_redriven() -> None:
    failing = [
        replace(EVEN, run_id=f"policy-{number:012x}", reason=reason) for number, (_, reason) in enumerate(REASONS)
    ]
    ended = {one.run.reason: one for one in played(ROOMY, failing).ended}
    assert {one.code for one in ended.values()} == {"BuildCrashed", "NoAgents", "MissingLibrary", "OutOfMemory", ""}
    again = {reason for reason, one in ended.items() if one.attempts == 2}
    assert again == {reason for _, reason in REASONS if reason.startswith(("CapacityError", "InternalServerError"))}


def test_an_interrupted_training_takes_longer_and_is_billed_for_what_it_does_again() -> None:
    long = [replace(one, training=20 * HOUR) for one in alike([0.0] * 40)]
    on_demand = played(replace(ROOMY, max_concurrent_runs=40), long).ended
    spot = played(replace(ROOMY, max_concurrent_runs=40, spot=True), long).ended
    interruptions = sum(one.interruptions for one in spot)
    assert interruptions == pytest.approx(40, rel=0.5)  # one in 20 hours
    extra = sum(one.trained for one in spot) - sum(one.trained for one in on_demand)
    assert 180 * interruptions <= extra <= (180 + 60) * interruptions


def test_the_week_has_as_many_arrivals_as_it_says_and_shares_are_shares() -> None:
    week = [rate(hour * HOUR, 150) * HOUR for hour in range(7 * 24)]
    assert sum(week) == pytest.approx(7 * 150)
    assert sum(PRIORITIES.values()) == pytest.approx(1)
    sent = list(runs(4000, 150, seed=5))
    assert len(sent) == 4000
    assert 4000 / (sent[-1].arrives / DAY) == pytest.approx(150, rel=0.15)


def drawn(seed: int) -> Iterator[tuple[float, float]]:
    return ((run.arrives, run.training) for run in runs(50, 150, seed))


def test_the_same_seed_makes_the_same_runs_and_another_one_others() -> None:
    assert list(drawn(1)) == list(drawn(1))
    assert list(drawn(1)) != list(drawn(2))


def test_what_was_kept_is_what_is_played() -> None:
    name = "2,000 of them"
    assert figures(play(name)) == results()[name], "run `make scale`"
