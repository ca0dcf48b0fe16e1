"""The FoodCollector scene in-process: what its grid sensors see, what food pays, and what lasers do."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pytest

from sample_builds.scenes.food_collector import FoodCollectorScene
from sample_builds.scenes.food_collector_grid import observe
from tests.fakes.scenes_with_pictures import Action, PicturePlayer, Report
from tests.fakes.scripted_food_collector import AGENT, BAD_FOOD, FOOD, FROZEN_AGENT, NOTHING, WALL, collect

FloatArray = npt.NDArray[np.float32]
Choose = Callable[[Report], Action]

IDLE: Action = ((0.0, 0.0, 0.0), (0,))
SHOOT: Action = ((0.0, 0.0, 0.0), (1,))
TURN_AND_SHOOT: Action = ((0.0, 0.0, 1.0), (1,))


class FoodCollectorPlayer(PicturePlayer):
    """FoodCollector."""

    def __init__(self, *arguments: str, seed: int = 0, parameters: dict[str, float] | None = None) -> None:
        super().__init__(FoodCollectorScene, *arguments, seed=seed, parameters=parameters)

    def play_on(self, reports: Sequence[Report], choose: Choose) -> list[Report]:
        return self.step([choose(report) for report in reports if not report.done])


def scripted(report: Report) -> Action:
    continuous, choice = collect(*report.observations)
    return [float(value) for value in continuous], (choice,)


def at_random(seed: int) -> Choose:
    numbers = np.random.default_rng(seed)
    return lambda _report: (numbers.uniform(-1, 1, 3).tolist(), (int(numbers.integers(2)),))


def always(action: Action) -> Choose:
    return lambda _report: action


def earned(seed: int, choose: Choose, decisions: int) -> float:
    """What an agent earned on average."""
    player = FoodCollectorPlayer(seed=seed)
    reports, total = player.reset(), 0.0
    for _ in range(decisions):
        reports = player.play_on(reports, choose)
        total += sum(report.reward for report in reports)
    return total / 5


def seen(reports: Sequence[Report]) -> dict[int, set[int]]:
    """The kinds of things that each agent sees."""
    return {report.id: {kind for kind in range(6) if report.observations[0][kind].any()} for report in reports}


def test_five_agents_with_a_grid_and_a_vector() -> None:
    reports = FoodCollectorPlayer().reset()
    assert [report.id for report in reports] == list(range(5))
    for report in reports:
        grid, vector = report.sensors
        assert (grid.name, list(grid.shape), grid.compression_type) == ("GridSensor-OneHot", [6, 40, 40], 1)
        assert list(grid.dimension_properties) == [1, 2, 2]
        assert grid.compressed_data.count(b"IHDR") == 2
        assert not grid.compressed_channel_mapping
        assert (vector.name, list(vector.float_data.data)) == ("VectorSensor_size4", [0.0] * 4)
        assert not report.disallowed


@pytest.mark.parametrize(("arguments", "parameters", "count"), [(("--agents", "3"), {}, 3), ((), {"agents": 8.0}, 8)])
def test_the_number_of_agents_can_be_set(arguments: tuple[str, ...], parameters: dict[str, float], count: int) -> None:
    assert len(FoodCollectorPlayer(*arguments, parameters=parameters).reset()) == count


def test_every_cell_is_one_thing_and_all_things_are_seen() -> None:
    player = FoodCollectorPlayer(seed=1)
    choose, reports = at_random(1), player.reset()
    kinds: set[int] = set()
    for _ in range(200):
        for report in reports:
            assert (report.observations[0].sum(axis=0) == 1).all()
        kinds |= set().union(*seen(reports).values())
        reports = player.play_on(reports, choose)
    assert kinds == {NOTHING, FOOD, AGENT, WALL, BAD_FOOD, FROZEN_AGENT}


def test_the_picture_leads_from_behind_to_ahead_and_from_right_to_left() -> None:
    def picture(right: float, ahead: float) -> list[list[int]]:
        player = FoodCollectorPlayer("--agents", "1")
        player.reset()
        field = observe([], [(right, ahead, 0.25, FOOD)])
        player.world.infos["x"] = [field]
        (report,) = player.message()
        return np.argwhere(report.observations[0][FOOD]).tolist()

    assert picture(right=0.5, ahead=0.5) == [[19, 20]]
    assert picture(right=0.5, ahead=19.5) == [[19, 39]]
    assert picture(right=19.5, ahead=0.5) == [[0, 20]]
    assert picture(right=-19.5, ahead=-19.5) == [[39, 0]]
    assert picture(right=20.1, ahead=0.5) == [[0, 20]]
    assert picture(right=20.3, ahead=0.5) == []
    assert picture(right=0.5, ahead=-20.3) == []


def test_walls_are_lines_across_the_picture() -> None:
    player = FoodCollectorPlayer("--agents", "1")
    player.reset()
    player.world.infos["x"] = [observe([(-50.0, 10.5, 50.0, 10.5)], []), observe([(-50.0, -50.0, 50.0, 50.0)], [])]
    across, diagonal = (report.observations[0][WALL] for report in player.message())
    assert np.argwhere(across).tolist() == [[row, 30] for row in range(40)]
    assert np.argwhere(diagonal).tolist() == [[39 - column, column] for column in range(39, -1, -1)]


def test_a_push_ahead_moves_what_is_seen_behind() -> None:
    player = FoodCollectorPlayer("--agents", "1", seed=5)
    (before,) = player.reset()
    (after,) = player.step([((1.0, 0.0, 0.0), (0,))])
    right, ahead, frozen, shooting = after.observations[1]
    assert (float(frozen), float(shooting)) == (0.0, 0.0)
    assert right == pytest.approx(0.0, abs=1e-4)
    assert ahead > 5.0
    columns = [np.argwhere(report.observations[0][FOOD])[:, 1].mean() for report in (before, after)]
    assert columns[1] != columns[0]
    (after,) = player.step([((0.0, 1.0, 0.0), (0,))])
    assert after.observations[1][0] > 5.0


def test_turning_turns_what_is_seen() -> None:
    player = FoodCollectorPlayer("--agents", "1", seed=5)
    (before,) = player.reset()
    for _ in range(12):
        (after,) = player.step([((0.0, 0.0, 1.0), (0,))])
    # Five academy steps of 6 degrees a decision: twelve of them are a circle.
    assert np.array_equal(after.observations[0], before.observations[0])
    for _ in range(3):
        (after,) = player.step([((0.0, 0.0, 1.0), (0,))])
    # To the left by a right angle: what was on the left (the last rows) is ahead (the last columns).
    turned = np.rot90(before.observations[0], axes=(1, 2))
    assert (turned == after.observations[0]).mean() > 0.97
    assert (before.observations[0] == after.observations[0]).mean() < 0.97


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_script_collects_much_more_than_chance(seed: int) -> None:
    assert earned(seed, scripted, decisions=250) > 10.0
    assert abs(earned(seed, at_random(seed), decisions=250)) < 5.0


def test_bad_food_costs() -> None:
    def greedy_for_bad(report: Report) -> Action:
        grid, vector = report.observations
        continuous, choice = collect(grid[[NOTHING, BAD_FOOD, AGENT, WALL, FOOD, FROZEN_AGENT]], vector)
        return [float(value) for value in continuous], (choice,)

    assert earned(4, greedy_for_bad, decisions=250) < -10.0


def test_all_are_interrupted_together_and_begin_anew_in_the_same_message() -> None:
    player = FoodCollectorPlayer("--agents", "2", seed=3)
    reports = player.reset()
    first = [report.id for report in reports]
    for decision in range(1, 2001):
        reports = player.play_on(reports, always(IDLE))
        assert len(reports) == (4 if decision % 1000 == 0 else 2)
        if decision == 1000:
            assert [report.id for report in reports if report.done] == first
            assert all(report.interrupted for report in reports if report.done)
            begun = [report for report in reports if not report.done]
            assert {report.id for report in begun}.isdisjoint(first)
            assert [report.reward for report in begun] == [0.0] * 2


def test_a_laser_freezes_for_a_while_and_a_frozen_agent_does_nothing() -> None:
    player = FoodCollectorPlayer("--agents", "12", seed=2)
    reports = player.reset()
    frozen_for = dict.fromkeys(range(12), 0)
    stays: list[int] = []
    for _ in range(300):
        reports = player.play_on(reports, lambda report: TURN_AND_SHOOT if report.id < 6 else IDLE)
        for report in reports:
            _, _, frozen, shooting = report.observations[1]
            assert not (frozen and shooting)
            if frozen:
                frozen_for[report.id] += 1
            elif frozen_for[report.id]:
                stays.append(frozen_for[report.id])
                frozen_for[report.id] = 0
    # 200 academy steps, of which 40 decisions see something; hit again at once, an agent stays so.
    assert len(stays) > 5
    assert min(stays) == 40
    assert any(FROZEN_AGENT in kinds for kinds in seen(reports).values())


def test_the_laser_is_as_long_as_its_parameter() -> None:
    def frozen(length: float) -> int:
        player = FoodCollectorPlayer("--agents", "12", seed=2, parameters={"laser_length": length})
        reports, count = player.reset(), 0
        for _ in range(40):
            reports = player.play_on(reports, always(TURN_AND_SHOOT))
            count += sum(int(report.observations[1][2]) for report in reports)
        return count

    assert frozen(0.0) == 0
    assert 0 < 2 * frozen(0.3) < frozen(1.0)


def test_agents_are_as_large_as_their_parameter() -> None:
    def sizes(scale: float) -> int:
        reports = FoodCollectorPlayer("--agents", "30", seed=2, parameters={"agent_scale": scale}).reset()
        return sum(int(report.observations[0][AGENT].sum()) for report in reports)

    assert 4 * sizes(1.0) < sizes(5.0)


def test_shooting_is_seen_in_the_vector() -> None:
    player = FoodCollectorPlayer("--agents", "1")
    player.reset()
    (report,) = player.step([SHOOT])
    assert report.observations[1][3] == 1.0
    (report,) = player.step([IDLE])
    assert report.observations[1][3] == 0.0


def test_nobody_leaves_the_area() -> None:
    player = FoodCollectorPlayer("--agents", "3", seed=1)
    reports = player.reset()
    for _ in range(150):
        reports = player.play_on(reports, always(((1.0, 0.0, 0.0), (0,))))
    # By then they could be 400 m away; they are at a wall.
    for report in reports:
        rows, columns = np.nonzero(report.observations[0][WALL])
        assert np.hypot(rows - 19.5, columns - 19.5).min() < 2


def test_the_same_seed_plays_the_same_game() -> None:
    def told(seed: int) -> list[bytes]:
        player = FoodCollectorPlayer(seed=seed)
        reports, choose, grids = player.reset(), at_random(1), []
        for _ in range(50):
            grids += [report.sensors[0].compressed_data for report in reports]
            reports = player.play_on(reports, choose)
        return grids

    assert told(5) == told(5)
    assert told(5) != told(6)
