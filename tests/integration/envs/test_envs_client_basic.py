"""The client plays the sample build Basic, a real process over a real socket."""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest

from rl_src.envs.client import Actions, BehaviorStep, UnityClient
from rl_src.envs.errors import ProtocolError
from rl_src.envs.specs import ActionSpec, BehaviorSpec, DimensionProperty, ObservationSpec

NAME = "Basic?team=0"
STAY, LEFT, RIGHT = 0, 1, 2


def moves(*choices: int) -> dict[str, Actions]:
    return {NAME: Actions(np.zeros((len(choices), 0), np.float32), np.array(choices, np.int32).reshape(-1, 1))}


def position(step: Mapping[str, BehaviorStep], agent: int = 0) -> int:
    return int(step[NAME].decisions.observations[0][agent].argmax())


def children() -> set[int]:
    return {process.pid for process in psutil.Process().children(recursive=True)}


def test_the_spec_comes_from_the_handshake(basic: Path) -> None:
    with UnityClient(basic) as client:
        assert client.specs == {}
        client.reset()
        sensor = ObservationSpec("BasicSensor", (20,), (DimensionProperty.NONE,))
        assert client.specs == {NAME: BehaviorSpec(NAME, (sensor,), ActionSpec(0, (3,)))}


@pytest.mark.parametrize(("move", "steps", "expected"), [(RIGHT, 7, 0.93), (LEFT, 3, 0.07)])
def test_the_way_to_each_goal_pays_what_is_documented(basic: Path, move: int, steps: int, expected: float) -> None:
    with UnityClient(basic) as client:
        assert position(client.reset()) == 10
        total = 0.0
        for number in range(1, steps + 1):
            step = client.step(moves(move))[NAME]
            ended = number == steps
            assert len(step.terminals) == ended
            assert len(step.decisions) == 1
            total += float(step.terminals.rewards[0] if ended else step.decisions.rewards[0])
        assert total == pytest.approx(expected)
        assert not step.terminals.truncated[0]


def test_the_end_of_an_episode_and_the_next_decision_come_together(basic: Path) -> None:
    with UnityClient(basic) as client:
        first = client.reset()[NAME].decisions.agent_ids[0]
        for _ in range(7):
            step = client.step(moves(RIGHT))[NAME]
        assert step.terminals.agent_ids[0] == first
        assert step.terminals.observations[0].argmax() == 17
        assert step.decisions.agent_ids[0] != first
        assert step.decisions.observations[0].argmax() == 10
        assert step.decisions.rewards[0] == 0.0


def test_staying_costs_and_moves_nothing(basic: Path) -> None:
    with UnityClient(basic) as client:
        client.reset()
        step = client.step(moves(STAY))
        assert position(step) == 10
        assert step[NAME].decisions.rewards[0] == pytest.approx(-0.01)


def test_agents_of_a_scene_act_independently(basic: Path) -> None:
    with UnityClient(basic, arguments=["--agents", "3"]) as client:
        client.reset()
        step = client.step(moves(STAY, LEFT, RIGHT))
        assert [position(step, agent) for agent in range(3)] == [10, 9, 11]


def test_environment_parameters_reach_the_scene_before_the_reset(basic: Path) -> None:
    with UnityClient(basic, parameters={"agents": 2}) as client:
        assert len(client.reset()[NAME].decisions) == 2
        assert len(client.reset(parameters={"agents": 5})[NAME].decisions) == 5
        assert len(client.reset()[NAME].decisions) == 5


def test_a_reset_begins_new_episodes(basic: Path) -> None:
    with UnityClient(basic) as client:
        before = client.reset()[NAME].decisions.agent_ids[0]
        client.step(moves(RIGHT))
        again = client.reset()
        assert position(again) == 10
        assert again[NAME].decisions.agent_ids[0] != before


@pytest.mark.parametrize(("arguments", "expected"), [({}, 20), ({"time_scale": 3.0}, 3)])
def test_the_engine_runs_at_the_time_scale_asked_for(
    basic: Path, tmp_path: Path, arguments: dict[str, float], expected: int
) -> None:
    with UnityClient(basic, log_file=tmp_path / "player.log", **arguments) as client:
        client.reset()
    assert f"time_scale {expected}\n" in (tmp_path / "player.log").read_text()


def test_closing_ends_the_build_and_may_be_repeated(basic: Path) -> None:
    before = children()
    client = UnityClient(basic)
    client.reset()
    assert children() - before
    client.close()
    client.close()
    assert children() <= before
    with pytest.raises(ProtocolError, match="closed"):
        client.reset()


def test_the_build_is_told_to_quit_and_its_log_is_kept(basic: Path, tmp_path: Path) -> None:
    with UnityClient(basic, log_file=tmp_path / "player.log") as client:
        client.reset()
    assert "Quitting: the trainer said goodbye" in (tmp_path / "player.log").read_text()


def test_a_client_that_is_forgotten_leaves_no_build(basic: Path) -> None:
    before = children()
    client = UnityClient(basic)
    client.reset()
    del client
    assert children() <= before


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ({}, "1 agents wait"),
        (moves(RIGHT, RIGHT), r"shape \(2, 1\)"),
        (moves(3), "outside its branch"),
        (moves(-1), "outside its branch"),
        ({**moves(RIGHT), "Nobody": moves(RIGHT)[NAME]}, "Nobody"),
    ],
)
def test_wrong_actions_are_refused_and_nothing_is_lost(basic: Path, actions: dict[str, Actions], message: str) -> None:
    with UnityClient(basic) as client:
        client.reset()
        with pytest.raises(ValueError, match=message):
            client.step(actions)
        assert position(client.step(moves(RIGHT))) == 11


def test_ten_builds_play_side_by_side(basic: Path) -> None:
    with ThreadPoolExecutor(10) as threads:
        clients = list(threads.map(lambda _: UnityClient(basic), range(10)))
        try:
            list(threads.map(lambda client: client.reset(), clients))
            # Each walks another way, so that mixed-up connections would show.
            for number in range(6):
                steps = list(
                    threads.map(
                        lambda pair, number=number: pair[1].step(moves(RIGHT if number < pair[0] % 7 else STAY)),
                        enumerate(clients),
                    )
                )
            assert [position(step) for step in steps] == [10 + min(index % 7, 6) for index in range(10)]
        finally:
            list(threads.map(lambda client: client.close(), clients))


def test_a_closed_client_interrupts_a_thread_that_waits(faulty: Path) -> None:
    client = UnityClient(faulty, arguments=["--fault", "hang", "--after", "0"])
    client.reset()
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(client.step, moves(RIGHT))
        while not client._server._lock.locked():
            os.sched_yield()
        client.close()
        with pytest.raises(Exception, match="closed while it waited"):
            waiting.result()


def test_a_log_that_the_player_may_not_open_does_not_stop_it(basic: Path, tmp_path: Path) -> None:
    log_file = tmp_path / "player.log"
    with UnityClient(basic, arguments=["-logFile", str(tmp_path / "no" / "folder")], log_file=log_file) as client:
        client.reset()
    assert "Connected" in log_file.with_name("player.log.out").read_text()
