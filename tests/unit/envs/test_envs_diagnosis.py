"""What errors of the observations name, and how many agents' ids they have room for."""

import math
from typing import Any

import pytest

from rl_src.envs.decoding import BehaviorDecoder
from rl_src.envs.errors import NonFiniteObservationError
from rl_src.envs.protocol import message_class
from rl_src.envs.specs import ActionSpec, BehaviorSpec, ObservationSpec

SPEC = BehaviorSpec("B?team=0", (ObservationSpec("First", (2,)), ObservationSpec("Second", (2, 2))), ActionSpec(1))


def message(ids: range, broken: set[int]) -> bytes:
    """Agents whose second sensor observes NaN where they are broken; every third has ended."""
    agents: Any = message_class("UnityRLOutputProto").ListAgentInfoProto()
    for agent_id in ids:
        info = agents.value.add(id=agent_id, done=agent_id % 3 == 0)
        info.observations.add(shape=(2,)).float_data.data.extend([1.0, 2.0])
        values = [0.0, 1.0, 2.0, math.nan if agent_id in broken else 3.0]
        info.observations.add(shape=(2, 2)).float_data.data.extend(values)
    return bytes(agents.SerializeToString())


@pytest.mark.parametrize("number", [12, 300], ids=["one by one", "as tables"])
@pytest.mark.parametrize(
    ("broken", "named"),
    [
        ({7}, "at agent 7."),
        ({7, 8}, "at agents 7, 8."),
        ({1, 4, 5}, "at agents 1, 4, 5."),
        ({1, 2, 4, 5, 7}, "at agents 1, 2, 4 and 2 more."),
        ({9}, "at agent 9."),
    ],
)
def test_agents_that_observe_nan_are_named(number: int, broken: set[int], named: str) -> None:
    with pytest.raises(NonFiniteObservationError) as raised:
        BehaviorDecoder(SPEC, False).decode(message(range(number), broken))
    assert raised.value.cause == f"Behavior B?team=0: sensor Second observed NaN or an infinity, {named}"
