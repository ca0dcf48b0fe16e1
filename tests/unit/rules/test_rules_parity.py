"""Whether an endpoint's answer is the recorded one."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.contracts.evaluation import ParityPair
from pipeline.contracts.predict import InvocationResponse
from pipeline.rules.parity import CONTINUOUS_TOLERANCE, differences

actions = st.lists(
    st.tuples(st.lists(st.floats(-1, 1), min_size=2, max_size=2), st.lists(st.integers(0, 4), min_size=2, max_size=2)),
    min_size=1,
    max_size=8,
)


def pair(continuous: list[list[float]], discrete: list[list[int]]) -> ParityPair:
    return ParityPair(behavior="B", observations=([],), continuous=continuous, discrete=discrete)


def answer(continuous: list[list[float]], discrete: list[list[int]]) -> InvocationResponse:
    return InvocationResponse(version="v", behavior="B", continuous=continuous, discrete=discrete)


@given(actions, st.floats(-0.9 * CONTINUOUS_TOLERANCE, 0.9 * CONTINUOUS_TOLERANCE))
def test_the_same_answer_agrees_also_by_another_processors_rounding(
    rows: list[tuple[list[float], list[int]]], by: float
) -> None:
    continuous, discrete = [row[0] for row in rows], [row[1] for row in rows]
    moved = [[value + by for value in row] for row in continuous]
    assert differences(pair(continuous, discrete), answer(moved, discrete)) == []


@given(actions, st.data())
def test_one_other_action_is_found_and_named(rows: list[tuple[list[float], list[int]]], data: st.DataObject) -> None:
    continuous, discrete = [row[0] for row in rows], [row[1] for row in rows]
    index = data.draw(st.integers(0, len(rows) - 1))
    other = [list(row) for row in discrete]
    other[index][0] += 1
    (found,) = differences(pair(continuous, discrete), answer(continuous, other))
    assert found.startswith(f"observation {index}: discrete")
    moved = [list(row) for row in continuous]
    moved[index][1] += 2 * CONTINUOUS_TOLERANCE
    (found,) = differences(pair(continuous, discrete), answer(moved, discrete))
    assert found.startswith(f"observation {index}: continuous")


def test_an_answer_of_another_length_or_width_does_not_agree() -> None:
    recorded = pair([[0.0], [0.0]], [[1], [1]])
    assert differences(recorded, answer([[0.0]], [[1]])) == ["2 actions were recorded, 1 answered"]
    assert len(differences(recorded, answer([[], []], [[1], [1]]))) == 2
    assert len(differences(recorded, answer([[0.0], [0.0]], [[1, 0], [1]]))) == 1
