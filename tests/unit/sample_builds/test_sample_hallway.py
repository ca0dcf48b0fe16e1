"""The Hallway scene in-process: what it tells, what it pays, and that its task takes memory and can be solved."""

import random
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from sample_builds.scenes.hallway import BEHAVIOR, FORWARD, LEFT, MAX_STEP, RIGHT, SENSOR, HallwayScene
from tests.fakes.scenes_in_process import Report, ScenePlayer
from tests.fakes.scripted_hallway import HallwayScript

FloatArray = npt.NDArray[np.float32]
Choose = Callable[[FloatArray], int]

RAYS, RAY_SIZE = 5, 6
GOALS, SYMBOLS = slice(0, 2), slice(2, 4)
MISS, DISTANCE = 4, 5


class HallwayPlayer(ScenePlayer):
    """Hallway; each agent's choice is made of what it observes."""

    def __init__(self, *arguments: str, seed: int = 0, parameters: dict[str, float] | None = None) -> None:
        super().__init__(HallwayScene, *arguments, seed=seed, parameters=parameters)

    def act(self, *choices: int) -> list[Report]:
        return self.step({BEHAVIOR.name: [(choice,) for choice in choices]} if choices else {})

    def play_on(self, reports: list[Report], choose: Choose) -> list[Report]:
        return self.act(*(choose(report.observations[0]) for report in reports if not report.done))


def rays(report: Report) -> FloatArray:
    """[5, 6]: two goals, two symbols, miss, distance."""
    return report.observations[0].reshape(RAYS, RAY_SIZE)


def ahead_at_random(seed: int) -> Choose:
    numbers = random.Random(seed)
    return lambda _observation: numbers.choices(range(4), (4, 1, 2, 2))[0]


def story(player: HallwayPlayer, choose: Choose) -> list[Report]:
    """One agent's reports up to the end of its episode."""
    told = player.reset()
    while not told[-1].done:
        told += player.play_on(told[-1:], choose)[:1]
    return told


def scripted_returns(*, remembers: bool, episodes: int) -> list[float]:
    script = HallwayScript(remembers=remembers)
    player = HallwayPlayer(seed=8)
    returns = [0.0]
    reports = player.reset()
    while len(returns) <= episodes:
        for report in reports:
            returns[-1] += report.reward
            if report.done:
                script.begin_episode()
                returns.append(0.0)
        reports = player.play_on(reports, script.choose)
    return returns[:-1]


def test_one_agent_sees_thirty_numbers() -> None:
    (report,) = HallwayPlayer().reset()
    assert (report.behavior, report.sensors, report.reward) == ("Hallway?team=0", (SENSOR,), 0.0)
    assert report.observations[0].shape == (RAYS * RAY_SIZE,)


@pytest.mark.parametrize(("arguments", "parameters", "count"), [(("--agents", "3"), {}, 3), ((), {"agents": 5.0}, 5)])
def test_the_number_of_agents_can_be_set(arguments: tuple[str, ...], parameters: dict[str, float], count: int) -> None:
    reports = HallwayPlayer(*arguments, parameters=parameters).reset()
    assert sorted({report.id for report in reports}) == list(range(count))


def test_rays_are_what_a_ray_sensor_sends_and_never_see_symbol_and_goal_at_once() -> None:
    player = HallwayPlayer("--agents", "8", seed=1)
    choose = ahead_at_random(1)
    reports, seen = player.reset(), np.zeros(4, bool)
    for _ in range(3000):
        for report in reports:
            seen_now = rays(report)
            hit = seen_now[:, MISS] == 0
            tags = seen_now[:, :MISS].sum(axis=1)
            assert set(tags[hit]) <= {0.0, 1.0}
            assert not tags[~hit].any()
            assert (seen_now[~hit, DISTANCE] == 1.0).all()
            assert ((seen_now[:, DISTANCE] >= 0) & (seen_now[:, DISTANCE] <= 1)).all()
            assert not (seen_now[:, GOALS].any() and seen_now[:, SYMBOLS].any())
            seen |= seen_now[:, :MISS].any(axis=0)
        reports = player.play_on(reports, choose)
    assert seen.all()


def test_a_decision_forward_is_three_metres() -> None:
    player = HallwayPlayer(seed=1)
    before = player.reset()[0]
    while before.done or rays(before)[0, MISS] or rays(before)[0, :MISS].any() or rays(before)[0, DISTANCE] * 7 < 3.5:
        before = player.play_on([before], ahead_at_random(2))[0]
    (after,) = player.act(FORWARD)
    assert (rays(before)[0, DISTANCE] - rays(after)[0, DISTANCE]) * 7 == pytest.approx(3.0, abs=1e-4)


@pytest.mark.parametrize(("there", "back"), [(RIGHT, LEFT), (LEFT, RIGHT)])
def test_turns_of_eighteen_degrees_close_a_circle_and_undo_each_other(there: int, back: int) -> None:
    player = HallwayPlayer(seed=2)
    told = player.reset()
    choose = ahead_at_random(2)
    while rays(told[-1])[0, MISS]:
        told = player.play_on(told[-1:], choose)
    turns = [there] * 20 + [back] * 20
    views = [report.observations[0].tolist() for report in (told[-1], *(player.act(turn)[0] for turn in turns))]
    assert views[20] == views[0]
    assert views[20:] == views[20::-1]
    assert len({tuple(view) for view in views}) > 1


def test_goals_and_symbols_are_drawn() -> None:
    """Who takes the first goal at hand is right half the time."""
    ends = [story(HallwayPlayer(seed=seed), HallwayScript(seed, remembers=False).choose)[-1] for seed in range(60)]
    rights = [end.reward > 0 for end in ends if not end.interrupted]
    assert len(rights) / 4 < sum(rights) < len(rights) * 3 / 4
    assert {round(end.reward, 6) for end in ends if not end.interrupted} == {1.0, -0.1}


def test_at_the_choice_the_symbol_is_known_from_memory_alone() -> None:
    """Two games that differ in the symbol: from its last sight on, all that can be seen is the same; the pay is not."""
    o_game = HallwayPlayer(seed=8, parameters={"symbol": 0.0})
    script = HallwayScript()
    choices: list[int] = []

    def choose_and_note(observation: FloatArray) -> int:
        choices.append(script.choose(observation))
        return choices[-1]

    o_story = story(o_game, choose_and_note)
    again = iter(choices)
    x_story = story(HallwayPlayer(seed=8, parameters={"symbol": 1.0}), lambda _observation: next(again))
    pairs = list(zip(o_story, x_story, strict=True))
    differs = [not np.array_equal(rays(o_report), rays(x_report)) for o_report, x_report in pairs]
    assert differs == [bool(rays(report)[:, SYMBOLS].any()) for report in o_story]
    assert any(differs)
    last_sight = len(differs) - differs[::-1].index(True) - 1
    first_goal = next(number for number, report in enumerate(o_story) if rays(report)[:, GOALS].any())
    assert last_sight < first_goal < len(o_story) - 1
    assert (o_story[-1].reward, x_story[-1].reward) == pytest.approx((1.0, -0.1))
    assert not o_story[-1].interrupted
    assert not x_story[-1].interrupted


def test_a_script_that_remembers_earns_the_documented_return() -> None:
    returns = scripted_returns(remembers=True, episodes=100)
    assert np.mean(returns) > 0.7
    assert min(returns) > 0.0  # never the wrong goal, never too late


def test_a_script_that_forgets_does_not() -> None:
    assert np.mean(scripted_returns(remembers=False, episodes=100)) < 0.6


def test_every_academy_step_costs_and_episodes_are_interrupted() -> None:
    told = story(HallwayPlayer(), lambda _observation: RIGHT)
    assert len(told) == MAX_STEP / 6 + 1
    assert told[1].reward == pytest.approx(-6 / 3000)
    assert sum(report.reward for report in told) == pytest.approx(-1.0, rel=1e-4)
    assert told[-1].interrupted


def test_ends_and_next_decisions_share_a_message_or_do_not() -> None:
    player = HallwayPlayer("--agents", "4", seed=3)
    script = ahead_at_random(3)
    kinds: set[tuple[bool, bool]] = set()
    ended: set[int] = set()
    first_rewards: set[int] = set()
    reports, seen = player.reset(), set(range(4))
    for _ in range(3000):
        reports = player.play_on(reports, script)
        done = {report.id for report in reports if report.done}
        waiting = {report.id for report in reports if not report.done}
        assert len(waiting) in (0, 4)
        assert ended.isdisjoint(done)
        ended |= done
        assert ended.isdisjoint(waiting)
        kinds.add((bool(done), bool(waiting)))
        first_rewards |= {round(report.reward * 3000) for report in reports if report.id in waiting - seen}
        seen |= waiting
    assert kinds == {(True, False), (True, True), (False, True)}
    # Academy steps until the next decision, paid for like all others.
    assert first_rewards == {0, -1, -2, -3, -4, -5}


def test_the_same_seed_plays_the_same_game() -> None:
    def told(seed: int) -> list[list[float]]:
        return [report.observations[0].tolist() for report in story(HallwayPlayer(seed=seed), ahead_at_random(5))]

    assert told(5) == told(5)
    assert told(5) != told(6)
