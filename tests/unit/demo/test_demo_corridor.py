import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.corridor import CELLS, LARGE_GOAL, OPTIMAL_RETURN, SMALL_GOAL, START, one_hot, picture, walk, words

STAY, LEFT, RIGHT = 0, 1, 2
policies = st.lists(st.sampled_from([STAY, LEFT, RIGHT]), min_size=CELLS, max_size=CELLS)


def test_always_right_earns_the_optimum() -> None:
    path = walk([RIGHT] * CELLS)
    assert (path.goal, len(path.cells) - 1) == (LARGE_GOAL, 7)
    assert path.total_reward == pytest.approx(OPTIMAL_RETURN) == pytest.approx(0.93)


def test_always_left_takes_the_small_goal() -> None:
    path = walk([LEFT] * CELLS)
    assert (path.goal, path.cells) == (SMALL_GOAL, (10, 9, 8, 7))
    assert path.total_reward == pytest.approx(0.07)


def test_standing_still_earns_nothing() -> None:
    assert walk([STAY] * CELLS).goal is None
    assert "leads to no goal: 10, 10" in words(walk([STAY] * CELLS))


def test_going_back_and_forth_ends() -> None:
    actions = [RIGHT] * CELLS
    actions[12] = LEFT
    assert walk(actions).goal is None


@given(policies, st.integers(0, CELLS - 1))
def test_any_policy_ends_and_earns_at_most_the_optimum_from_the_start(actions: list[int], start: int) -> None:
    path = walk(actions, start)
    assert all(0 <= cell < CELLS for cell in path.cells)
    assert all(abs(after - before) <= 1 for before, after in zip(path.cells, path.cells[1:], strict=False))
    if start == START:
        assert path.total_reward <= OPTIMAL_RETURN + 1e-9


@given(policies)
def test_the_picture_has_an_arrow_below_each_number_and_fits_a_terminal(actions: list[int]) -> None:
    numbers, moves, places, _ = picture(actions).plain.splitlines()
    assert numbers.split()[1:] == [str(cell) for cell in range(CELLS)]
    assert moves.split()[1:] == ["·←→"[action] for action in actions]
    assert max(map(len, picture(actions).plain.splitlines())) <= 80
    for cell, mark in ((START, "S"), (SMALL_GOAL, "○"), (LARGE_GOAL, "★")):
        assert places.index(mark) == 8 + 3 * cell + 2


def test_observations_are_one_hot() -> None:
    assert [one_hot(cell).index(1.0) for cell in range(CELLS)] == list(range(CELLS))
    assert {sum(one_hot(cell)) for cell in range(CELLS)} == {1.0}
