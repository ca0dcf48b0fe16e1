"""A policy that remembers, asked by tokens and by plain numbers; several behaviors beside one another."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from rl_src.serving import codec
from rl_src.serving.artifact import ServedPolicy, load_artifact
from rl_src.serving.errors import InvalidRequestError, StaleStateError
from rl_src.serving.questions import ask
from rl_src.serving.state_tokens import StateTokens
from tests.fakes.onnx_policies import write_linear_policy, write_manifest, write_summing_policy


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("artifact")
    write_summing_policy(folder / "policies" / "Summing.onnx")
    write_linear_policy(folder / "policies" / "Linear.onnx", np.eye(3, dtype=np.float32))
    return write_manifest(folder, {"Summing": (2,), "Linear": (3,)})


@pytest.fixture(scope="module")
def served(folder: Path) -> ServedPolicy:
    return load_artifact(folder)


def asked(served: ServedPolicy, observations: list, **more: object) -> dict:
    document = {"behavior": "Summing", "observations": [observations]} | more
    question = ask(served, codec.decode(json.dumps(document).encode()))
    results = question.served.policy.run(question.feed, question.deterministic)
    return json.loads(codec.encode(question.answer(served.version, *results)))


@given(arrays.arrays(np.float32, st.tuples(st.integers(1, 6), st.just(2)), elements=st.integers(-9, 9)))
def test_tokens_carry_an_episode(served: ServedPolicy, steps: np.ndarray) -> None:
    state: str | None = None
    for index, step in enumerate(steps):
        found = asked(served, step.tolist(), state=state)
        assert found["continuous"] == steps[: index + 1].sum(axis=0).tolist()
        state = found["state"]


def test_agents_of_a_batch_begin_at_their_own_time(served: ServedPolicy) -> None:
    first = asked(served, [[1, 0], [2, 0]], state=None)["state"]
    found = asked(served, [[10, 0], [10, 0], [10, 0]], state=[first[1], None, first[0]])
    assert [row[0] for row in found["continuous"]] == [12, 10, 11]


def test_plain_numbers_are_the_same_memory(served: ServedPolicy) -> None:
    found = asked(served, [[1, 2]], memory=[[10, 20]])
    assert (found["continuous"], found["memory"]) == ([[11, 22]], [[11, 22]])
    assert asked(served, [1, 2], memory=[10, 20])["memory"] == [11, 22]


def test_without_a_state_nothing_is_remembered_nor_answered(served: ServedPolicy) -> None:
    assert asked(served, [[1, 2]]) == {
        "version": "game-1",
        "behavior": "Summing",
        "continuous": [[1, 2]],
        "discrete": [[]],
    }


def test_a_behavior_without_memory_answers_null(served: ServedPolicy) -> None:
    assert asked(served, [0, 1, 0], behavior="Linear", state=None)["state"] is None
    assert asked(served, [[0, 1, 0]], behavior="Linear", state=[None])["state"] == [None]


def test_the_behavior_has_to_be_named_where_there_are_several(served: ServedPolicy) -> None:
    with pytest.raises(InvalidRequestError, match="no behavior was given, and there are several: Linear, Summing"):
        asked(served, [1, 2], behavior=None)


def test_a_token_of_another_version_or_behavior_is_stale(served: ServedPolicy) -> None:
    memory = np.zeros((1, 2), np.float32)
    for other in (StateTokens.of("game-2", "Summing", 2), StateTokens.of("game-1", "Linear", 2)):
        with pytest.raises(StaleStateError, match="state 0 is of another version or behavior; give null"):
            asked(served, [1, 2], state=other.write(memory)[0])


def test_a_token_of_another_shape_is_refused(served: ServedPolicy) -> None:
    (longer,) = StateTokens.of("game-1", "Summing", 3).write(np.zeros((1, 3), np.float32))
    with pytest.raises(InvalidRequestError, match="state 1 holds 12 bytes of memory; 8 are right"):
        asked(served, [[1, 2], [1, 2]], state=[None, longer])


@pytest.mark.parametrize(
    ("observations", "more", "message"),
    [
        ([1, 2], {"state": "no token"}, "state 0 is no state of an earlier answer"),
        ([1, 2], {"state": ""}, "state 0 is no state of an earlier answer"),
        ([1, 2], {"state": "AAAA"}, "state 0 is no state of an earlier answer"),
        ([1, 2], {"state": "ä"}, "state 0 is no state of an earlier answer"),
        ([1, 2], {"state": [None]}, "state is a list; one token or null is right"),
        ([[1, 2]], {"state": "AAAA"}, "state is one token; a list of 1 tokens or null is right"),
        ([[1, 2]], {"state": [None, None]}, "state has 2 tokens; 1 are right"),
        ([[1, 2]], {"memory": [[1]]}, r"memory has shape \[1, 1\]; \[1, 2\] is right"),
        ([[1, 2]], {"memory": [[1, 1e300]]}, "memory holds a value that is no finite"),
        ([[1, 2]], {"memory": [[1, 2]], "state": None}, "state and memory were given"),
        ([0, 1, 0], {"behavior": "Linear", "state": "AAAA"}, "state 0 was given, but behavior 'Linear' has no memory"),
    ],
)
def test_what_is_no_memory_is_refused(served: ServedPolicy, observations: list, more: dict, message: str) -> None:
    with pytest.raises(InvalidRequestError, match=message):
        asked(served, observations, **more)


@given(arrays.arrays(np.float32, st.tuples(st.integers(0, 5), st.integers(0, 9)), elements=st.floats(width=32)))
def test_tokens_keep_every_bit(memory: np.ndarray) -> None:
    tokens = StateTokens.of("v", "b", memory.shape[1])
    if not memory.shape[1]:
        return
    found = tokens.read(list(tokens.write(memory)))
    assert found.tobytes() == memory.tobytes()


@given(st.text(max_size=60))
def test_any_text_is_a_token_or_refused(text: str) -> None:
    tokens = StateTokens.of("v", "b", 1)
    try:
        found = tokens.read([text])
    except (InvalidRequestError, StaleStateError):
        return
    assert found.shape == (1, 1)


def test_a_forged_memory_of_nan_is_refused(served: ServedPolicy) -> None:
    (forged,) = StateTokens.of("game-1", "Summing", 2).write(np.full((1, 2), np.nan, np.float32))
    with pytest.raises(InvalidRequestError, match="memory holds a value that is no finite"):
        asked(served, [1, 2], state=forged)
