"""The 3DBall scene in-process: what it tells, what it pays, and that its task can be solved."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import asin, degrees, radians, sin
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt
import pytest

from sample_builds.scenes.ball_3d import BEHAVIOR, MAX_STEP, ROTATION_LIMIT, SENSOR, Ball3DScene
from tests.fakes.scenes_in_process import Report, ScenePlayer
from tests.fakes.scripted_ball_3d import balance

FloatArray = npt.NDArray[np.float32]
Choose = Callable[[FloatArray], FloatArray]

ROLL, PITCH, X, HEIGHT, Z = range(5)
VELOCITY = slice(5, 8)


class BallPlayer(ScenePlayer):
    """3DBall; what an agent observes is one array of 8 numbers."""

    def __init__(self, *arguments: str, seed: int = 0, parameters: dict[str, float] | None = None) -> None:
        super().__init__(Ball3DScene, *arguments, seed=seed, parameters=parameters)

    def act(self, rows: Sequence[Sequence[float]]) -> list[Report]:
        actions = [SimpleNamespace(continuous_actions=list(map(float, row))) for row in rows]
        self.scene.step({BEHAVIOR.name: actions} if actions else {})
        return self._message()

    def play_on(self, reports: Sequence[Report], choose: Choose) -> list[Report]:
        waiting = [report.observations[0] for report in reports if not report.done]
        return self.act(choose(np.stack(waiting)).tolist() if waiting else [])


def constant(action_z: float, action_x: float) -> Choose:
    return lambda observations: np.tile(np.array([action_z, action_x], np.float32), (len(observations), 1))


def at_random(seed: int) -> Choose:
    numbers = np.random.default_rng(seed)
    return lambda observations: numbers.uniform(-1, 1, (len(observations), 2)).astype(np.float32)


@dataclass(frozen=True)
class Episode:
    """`earned`: what its actions were paid."""

    earned: float
    end: Report
    ended_between_decisions: bool


def episodes(player: BallPlayer, choose: Choose, count: int) -> list[Episode]:
    totals: dict[int, float] = {}
    ended: list[Episode] = []
    reports = player.reset()
    while len(ended) < count:
        between = all(report.done for report in reports)
        for report in reports:
            # The reward of an episode's first decision is for waiting.
            totals[report.id] = totals[report.id] + report.reward if report.id in totals else 0.0
            if report.done:
                ended.append(Episode(totals.pop(report.id), report, between))
        reports = player.play_on(reports, choose)
    return ended


def test_twelve_agents_ask_at_once() -> None:
    reports = BallPlayer().reset()
    assert [report.id for report in reports] == list(range(12))
    assert {(report.behavior, report.sensors, report.reward, report.done) for report in reports} == {
        ("3DBall?team=0", (SENSOR,), 0.0, False)
    }
    assert all(report.observations[0].shape == (8,) for report in reports)


@pytest.mark.parametrize(("arguments", "parameters", "count"), [(("--agents", "3"), {}, 3), ((), {"agents": 5.0}, 5)])
def test_the_number_of_agents_can_be_set(arguments: tuple[str, ...], parameters: dict[str, float], count: int) -> None:
    assert len(BallPlayer(*arguments, parameters=parameters).reset()) == count


def test_a_ball_starts_at_rest_above_a_slanting_platform() -> None:
    started = np.stack([report.observations[0] for report in BallPlayer("--agents", "200").reset()])
    assert (started[:, HEIGHT] == 4.0).all()
    assert (started[:, VELOCITY] == 0.0).all()
    for axis, most in ((X, 1.5), (Z, 1.5), (ROLL, sin(radians(5))), (PITCH, sin(radians(5)))):
        assert -most <= started[:, axis].min() < -most / 2
        assert most / 2 < started[:, axis].max() <= most


@pytest.mark.parametrize(("action", "turned"), [(1.0, 10.0), (0.5, 5.0), (-1.0, -10.0), (7.0, 10.0)])
@pytest.mark.parametrize("axis", [ROLL, PITCH])
def test_an_action_turns_two_degrees_an_academy_step_and_is_clamped(axis: int, action: float, turned: float) -> None:
    player = BallPlayer("--agents", "1", seed=3)
    (before,) = player.reset()
    (after,) = player.act([(action, 0.0) if axis == ROLL else (0.0, action)])
    angles = [2 * degrees(asin(report.observations[0][axis])) for report in (before, after)]
    assert angles[1] - angles[0] == pytest.approx(turned, abs=0.1)


@pytest.mark.parametrize(("choose", "axis", "side"), [(constant(1, 0), X, -1), (constant(0, 1), Z, 1)])
def test_the_ball_rolls_where_the_platform_slants(choose: Choose, axis: int, side: int) -> None:
    for episode in episodes(BallPlayer(), choose, 12):
        assert episode.end.observations[0][axis] * side > 3.0
        assert episode.earned < 5.0


def test_the_platform_stops_at_its_limit() -> None:
    player = BallPlayer("--agents", "1", parameters={"gravity": 0.0})  # the ball stays where it is
    reports = player.reset()
    for _ in range(20):
        reports = player.play_on(reports, constant(1, -1))
    roll, pitch = reports[0].observations[0][:2]
    assert ROTATION_LIMIT - 0.02 < roll < ROTATION_LIMIT + 0.02
    assert -ROTATION_LIMIT - 0.02 < pitch < -ROTATION_LIMIT + 0.02


def test_a_controller_earns_the_documented_return() -> None:
    for episode in episodes(BallPlayer(), balance, 12):
        assert episode.end.interrupted
        assert episode.earned == pytest.approx(100.0, rel=1e-5)


def test_a_perfect_episode_earns_the_same_whenever_it_began() -> None:
    drop, dropped = at_random(4), 0

    def choose(observations: FloatArray) -> FloatArray:
        nonlocal dropped
        dropped += 1
        return drop(observations) if dropped < 40 else balance(observations)

    perfect = [episode for episode in episodes(BallPlayer(seed=4), choose, 60) if episode.end.interrupted]
    assert [episode.earned for episode in perfect] == pytest.approx([100.0] * len(perfect), rel=1e-5)
    assert {episode.ended_between_decisions for episode in perfect} == {True, False}


def test_chance_drops_the_ball_soon() -> None:
    ended = episodes(BallPlayer(), at_random(0), 300)
    assert not any(episode.end.interrupted for episode in ended)
    assert 0.0 < np.mean([episode.earned for episode in ended]) < 3.0


def test_a_fall_costs_one_and_terminates() -> None:
    for end in [episode.end for episode in episodes(BallPlayer(), at_random(1), 20)]:
        assert (end.reward, end.interrupted) == (-1.0, False)
        assert max(abs(end.observations[0][X]), abs(end.observations[0][Z])) > 3.0


def test_every_decision_pays_a_tenth_while_the_ball_stays() -> None:
    player = BallPlayer()
    reports = player.reset()
    for _ in range(50):
        reports = player.play_on(reports, balance)
        assert [report.reward for report in reports] == pytest.approx([0.1] * 12)


def test_ends_come_when_they_happen_and_new_episodes_begin_with_the_next_decisions() -> None:
    player = BallPlayer(seed=2)
    choose = at_random(2)
    kinds: set[tuple[bool, bool]] = set()
    first_rewards: set[float] = set()
    seen, ended = set(range(12)), set[int]()
    reports = player.reset()
    for _ in range(400):
        reports = player.play_on(reports, choose)
        done = [report.id for report in reports if report.done]
        waiting = [report.id for report in reports if not report.done]
        assert len(waiting) in (0, 12)
        assert ended.isdisjoint(done)
        ended.update(done)
        assert ended.isdisjoint(waiting)
        kinds.add((len(done) > 0, len(waiting) > 0))
        first_rewards |= {round(report.reward, 6) for report in reports if not report.done and report.id not in seen}
        seen.update(waiting)
    assert kinds == {(True, False), (True, True), (False, True)}
    # Who began in the middle of a period was already paid for waiting.
    assert first_rewards == {0.0, 0.1}


def test_an_episode_lasts_a_thousand_decisions() -> None:
    player = BallPlayer("--agents", "1")
    reports = player.reset()
    for _ in range(MAX_STEP // 5):
        assert [report.done for report in reports] == [False]
        reports = player.play_on(reports, balance)
    assert [(report.done, report.interrupted) for report in reports] == [(True, True), (False, False)]
    assert reports[0].id != reports[1].id


def test_parameters_hold_from_the_next_episode_on() -> None:
    player = BallPlayer("--agents", "1", parameters={"gravity": 0.0})
    reports = player.reset()
    reports = player.play_on(reports, balance)
    assert reports[0].observations[0][HEIGHT] == 4.0
    player.set_parameter("gravity", 9.81)
    reports = player.play_on(reports, balance)
    assert reports[0].observations[0][HEIGHT] == 4.0
    reports = player.reset()
    assert player.play_on(reports, balance)[0].observations[0][HEIGHT] < 4.0


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
def test_a_ball_rests_as_high_as_it_is_large(scale: float) -> None:
    player = BallPlayer("--agents", "1", parameters={"scale": scale})
    reports = player.reset()
    for _ in range(300):
        reports = player.play_on(reports, balance)
    assert reports[0].observations[0][HEIGHT] == pytest.approx(2.5 + scale / 2, abs=0.01)


def test_stronger_gravity_drops_the_ball_sooner() -> None:
    weak, strong = (
        np.mean(
            [episode.earned for episode in episodes(BallPlayer(parameters={"gravity": gravity}), constant(0, 0), 60)]
        )
        for gravity in (4.0, 40.0)
    )
    assert strong < weak / 1.5


def test_mass_changes_nothing_and_the_seed_everything() -> None:
    def story(seed: int, parameters: dict[str, float] | None = None) -> list[list[float]]:
        player = BallPlayer(seed=seed, parameters=parameters)
        choose = at_random(7)
        reports, told = player.reset(), []
        for _ in range(60):
            told += [report.observations[0].tolist() for report in reports]
            reports = player.play_on(reports, choose)
        return told

    assert story(5) == story(5, {"mass": 20.0})
    assert story(5) != story(6)
