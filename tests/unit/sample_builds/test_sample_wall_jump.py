"""The WallJump scene in-process: what it tells, what it pays, and that its two tasks can be solved."""

import random
from collections import defaultdict
from collections.abc import Callable, Mapping

import numpy as np
import pytest

from sample_builds.scenes.wall_jump import (
    BIG_WALL,
    GOAL_Z,
    MAX_STEP,
    RAY_DEGREES,
    SMALL_WALL,
    START_Z,
    WallJumpScene,
)
from tests.fakes.scenes_in_process import Report, ScenePlayer
from tests.fakes.scripted_wall_jump import WallJumpScript

SMALL, BIG = SMALL_WALL.name, BIG_WALL.name
STAY, FORWARD, BACK, JUMP_FORWARD = (0, 0, 0, 0), (1, 0, 0, 0), (2, 0, 0, 0), (1, 0, 0, 1)
NO_WALL = dict.fromkeys(("small_wall_height", "big_wall_min_height", "big_wall_max_height"), 0.0)

Choose = Callable[[Report], tuple[int, ...]]


def play_on(player: ScenePlayer, reports: list[Report], choose: Choose) -> list[Report]:
    actions: dict[str, list[tuple[int, ...]]] = defaultdict(list)
    for report in reports:
        if not report.done:
            actions[report.behavior].append(choose(report))
    return player.step(actions)


def returns(choose: Choose, episodes: int, seed: int, parameters: Mapping[str, float]) -> dict[str, list[float]]:
    """What each episode collected in all, by behavior."""
    player = ScenePlayer(WallJumpScene, seed=seed, parameters=parameters)
    totals: dict[int, float] = defaultdict(float)
    ended: dict[str, list[float]] = defaultdict(list)
    reports = player.reset()
    while sum(map(len, ended.values())) < episodes:
        for report in reports:
            totals[report.id] += report.reward
            if report.done:
                ended[report.behavior].append(totals.pop(report.id))
        reports = play_on(player, reports, choose)
    return ended


def until_end(player: ScenePlayer, choose: Choose) -> tuple[list[Report], list[Report]]:
    """All messages' reports up to that of the first end, and that of the end."""
    told: list[Report] = []
    reports = player.reset()
    while not any(report.done for report in reports):
        told += reports
        reports = play_on(player, reports, choose)
    return told, reports


def test_the_agent_sees_seventy_four_numbers() -> None:
    (report,) = ScenePlayer(WallJumpScene).reset()
    assert report.sensors == ("OffsetRayPerceptionSensor", "RayPerceptionSensor", "VectorSensor_size4")
    assert [values.shape for values in report.observations] == [(35,), (35,), (4,)]
    assert len(RAY_DEGREES) == 7


def test_rays_see_the_wall_first_and_the_goal_over_a_low_one() -> None:
    player = ScenePlayer(WallJumpScene, parameters={"big_wall_min_height": 4.0, "big_wall_max_height": 4.0})
    while (report := player.reset()[0]).behavior != BIG:
        pass
    offset, level, vector = report.observations
    straight_on = level.reshape(7, 5)[0]
    assert straight_on[0] == 1.0 or straight_on[2] == 1.0
    if straight_on[0]:
        assert straight_on.tolist() == pytest.approx([1, 0, 0, 0, (-0.5 - START_Z) / 20])
    assert offset.reshape(7, 5)[0].tolist() == pytest.approx([0, 1, 0, 0, (GOAL_Z - START_Z) / 20])
    assert vector[2] == pytest.approx(START_Z / 20)
    assert vector[3] == 1.0


def test_a_high_wall_hides_the_goal_from_near() -> None:
    player = ScenePlayer(WallJumpScene)
    while (report := player.reset()[0]).behavior != BIG:
        pass
    for _ in range(4):
        (report,) = play_on(player, [report], lambda _report: FORWARD)
    assert report.observations[0].reshape(7, 5)[0][0] == 1.0


def test_the_height_of_the_wall_chooses_the_behavior() -> None:
    player = ScenePlayer(WallJumpScene, seed=3)
    counts: dict[str, int] = defaultdict(int)
    for _ in range(1000):
        counts[player.reset()[0].behavior] += 1
    assert counts[SMALL] == pytest.approx(400, abs=60)
    assert counts[BIG] == pytest.approx(600, abs=60)


def test_every_academy_step_costs() -> None:
    player = ScenePlayer(WallJumpScene)
    reports = player.reset()
    assert [report.reward for report in reports] == [0.0]
    (report,) = play_on(player, reports, lambda _report: STAY)
    assert report.reward == pytest.approx(5 * -0.0005)


def test_a_fall_costs_one_and_terminates() -> None:
    _, reports = until_end(ScenePlayer(WallJumpScene), lambda _report: BACK)
    end = reports[0]
    assert (end.done, end.interrupted, end.reward) == (True, False, -1.0)
    assert end.observations[2][2] == pytest.approx(-10 / 20, abs=0.02)


def test_the_goal_pays_one_and_terminates() -> None:
    told, reports = until_end(ScenePlayer(WallJumpScene, seed=3, parameters=NO_WALL), lambda _report: FORWARD)
    end = reports[0]
    assert (end.done, end.interrupted, end.reward) == (True, False, 1.0)
    assert end.id == told[-1].id
    assert end.observations[2][2] >= GOAL_Z / 20


def test_an_idle_agent_is_interrupted_at_max_step() -> None:
    told, reports = until_end(ScenePlayer(WallJumpScene), lambda _report: STAY)
    assert len(told) == MAX_STEP / 5
    assert (reports[0].done, reports[0].interrupted) == (True, True)
    assert sum(report.reward for report in [*told, reports[0]]) == pytest.approx(-0.0005 * MAX_STEP, rel=1e-4)
    # 5000 is a decision step: the next episode asks in the same message.
    assert [report.done for report in reports] == [True, False]
    assert reports[1].id != reports[0].id


def test_ends_and_next_decisions_of_either_behavior_share_a_message_or_do_not() -> None:
    player = ScenePlayer(WallJumpScene, seed=1)
    numbers = random.Random(1)
    kinds = set()
    reports, ended = player.reset(), False
    for _ in range(6000):
        if ended:
            # After a message of ends only, the new episode's idle academy steps are in its first reward.
            assert -5 * 0.0005 < reports[0].reward < 0
        done = [report.behavior for report in reports if report.done]
        waiting = [report.behavior for report in reports if not report.done]
        if done:
            kinds.add((bool(waiting), done == waiting))
        ended = bool(done and not waiting)
        reports = play_on(player, reports, lambda _report: (numbers.randrange(2) + 1, numbers.randrange(3), 0, 0))
    assert kinds == {(False, False), (True, False), (True, True)}


def test_no_id_serves_two_episodes() -> None:
    player = ScenePlayer(WallJumpScene, "--agents", "3", seed=1)
    seen: set[int] = set()
    reports = player.reset()
    assert len(reports) == 3
    for _ in range(300):
        for report in reports:
            if report.done:
                assert report.id not in seen
                seen.add(report.id)
        assert seen.isdisjoint(report.id for report in reports if not report.done)
        reports = play_on(player, reports, lambda _report: BACK)
    assert len(seen) > 30


def test_the_same_seed_plays_the_same_game() -> None:
    def story(seed: int) -> list[list[float]]:
        player = ScenePlayer(WallJumpScene, seed=seed)
        reports, told = player.reset(), []
        for _ in range(100):
            told += [np.concatenate(report.observations).tolist() for report in reports]
            reports = play_on(player, reports, lambda _report: JUMP_FORWARD)
        return told

    assert story(5) == story(5)
    assert story(5) != story(6)


def test_a_script_solves_both_walls() -> None:
    script = WallJumpScript()
    ended = returns(script, episodes=200, seed=11, parameters={})
    assert np.mean(ended[SMALL]) > 0.8
    assert np.mean(ended[BIG]) > 0.8


@pytest.mark.parametrize("choose", [lambda _report: JUMP_FORWARD, lambda _report: FORWARD], ids=["jump", "run"])
def test_a_high_wall_is_not_passed_without_the_block(choose: Choose) -> None:
    """The wall from which the block is of use: neither running nor jumping straight ahead is enough."""
    assert np.mean(returns(choose, episodes=30, seed=2, parameters={})[BIG]) < 0.0


def test_a_low_wall_is_jumped() -> None:
    parameters = {"no_wall_height": 4.0, "big_wall_min_height": 4.0, "big_wall_max_height": 4.0}
    script = WallJumpScript()
    ended = returns(script, episodes=40, seed=4, parameters=parameters)
    assert min(ended[SMALL] + ended[BIG]) > 0.8


def test_chance_does_not_solve_it() -> None:
    numbers = random.Random(0)

    def choose(_report: Report) -> tuple[int, ...]:
        return numbers.randrange(3), numbers.randrange(3), numbers.randrange(3), numbers.randrange(2)

    ended = returns(choose, episodes=100, seed=0, parameters={})
    assert np.mean(ended[SMALL]) < 0.3
    assert np.mean(ended[BIG]) < 0.0
