"""Builds that are in order, but odd: all that the protocol allows arrives exactly.

In every one an agent sees its number, its episode and its age; it is paid 0.25 a step and ends at an age of four.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from rl_src.envs.batches import Actions, BehaviorStep
from rl_src.envs.client import UnityClient
from rl_src.envs.specs import ActionSpec, DimensionProperty, ObservationSpec
from sample_builds.scenes.faulty import FAULTS

ODD, LATE = "Odd?team=0", "Late?team=1"
LENGTH = 4


def play(
    program: Path, oddity: str, steps: int, *arguments: str, by_parameter: bool = False
) -> tuple[UnityClient, list[Mapping[str, BehaviorStep]]]:
    """The client, closed, and all that it handed on."""
    parameters = {"fault": FAULTS.index(oddity)} if by_parameter else {}
    own = () if by_parameter else ("--fault", oddity)
    with UnityClient(program, arguments=[*own, *arguments], parameters=parameters) as client:
        played = [client.reset()]
        for _ in range(steps):
            played.append(client.step(idle(client, played[-1])))
    return client, played


def idle(client: UnityClient, step: Mapping[str, BehaviorStep]) -> dict[str, Actions]:
    actions = {}
    for name, batches in step.items():
        spec, count = client.specs[name].actions, len(batches.decisions)
        actions[name] = Actions(
            np.zeros((count, spec.continuous_size), np.float32),
            np.zeros((count, len(spec.discrete_branches)), np.int32),
        )
    return actions


def deciding(step: BehaviorStep) -> list[tuple[list[float], float]]:
    """What each agent that decides observes of itself, and its reward."""
    return list(zip(step.decisions.observations[0].tolist(), step.decisions.rewards.tolist(), strict=True))


def ended(step: BehaviorStep) -> list[tuple[list[float], float]]:
    return list(zip(step.terminals.observations[0].tolist(), step.terminals.rewards.tolist(), strict=True))


@pytest.mark.parametrize("by_parameter", [False, True])
def test_truncation_and_the_next_decision_in_one_message(faulty: Path, by_parameter: bool) -> None:
    _, played = play(faulty, "truncation", 2 * LENGTH, by_parameter=by_parameter)
    for number, step in enumerate(played):
        episode, age = divmod(number, LENGTH)
        assert deciding(step[ODD]) == [([agent, episode, age], 0.25 if age else 0.0) for agent in (0, 1)]
        ends = [([agent, episode - 1, LENGTH], 0.25) for agent in (0, 1)] if number and not age else []
        assert ended(step[ODD]) == ends
        assert step[ODD].terminals.truncated.all()
    first, last = played[LENGTH - 1][ODD].decisions.agent_ids, played[LENGTH][ODD].terminals.agent_ids
    assert first.tolist() == last.tolist()
    assert not set(first.tolist()) & set(played[LENGTH][ODD].decisions.agent_ids.tolist())


def test_messages_of_terminal_steps_only(faulty: Path) -> None:
    _, played = play(faulty, "terminal-only", 2 * (LENGTH + 1))
    for number, step in enumerate(played):
        episode, age = divmod(number, LENGTH + 1)
        if age == LENGTH:
            assert deciding(step[ODD]) == []
            assert ended(step[ODD]) == [([agent, episode, LENGTH], 0.25) for agent in (0, 1)]
            assert not step[ODD].terminals.truncated.any()
        else:
            assert deciding(step[ODD]) == [([agent, episode, age], 0.25 if age else 0.0) for agent in (0, 1)]
            assert ended(step[ODD]) == []


def test_agents_that_do_not_decide_every_step(faulty: Path) -> None:
    _, played = play(faulty, "skipping", 2 * LENGTH, "--agents", "3")
    for number, step in enumerate(played):
        episode, age = divmod(number, LENGTH)
        expected = {
            0: [([agent, episode, 0], 0.0) for agent in (0, 1, 2)],
            1: [([0, episode, 1], 0.25)],
            2: [([0, episode, 2], 0.25), ([1, episode, 2], 0.5)],
            3: [([0, episode, 3], 0.25), ([2, episode, 3], 0.75)],
        }
        ends = [([0, episode - 1, 4], 0.25), ([1, episode - 1, 4], 0.5), ([2, episode - 1, 4], 0.25)]
        assert deciding(step[ODD]) == expected[age]
        assert ended(step[ODD]) == (ends if number and not age else [])


def test_group_rewards(faulty: Path) -> None:
    _, played = play(faulty, "group-rewards", LENGTH, "--agents", "3")
    for batch in [*(step[ODD].decisions for step in played), played[-1][ODD].terminals]:
        assert batch.group_ids.tolist() == [1, 2, 1]
        assert batch.group_rewards.tolist() == [0.5, 1.0, 0.5]


def test_a_behavior_that_appears_late(faulty: Path) -> None:
    with UnityClient(faulty, arguments=["--fault", "late-behavior", "--after", "2", "--agents", "1"]) as client:
        played = [client.reset()]
        played.append(client.step(idle(client, played[-1])))
        assert set(client.specs) == set(played[-1]) == {ODD}
        played.append(client.step(idle(client, played[-1])))
        assert set(client.specs) == set(played[-1]) == {ODD, LATE}
        assert client.specs[LATE].actions == ActionSpec(2, ())
        assert [sensor.name for sensor in client.specs[LATE].observations] == ["Self", "Lateness"]
        assert deciding(played[2][LATE]) == [([1, 0, 0], 0.0)]
        assert played[2][LATE].decisions.observations[1].tolist() == [[2.0]]
        assert deciding(played[2][ODD]) == [([0, 0, 2], 0.25)]
        client.step(idle(client, played[-1]))
        again = client.reset()
        assert len(again[LATE].decisions) == len(again[LATE].terminals) == 0
        assert deciding(again[ODD]) == [([0, 0, 0], 0.0)]


def test_a_buffer_of_entities(faulty: Path) -> None:
    client, played = play(faulty, "variable-length", LENGTH)
    sensor = client.specs[ODD].observations[1]
    assert sensor == ObservationSpec("Buffer", (5, 3), (DimensionProperty.VARIABLE_SIZE, DimensionProperty.NONE))
    assert sensor.is_variable_length
    for age, step in enumerate(played[:-1]):
        buffers = step[ODD].decisions.observations[1]
        assert buffers.tolist() == [
            [[agent, row, age] if row <= age else [0, 0, 0] for row in range(5)] for agent in (0, 1)
        ]


def test_several_cameras(faulty: Path) -> None:
    client, played = play(faulty, "cameras", LENGTH)
    shapes = {"Colour": (3, 6, 4), "Gray": (1, 5, 3), "Stacked": (2, 4, 4)}
    assert {sensor.name: sensor.shape for sensor in client.specs[ODD].observations[1:]} == shapes
    assert all(sensor.is_image for sensor in client.specs[ODD].observations[1:])
    for age, step in enumerate(played):
        batch = step[ODD].terminals if age == LENGTH else step[ODD].decisions
        assert len(batch) == 2
        for shape, pictures in zip(shapes.values(), batch.observations[1:], strict=True):
            agent, channel, row, column = np.indices((2, *shape))
            expected = (agent * 50 + age * 20 + channel * 100 + row * 7 + column) % 256 / 255
            np.testing.assert_allclose(pictures, expected, rtol=0, atol=1e-6)
