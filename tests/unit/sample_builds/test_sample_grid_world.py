"""The GridWorld scene in-process: what its cameras see, what it disallows and pays, and that it can be solved."""

import random
from collections.abc import Sequence

import numpy as np
import pytest

from sample_builds.scenes.grid_world import DOWN, LEFT, RIGHT, STAY, UP, GridWorldScene
from tests.fakes.scenes_with_pictures import PicturePlayer, Report
from tests.fakes.scripted_grid_world import cells_in, choose

NO_GRAPHICS = ("--camera", "unity", "-nographics")


class GridWorldPlayer(PicturePlayer):
    """GridWorld, played by choices."""

    def __init__(self, *arguments: str, seed: int = 0, parameters: dict[str, float] | None = None) -> None:
        super().__init__(GridWorldScene, *arguments, seed=seed, parameters=parameters)

    def act(self, choices: Sequence[int]) -> list[Report]:
        return self.step([((), (choice,)) for choice in choices])

    def play_on(self, reports: list[Report]) -> list[Report]:
        return self.act([choose(*report.observations) for report in reports if not report.done])


def at_random(seed: int) -> random.Random:
    return random.Random(seed)


def test_nine_agents_with_a_camera_and_a_goal() -> None:
    reports = GridWorldPlayer().reset()
    assert [report.id for report in reports] == list(range(9))
    for report in reports:
        camera, goal = report.sensors
        assert (camera.name, list(camera.shape), camera.compression_type) == ("CameraSensor", [3, 64, 84], 1)
        assert (list(camera.dimension_properties), camera.observation_type) == ([1, 2, 2], 0)
        assert not camera.compressed_channel_mapping
        assert (goal.name, list(goal.shape), goal.observation_type) == ("VectorSensor", [2], 1)
        assert sorted(report.observations[1].tolist()) == [0.0, 1.0]
        assert report.reward == 0.0


@pytest.mark.parametrize(("arguments", "parameters", "count"), [(("--agents", "3"), {}, 3), ((), {"agents": 5.0}, 5)])
def test_the_number_of_agents_can_be_set(arguments: tuple[str, ...], parameters: dict[str, float], count: int) -> None:
    assert len(GridWorldPlayer(*arguments, parameters=parameters).reset()) == count


def test_both_goals_are_told_and_everything_begins_anywhere() -> None:
    starts = [
        (cells_in(report.observations[0]), report.observations[1].argmax())
        for seed in range(60)
        for report in GridWorldPlayer(seed=seed).reset()
    ]
    assert {told for _, told in starts} == {0, 1}
    for thing in range(3):
        assert len({cells[thing] for cells, _ in starts}) == 25
    assert all(len(set(cells)) == 3 for cells, _ in starts)


@pytest.mark.parametrize(
    ("choice", "across", "up"), [(STAY, 0, 0), (UP, 0, 1), (DOWN, 0, -1), (LEFT, -1, 0), (RIGHT, 1, 0)]
)
def test_choices_move_the_agent_in_the_picture_and_stop_at_walls(choice: int, across: int, up: int) -> None:
    player = GridWorldPlayer("--agents", "60", seed=4)
    before = player.reset()
    told = iter(player.act([choice] * 60))
    seen, stopped = 0, 0
    for old in before:
        new = next(told)
        agent, *goals = cells_in(old.observations[0])
        assert agent is not None
        x, z = agent[0] + across, agent[1] + up
        is_wall = not (0 <= x < 5 and 0 <= z < 5)
        if new.done:
            assert (x, z) in goals
            next(told)
            continue
        assert cells_in(new.observations[0])[0] == (agent if is_wall else (x, z))
        assert new.reward == pytest.approx(-0.01)
        seen, stopped = seen + 1, stopped + is_wall
    assert seen > 40
    assert stopped > (3 if choice else -1)


def test_ways_into_walls_are_disallowed() -> None:
    player = GridWorldPlayer(seed=2)
    numbers, reports, sizes = at_random(2), player.reset(), set()
    for _ in range(300):
        for report in reports:
            agent = cells_in(report.observations[0])[0]
            assert agent is not None
            x, z = agent
            expected = (False, z == 4, z == 0, x == 0, x == 4)
            sizes.add(len(report.disallowed))
            if report.disallowed:
                assert report.done or report.disallowed == expected
            else:
                assert report.done or not any(expected)
        reports = player.act([numbers.randrange(5) for report in reports if not report.done])
    assert sizes == {0, 5}


def test_a_mask_is_sent_from_the_first_wall_on() -> None:
    player = GridWorldPlayer("--agents", "1", seed=1)
    numbers, reports, sent = at_random(3), player.reset(), []
    for _ in range(200):
        sent += [bool(report.disallowed) for report in reports if not report.done]
        reports = player.act([numbers.randrange(5)])
    assert sent == sorted(sent)
    assert {GridWorldPlayer("--agents", "1", seed=seed).reset()[0].disallowed != () for seed in range(9)} == {
        True,
        False,
    }


def test_a_script_earns_more_than_the_documented_return() -> None:
    player = GridWorldPlayer(seed=5)
    reports = player.reset()
    returns: list[float] = []
    running: dict[int, float] = {}
    while len(returns) < 300:
        for report in reports:
            running[report.id] = running.get(report.id, 0.0) + report.reward
            if report.done:
                assert not report.interrupted
                assert report.reward == 1.0
                returns.append(running.pop(report.id))
        reports = player.play_on(reports)
    assert np.mean(returns) > 0.95


def test_the_other_goal_costs_and_ends_the_episode() -> None:
    player = GridWorldPlayer(seed=6)
    reports = player.reset()
    ends: list[Report] = []
    while len(ends) < 100:
        waiting = [report for report in reports if not report.done]
        reports = player.act([choose(picture, 1 - signal) for picture, signal in (r.observations for r in waiting)])
        ends += [report for report in reports if report.done]
    assert {report.reward for report in ends} == {-1.0}
    assert not any(report.interrupted for report in ends)


def test_an_end_and_the_next_decision_share_a_message() -> None:
    player = GridWorldPlayer(seed=7)
    reports = player.reset()
    ended: set[int] = set()
    for _ in range(100):
        waiting = [report.id for report in reports if not report.done]
        reports = player.play_on(reports)
        done = {report.id for report in reports if report.done}
        assert done <= set(waiting)
        assert done.isdisjoint(ended)
        ended |= done
        begun = [report for report in reports if not report.done and report.id not in waiting]
        assert len(begun) == len(done)
        assert all(report.reward == 0.0 for report in begun)
        assert len(reports) == 9 + len(done)
        # The last picture shows the agent on the goal, which it hides.
        assert all(None in cells_in(report.observations[0]) for report in reports if report.done)
    assert len(ended) > 100


def test_who_stays_is_interrupted_after_a_hundred_steps() -> None:
    player = GridWorldPlayer()
    reports = player.reset()
    total = 0.0
    for step in range(1, 101):
        reports = player.act([STAY] * 9)
        total += reports[0].reward
        assert [report.done for report in reports].count(True) == (9 if step == 100 else 0)
    assert all(report.interrupted for report in reports if report.done)
    assert total == pytest.approx(-1.0)


@pytest.mark.parametrize("size", [3, 4, 7])
def test_the_size_of_the_grid_is_a_parameter(size: int) -> None:
    player = GridWorldPlayer("--agents", "1", parameters={"gridSize": size, "numPlusGoals": 0, "numExGoals": 0})
    reports = player.reset()
    for choice in (RIGHT, UP):
        for _ in range(size):
            reports = player.act([choice])
    assert reports[0].disallowed == (False, True, False, False, True)
    moves = 0
    while not reports[0].disallowed[LEFT]:
        reports = player.act([LEFT])
        moves += 1
    assert moves == size - 1


def test_the_numbers_of_goals_are_parameters() -> None:
    def pixels(**parameters: float) -> tuple[int, int]:
        # Of 4 x 4 cells, all are of the same size in pixels.
        (report,) = GridWorldPlayer("--agents", "1", parameters={"gridSize": 4.0, **parameters}).reset()
        red, green, blue = report.observations[0]
        return int(((green > 0.6) & (red < 0.3)).sum()), int(((red > 0.8) & (green < 0.3) & (blue < 0.3)).sum())

    plus, ex = pixels()
    assert min(plus, ex) > 0
    assert pixels(numPlusGoals=3, numExGoals=0) == (3 * plus, 0)
    assert pixels(numPlusGoals=0, numExGoals=2) == (0, 2 * ex)


def test_uncompressed_pictures_are_the_same_as_numbers() -> None:
    numbers, pngs = GridWorldPlayer("--uncompressed", seed=9).reset(), GridWorldPlayer(seed=9).reset()
    assert numbers[0].sensors[0].compression_type == 0
    assert not numbers[0].sensors[0].compressed_data
    for number, png in zip(numbers, pngs, strict=True):
        assert np.array_equal(number.observations[0], png.observations[0])


def test_without_graphics_a_unity_camera_sees_black() -> None:
    player = GridWorldPlayer(*NO_GRAPHICS)
    for reports in (player.reset(), player.act([STAY] * 9)):
        assert not any(report.observations[0].any() for report in reports)
    assert GridWorldPlayer("-nographics").reset()[0].observations[0].any()


def test_without_a_display_a_unity_camera_is_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []
    for name in ("", "nonsense", ":99999", "elsewhere:0"):
        monkeypatch.setenv("DISPLAY", name)
        with pytest.raises(SystemExit) as raised:
            GridWorldScene.before_connecting(["--camera", "unity"], log.append)
        assert raised.value.code == 1
        assert log[-2:] == [f"Unable to open display {name}", "No supported renderers found, exiting"]
    monkeypatch.delenv("DISPLAY")
    GridWorldScene.before_connecting(list(NO_GRAPHICS), log.append)
    GridWorldScene.before_connecting([], log.append)
    assert log[-2:] == ["Looking for a trainer"] * 2


def test_the_same_seed_plays_the_same_game() -> None:
    def told(seed: int) -> list[bytes]:
        player = GridWorldPlayer(seed=seed)
        numbers, reports, pictures = at_random(1), player.reset(), []
        for _ in range(50):
            pictures += [report.sensors[0].compressed_data for report in reports]
            reports = player.act([numbers.randrange(5) for report in reports if not report.done])
        return pictures

    assert told(5) == told(5)
    assert told(5) != told(6)
