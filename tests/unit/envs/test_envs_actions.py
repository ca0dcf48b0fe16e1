"""Actions on the wire, read back by protobuf itself."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from rl_src.envs.batches import Actions
from rl_src.envs.encoding import ActionEncoder
from rl_src.envs.protocol import message_class
from rl_src.envs.specs import ActionSpec, BehaviorSpec

float32 = st.floats(width=32, allow_nan=False, allow_infinity=False)


@st.composite
def specs_and_actions(draw: st.DrawFn) -> tuple[BehaviorSpec, Actions]:
    agents = draw(st.integers(1, 5) | st.just(40))
    size = draw(st.integers(0, 70))
    branches = tuple(draw(st.lists(st.sampled_from([1, 2, 127, 128, 129, 300, 20_000]), max_size=3)))
    if not size and not branches:
        branches = (3,)
    spec = BehaviorSpec("B?team=0", (), ActionSpec(size, branches))
    continuous = draw(arrays.arrays(np.float32, (agents, size), elements=float32))
    drawn = [[draw(st.integers(0, branch - 1)) for branch in branches] for _ in range(min(agents, 5))]
    rows = [drawn[row % len(drawn)] for row in range(agents)]
    return spec, Actions(continuous, np.array(rows, np.int32).reshape(agents, len(branches)))


def sent(spec: BehaviorSpec, actions: Actions, hybrid: bool = True) -> list[object]:
    encoded = ActionEncoder(spec, hybrid).encode(actions, len(actions.continuous))
    return list(message_class("UnityRLInputProto").ListAgentActionProto.FromString(encoded).value)


@given(specs_and_actions())
def test_every_action_arrives_in_its_row(pair: tuple[BehaviorSpec, Actions]) -> None:
    spec, actions = pair
    protos = sent(spec, actions)
    assert [list(proto.continuous_actions) for proto in protos] == actions.continuous.tolist()
    assert [list(proto.discrete_actions) for proto in protos] == actions.discrete.tolist()
    assert not any(proto.vector_actions_deprecated for proto in protos)


@given(specs_and_actions())
def test_old_packages_get_a_list_of_floats(pair: tuple[BehaviorSpec, Actions]) -> None:
    spec, actions = pair
    rows = actions.continuous if spec.actions.continuous_size else actions.discrete
    protos = sent(spec, actions, hybrid=False)
    assert [list(proto.vector_actions_deprecated) for proto in protos] == rows.astype(np.float32).tolist()


def test_one_encoder_serves_any_number_of_agents() -> None:
    spec = BehaviorSpec("B", (), ActionSpec(1, (300,)))
    encoder = ActionEncoder(spec, hybrid=True)
    parse = message_class("UnityRLInputProto").ListAgentActionProto.FromString
    for agents in (2, 5, 0, 2, 1):
        actions = Actions(np.full((agents, 1), agents, np.float32), np.arange(agents, dtype=np.int32)[:, None] + 200)
        protos = parse(encoder.encode(actions, agents)).value
        assert [list(proto.continuous_actions) for proto in protos] == actions.continuous.tolist()
        assert [list(proto.discrete_actions) for proto in protos] == actions.discrete.tolist()


def test_other_number_types_are_converted() -> None:
    spec = BehaviorSpec("B", (), ActionSpec(2, (3,)))
    protos = sent(spec, Actions(np.array([[0.5, 1]], np.float64), np.array([[2]], np.int64)))  # type: ignore[arg-type]
    assert list(protos[0].continuous_actions) == [0.5, 1.0]
    assert list(protos[0].discrete_actions) == [2]


@pytest.mark.parametrize(
    ("continuous", "discrete", "message"),
    [
        ([[0.0]], [[0, 0]], r"shape \(1(00)?, 1\); \(1(00)?, 2\) is needed"),
        ([[0.0, 0.0]], [[0]], r"shape \(1(00)?, 1\); \(1(00)?, 2\) is needed"),
        ([[0.0, np.nan]], [[0, 0]], "not finite"),
        ([[0.0, np.inf]], [[0, 0]], "not finite"),
        ([[0.0, 0.0]], [[3, 0]], "outside its branch"),
        ([[0.0, 0.0]], [[0, -1]], "outside its branch"),
    ],
)
@pytest.mark.parametrize("agents", [1, 100])
def test_actions_that_do_not_fit_are_refused(agents: int, continuous: Any, discrete: Any, message: str) -> None:
    spec = BehaviorSpec("B", (), ActionSpec(2, (3, 2)))
    with pytest.raises(ValueError, match=message):
        ActionEncoder(spec, hybrid=True).encode(
            Actions(np.array(continuous * agents, np.float32), np.array(discrete * agents, np.int32)), agents
        )
