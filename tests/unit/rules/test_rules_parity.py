"""An endpoint's answers against those that were recorded."""

import pytest

from pipeline.contracts.evaluation import ParityPair
from pipeline.contracts.predict import InvocationResponse
from pipeline.rules.parity import CONTINUOUS_TOLERANCE, differences

PAIR = ParityPair(
    behavior="Basic", observations=([[0.0], [1.0]],), continuous=[[0.5, -1.0], [0.0, 1.0]], discrete=[[2], [0]]
)


def answer(**changes) -> InvocationResponse:
    fields = {"version": "v", "behavior": "Basic", "continuous": PAIR.continuous, "discrete": PAIR.discrete}
    return InvocationResponse.model_validate(fields | changes)


def test_the_same_answer_is_no_difference():
    assert differences(PAIR, answer()) == []


@pytest.mark.parametrize("sign", [1, -1])
def test_what_other_processors_round_otherwise_is_no_difference(sign):
    within = [[0.5 + sign * 0.9 * CONTINUOUS_TOLERANCE, -1.0], [0.0, 1.0]]
    beyond = [[0.5, -1.0], [0.0, 1.0 + sign * 1.1 * CONTINUOUS_TOLERANCE]]
    assert differences(PAIR, answer(continuous=within)) == []
    (found,) = differences(PAIR, answer(continuous=beyond))
    assert found.startswith("observation 1: continuous")


def test_each_other_choice_is_named():
    assert differences(PAIR, answer(discrete=[[1], [0]])) == ["observation 0: discrete [2] recorded, [1] answered"]
    assert len(differences(PAIR, answer(discrete=[[1], [1]]))) == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"discrete": [[2]]},
        {"discrete": []},
        {"continuous": [[0.5, -1.0]]},
        {"continuous": [[0.5], [0.0]]},
        {"discrete": [[2, 0], [0, 0]]},
        {"discrete": [[], []]},
        {"discrete": [[2], [0], [0]], "continuous": [*PAIR.continuous, [0.0, 0.0]]},
    ],
)
def test_more_or_fewer_answers_are_a_difference(changes):
    assert differences(PAIR, answer(**changes))


REMEMBERING = PAIR.model_copy(update={"memory": [[0.0, 0.0], [1.0, 2.0]], "memory_out": [[1.0, -1.0], [2000.0, 0.0]]})


def test_what_is_remembered_alike_is_no_difference():
    assert differences(REMEMBERING, answer(memory=[[1.00009, -1.0], [2000.1, 0.0]])) == []


@pytest.mark.parametrize("memory", [[[1.0, -1.1], [2000.0, 0.0]], [[1.0], [2000.0]], [[1.0, -1.0], [2001.0, 0.0]]])
def test_what_is_remembered_otherwise_is_named_by_its_place(memory):
    found = differences(REMEMBERING, answer(memory=memory))
    assert found
    assert all(one.endswith("remembered otherwise") for one in found)


@pytest.mark.parametrize("memory", [None, [[1.0, -1.0]]])
def test_memories_that_are_missing_are_counted(memory):
    (found,) = differences(REMEMBERING, answer(memory=memory))
    assert found.startswith("2 memories were recorded")


def test_of_a_policy_without_a_memory_none_is_asked_for():
    assert differences(PAIR, answer(memory=None)) == []
