"""The SoccerTwos scene in-process: what agents see, what goals pay and to whom, and that it can be played."""

import random
from collections import defaultdict
from collections.abc import Callable, Mapping

import numpy as np
import pytest

from sample_builds.scenes.soccer_field import HALF_LENGTH, Field
from sample_builds.scenes.soccer_twos import BEHAVIORS, FORWARD_RAYS, SoccerTwosScene
from tests.fakes.scenes_in_process import Report, ScenePlayer
from tests.fakes.scripted_soccer import chase_the_ball

BLUE, PURPLE = (behavior.name for behavior in BEHAVIORS)
STAY = (0, 0, 0)
BALL, OWN_GOAL, OPPONENTS_GOAL, WALL, TEAM_MATE, OPPONENT, MISS, DISTANCE = range(8)

Choose = Callable[[Report], tuple[int, ...]]


def stay(_report: Report) -> tuple[int, ...]:
    return STAY


def chase(report: Report) -> tuple[int, ...]:
    return chase_the_ball(report.observations)


def play_on(player: ScenePlayer, reports: list[Report], choose: Mapping[str, Choose]) -> list[Report]:
    actions: dict[str, list[tuple[int, ...]]] = defaultdict(list)
    for report in reports:
        if not report.done:
            actions[report.behavior].append(choose[report.behavior](report))
    return player.step(actions)


def match(player: ScenePlayer, choose: Mapping[str, Choose]) -> tuple[list[list[Report]], list[Report]]:
    """The messages of one match, and the one that holds its end."""
    told: list[list[Report]] = []
    reports = player.reset()
    while not any(report.done for report in reports):
        told.append(reports)
        reports = play_on(player, reports, choose)
    return told, reports


def rays(values: np.ndarray, count: int) -> np.ndarray:
    """The newest of the stacked frames."""
    return np.asarray(values.reshape(3, count, 8)[-1])


def roll_ball(player: ScenePlayer, x: float, speed_x: float) -> None:
    """Put the ball out of everyone's way, rolling to one end."""
    field: Field = player.scene._field  # type: ignore[attr-defined]
    field.ball_x, field.ball_z, field.ball_speed_x, field.ball_speed_z = x, 0.0, speed_x, 0.0


def test_two_teams_of_two_in_two_groups() -> None:
    reports = ScenePlayer(SoccerTwosScene).reset()
    assert [(report.behavior, report.group_id) for report in reports] == [
        ("SoccerTwos?team=0", 1),
        ("SoccerTwos?team=0", 1),
        ("SoccerTwos?team=1", 2),
        ("SoccerTwos?team=1", 2),
    ]
    assert len({report.id for report in reports}) == 4
    assert all(report.reward == report.group_reward == 0.0 for report in reports)


def test_each_sees_264_numbers_ahead_and_72_behind() -> None:
    for report in ScenePlayer(SoccerTwosScene).reset():
        color = "Blue" if report.behavior == BLUE else "Purple"
        assert report.sensors == (
            f"StackingSensor_size3_{color}RayPerceptionSensor",
            f"StackingSensor_size3_{color}RayPerceptionSensorReverse",
        )
        assert [values.shape for values in report.observations] == [(264,), (72,)]


def test_the_newest_frame_comes_last_and_older_ones_move_up() -> None:
    player = ScenePlayer(SoccerTwosScene)
    first = player.reset()
    for report in first:
        assert not report.observations[0][:176].any()
    second = play_on(player, first, {BLUE: lambda _report: (1, 0, 2), PURPLE: stay})
    for before, after in zip(first, second, strict=True):
        assert (after.observations[0][88:176] == before.observations[0][176:]).all()
        assert (after.observations[1][24:48] == before.observations[1][48:]).all()
    assert (second[0].observations[0][176:] != second[0].observations[0][88:176]).any()


def test_every_ray_hits_one_tag_or_nothing() -> None:
    player = ScenePlayer(SoccerTwosScene, seed=2)
    numbers = random.Random(0)
    reports, hits = player.reset(), np.zeros(8)
    for _ in range(400):
        for report in reports:
            for values, count in zip(report.observations, (11, 3), strict=True):
                seen = rays(values, count)
                assert (seen[:, :MISS].sum(axis=1) + seen[:, MISS] == 1).all()
                assert ((seen[:, DISTANCE] >= 0) & (seen[:, DISTANCE] <= 1)).all()
                hits += seen.sum(axis=0)
        reports = play_on(player, reports, dict.fromkeys((BLUE, PURPLE), lambda _report: (1, 0, numbers.randrange(3))))
    assert (hits > 0).all()


def test_tags_say_whose_goal_it_is() -> None:
    """From their starts both teams look at the other's goal, and have their own behind them."""
    player = ScenePlayer(SoccerTwosScene, seed=5)
    ahead: dict[str, set[int]] = defaultdict(set)
    behind: dict[str, set[int]] = defaultdict(set)
    for _ in range(20):
        for report in player.reset():
            ahead[report.behavior] |= set(np.flatnonzero(rays(report.observations[0], 11)[:, :MISS].any(axis=0)))
            behind[report.behavior] |= set(np.flatnonzero(rays(report.observations[1], 3)[:, :MISS].any(axis=0)))
    for team in (BLUE, PURPLE):
        assert OWN_GOAL in behind[team]
        assert OPPONENTS_GOAL not in behind[team]
        assert OWN_GOAL not in ahead[team]
        assert {BALL, OPPONENT} <= ahead[team]


def test_the_ball_is_as_far_away_as_rays_say() -> None:
    player = ScenePlayer(SoccerTwosScene)
    player.reset()
    field: Field = player.scene._field  # type: ignore[attr-defined]
    me = field.players[0]
    me.x, me.z, me.yaw = -10.0, 0.0, 90
    roll_ball(player, -4.0, 0.0)
    reports = player.step({BLUE: [STAY, STAY], PURPLE: [STAY, STAY]})
    straight_on = rays(reports[0].observations[0], len(FORWARD_RAYS))[0]
    assert straight_on[BALL] == 1.0
    # 6 m between the middles, less the ball's radius and that of the ray; 20 m the ray.
    assert straight_on[DISTANCE] == pytest.approx((6.0 - 1.0) / 20.0, abs=1e-4)


@pytest.mark.parametrize(("end", "winner"), [(HALF_LENGTH, BLUE), (-HALF_LENGTH, PURPLE)])
def test_a_goal_pays_the_team_that_scored_less_for_the_time_it_took(end: float, winner: str) -> None:
    player = ScenePlayer(SoccerTwosScene, parameters={"max_environment_steps": 200})
    reports = player.reset()
    for _ in range(20):  # 100 academy steps
        roll_ball(player, 0.0, 0.0)
        reports = play_on(player, reports, {BLUE: stay, PURPLE: stay})
        assert all(report.group_reward == 0.0 for report in reports)
    roll_ball(player, end * 0.99, end * 0.02)
    ends = [report for report in play_on(player, reports, {BLUE: stay, PURPLE: stay}) if report.done]
    assert [report.behavior for report in ends] == [BLUE, BLUE, PURPLE, PURPLE]
    assert not any(report.interrupted for report in ends)
    for report in ends:
        assert report.group_reward == pytest.approx(1 - 101 / 200 if report.behavior == winner else -1.0)
        assert report.reward == 0.0
        assert report.group_id == (1 if report.behavior == BLUE else 2)


def test_without_a_goal_all_are_interrupted_at_the_last_step() -> None:
    told, reports = match(
        ScenePlayer(SoccerTwosScene, parameters={"max_environment_steps": 50}), {BLUE: stay, PURPLE: stay}
    )
    assert len(told) == 10
    ends = [report for report in reports if report.done]
    assert len(ends) == 4
    assert all(report.interrupted and report.group_reward == 0.0 for report in ends)
    # Step 50 is one of decisions: the next match begins in the same message, with new ids and nothing seen before.
    begun = [report for report in reports if not report.done]
    assert {report.id for report in begun}.isdisjoint(report.id for report in ends)
    assert len(begun) == 4
    assert not any(report.observations[0][:176].any() for report in begun)


def test_an_end_between_decisions_is_told_at_once_and_alone() -> None:
    player = ScenePlayer(SoccerTwosScene, parameters={"max_environment_steps": 52})
    _, reports = match(player, {BLUE: stay, PURPLE: stay})
    assert [report.done for report in reports] == [True] * 4
    following = player.step({})
    assert [report.done for report in following] == [False] * 4
    assert {report.id for report in following}.isdisjoint(report.id for report in reports)


def test_touching_the_ball_pays_what_the_parameter_says() -> None:
    def touches(ball_touch: float) -> dict[str, float]:
        player = ScenePlayer(
            SoccerTwosScene, seed=1, parameters={"ball_touch": ball_touch, "max_environment_steps": 1000}
        )
        told, end = match(player, {BLUE: chase, PURPLE: stay})
        rewards: dict[str, float] = defaultdict(float)
        for report in [report for message in [*told, end] for report in message]:
            rewards[report.behavior] += report.reward
        return rewards

    assert touches(0.0) == {BLUE: 0.0, PURPLE: 0.0}
    paid = touches(0.5)
    assert paid[BLUE] > 0
    assert paid[BLUE] / (0.2 * 0.5) == pytest.approx(round(paid[BLUE] / (0.2 * 0.5)))


def test_nobody_leaves_the_field_and_agents_do_not_overlap_much() -> None:
    player = ScenePlayer(SoccerTwosScene, seed=3)
    numbers = random.Random(3)
    reports = player.reset()
    field: Field = player.scene._field  # type: ignore[attr-defined]
    for _ in range(1000):
        reports = play_on(
            player,
            reports,
            {BLUE: chase, PURPLE: lambda _report: (numbers.randrange(3), numbers.randrange(3), numbers.randrange(3))},
        )
        bodies = [(body.x, body.z) for body in field.players]
        for x, z in [*bodies, (field.ball_x, field.ball_z)]:
            assert abs(x) <= 15.0
            assert abs(z) <= 7.5
        gaps = [np.hypot(*np.subtract(one, other)) for index, one in enumerate(bodies) for other in bodies[:index]]
        assert min(gaps) > 0.6


@pytest.mark.parametrize(("chasers", "drifters"), [(BLUE, PURPLE), (PURPLE, BLUE)])
def test_chasing_the_ball_beats_chance(chasers: str, drifters: str) -> None:
    numbers = random.Random(0)
    choose: dict[str, Choose] = {
        chasers: chase,
        drifters: lambda _report: (numbers.randrange(3), numbers.randrange(3), numbers.randrange(3)),
    }
    won = dict.fromkeys((BLUE, PURPLE), 0)
    for seed in range(30):
        player = ScenePlayer(SoccerTwosScene, seed=seed, parameters={"max_environment_steps": 3000})
        _, reports = match(player, choose)
        for team in {report.behavior for report in reports if report.done and report.group_reward > 0}:
            won[team] += 1
    assert won[chasers] >= won[drifters] + 5
