"""Builds side by side, as real processes: at their own pace, and restarted one by one."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import psutil
import pytest

from rl_src.envs.batches import Actions
from rl_src.envs.client import UnityClient
from rl_src.envs.errors import BuildCrashedError, BuildHungError, NonFiniteRewardError
from rl_src.envs.group import Answer, BuildGroup, RestartPolicy

NAME = "Basic?team=0"
STAY, RIGHT = 0, 2
START = 10
AT_ONCE = RestartPolicy(first_pause_seconds=0.0)
DEADLINE_SECONDS = 120


@pytest.fixture(autouse=True)
def _nothing_stays() -> Iterator[None]:
    before = set(psutil.Process().children(recursive=True))
    yield
    assert set(psutil.Process().children(recursive=True)) <= before


def one(move: int) -> dict[str, Actions]:
    return {NAME: Actions(np.zeros((1, 0), np.float32), np.array([[move]], np.int32))}


def position(answer: Answer) -> int:
    return int(answer.steps[NAME].decisions.observations[0][0].argmax())


def faulty_in(
    program: Path, faulty_index: int, *arguments: str, **settings: object
) -> Callable[[int, int], UnityClient]:
    """Clients of the build Faulty, of which only one has the fault."""

    def make(index: int, generation: int) -> UnityClient:
        own = arguments if index == faulty_index else ()
        return UnityClient(program, arguments=own, seed=index + 10 * generation, **settings)  # type: ignore[arg-type]

    return make


@pytest.mark.parametrize("may_look", [True, False])
def test_one_quick_build_is_played_alike_whether_its_answers_are_looked_for_or_slept_for(
    basic: Path, may_look: bool
) -> None:
    with BuildGroup(lambda *_: UnityClient(basic), 1) as group:
        group.may_look = lambda: may_look
        (answer,) = group.reset()
        places = [position(answer)]
        for _ in range(5):
            (answer,) = group.step([one(RIGHT)])
            places.append(position(answer))
        assert group.receive() == [], "nothing was sent"
    assert places == [START + step for step in range(6)]


def test_ten_builds_in_lockstep_play_as_each_would_alone(chaos: Path) -> None:
    def make(index: int, _generation: int) -> UnityClient:
        return UnityClient(chaos, seed=index)

    def actions_for(answer: Mapping[str, object], client_specs: Mapping[str, object], turn: int) -> dict[str, Actions]:
        actions = {}
        for name, step in answer.items():
            spec, agents = client_specs[name].actions, len(step.decisions)  # type: ignore[attr-defined]
            discrete = [[(turn + row) % size for size in spec.discrete_branches] for row in range(agents)]
            actions[name] = Actions(
                np.full((agents, spec.continuous_size), turn / 50, np.float32),
                np.array(discrete, np.int32).reshape(agents, len(spec.discrete_branches)),
            )
        return actions

    steps = 30
    with BuildGroup(make, 10) as group:
        answers = group.reset()
        together = [[answer.steps] for answer in answers]
        for turn in range(steps):
            answers = group.step([actions_for(answer.steps, group.specs, turn) for answer in answers])
            for story, answer in zip(together, answers, strict=True):
                story.append(answer.steps)
    for seed in (0, 9):
        with UnityClient(chaos, seed=seed) as client:
            step = client.reset()
            for turn in range(steps + 1):
                theirs = together[seed][turn]
                assert set(step) == set(theirs)
                for name, mine in step.items():
                    assert mine.decisions.agent_ids.tolist() == theirs[name].decisions.agent_ids.tolist()
                    assert mine.decisions.rewards.tolist() == theirs[name].decisions.rewards.tolist()
                    assert mine.terminals.agent_ids.tolist() == theirs[name].terminals.agent_ids.tolist()
                if turn < steps:
                    step = client.step(actions_for(step, client.specs, turn))


def test_a_slow_build_holds_up_nobody(faulty: Path) -> None:
    make = faulty_in(faulty, 0, "--fault", "slow-step", "--after", "0", "--delay", "3")
    with BuildGroup(make, 3) as group:
        group.reset()
        for index in range(3):
            group.send_step(index, one(STAY))
        counts = {0: 0, 1: 0, 2: 0}
        while not counts[0]:
            for index, _ in group.receive():
                counts[index] += 1
                group.send_step(index, one(STAY))
        assert counts[0] == 1
        assert min(counts[1], counts[2]) > 20


def test_receive_comes_back_when_its_time_is_up(faulty: Path) -> None:
    make = faulty_in(faulty, 0, "--fault", "slow-step", "--after", "0", "--delay", "30")
    with BuildGroup(make, 1) as group:
        group.reset()
        assert group.receive(timeout_seconds=0.1) == []
        group.send_step(0, one(STAY))
        assert group.receive(timeout_seconds=0.1) == []
        with pytest.raises(RuntimeError, match="has not answered yet"):
            group.send_step(0, one(STAY))


@pytest.mark.parametrize("fault", ["crash", "segfault", "exit", "quit", "hang"])
def test_one_build_breaks_and_the_others_play_on(faulty: Path, tmp_path: Path, fault: str) -> None:
    arguments = ["--fault", fault, "--after", "3", "--once", str(tmp_path / "once")]
    make = faulty_in(faulty, 1, *arguments, step_timeout_seconds=3.0 if fault == "hang" else 60.0)
    with BuildGroup(make, 3, AT_ONCE) as group:
        group.reset()
        for step in range(1, 4):
            answers = group.step([one(RIGHT)] * 3)
            assert [position(answer) for answer in answers] == [START + step] * 3
        answers = group.step([one(RIGHT)] * 3)
        assert [answer.restarted for answer in answers] == [False, True, False]
        assert [answer.generation for answer in answers] == [0, 1, 0]
        assert [position(answer) for answer in answers] == [START + 4, START, START + 4]
        ids = [int(answer.steps[NAME].decisions.agent_ids[0]) for answer in answers]
        assert ids == [0, 0, 0]  # the others' episodes go on; the ids of the new start begin again
        answers = group.step([one(RIGHT)] * 3)
        assert [position(answer) for answer in answers] == [START + 5, START + 1, START + 5]
        assert not any(answer.restarted for answer in answers)
        assert group.restarts == 1


def test_a_build_killed_from_outside_is_restarted(faulty: Path) -> None:
    with BuildGroup(faulty_in(faulty, 0), 1, AT_ONCE) as group:
        group.reset()
        player = next(
            process
            for process in psutil.Process().children(recursive=True)
            if any("Faulty.x86_64" in part for part in process.cmdline()) and "supervisor" not in str(process.cmdline())
        )
        os.kill(player.pid, signal.SIGKILL)
        answer = group.step([one(RIGHT)])[0]
        assert (answer.restarted, position(answer)) == (True, START)


def step_for_long(group: BuildGroup) -> None:
    for _ in range(20):
        group.step([one(RIGHT)] * 2)


def test_a_build_that_always_breaks_is_given_up_after_some_restarts(faulty: Path) -> None:
    starts: list[tuple[int, int]] = []
    make = faulty_in(faulty, 0, "--fault", "crash", "--after", "2")

    def counted(index: int, generation: int) -> UnityClient:
        starts.append((index, generation))
        return make(index, generation)

    with BuildGroup(counted, 2, RestartPolicy(in_a_row=2, first_pause_seconds=0.0)) as group:
        group.reset()
        with pytest.raises(BuildCrashedError, match=r"restarted 2 times before") as caught:
            step_for_long(group)
        assert "NullReferenceException" in caught.value.cause
    assert [generation for index, generation in starts if index == 0] == [0, 1, 2]
    assert [generation for index, generation in starts if index == 1] == [0]


def test_what_a_restart_would_not_mend_is_an_error_at_once(faulty: Path) -> None:
    with BuildGroup(faulty_in(faulty, 1, "--fault", "nan-reward", "--after", "0"), 2, AT_ONCE) as group:
        group.reset()
        with pytest.raises(NonFiniteRewardError):
            group.step([one(RIGHT)] * 2)
        assert group.restarts == 0


def test_a_build_that_does_not_start_ends_the_others(faulty: Path) -> None:
    make = faulty_in(faulty, 2, "--fault", "crash-at-start")
    with pytest.raises(BuildCrashedError, match="at its start"):
        BuildGroup(make, 3)


def test_environment_parameters_outlive_a_restart(faulty: Path, tmp_path: Path) -> None:
    # `agents` is Basic's parameter: how many lines are played side by side.
    make = faulty_in(faulty, 0, "--fault", "crash", "--after", "1", "--once", str(tmp_path / "once"))
    with BuildGroup(make, 1, AT_ONCE) as group:
        answer = group.reset({"agents": 4.0})[0]
        while not answer.restarted:
            agents = len(answer.steps[NAME].decisions)
            assert agents == 4
            answer = group.step([{NAME: Actions(np.zeros((4, 0), np.float32), np.zeros((4, 1), np.int32))}])[0]
        assert len(answer.steps[NAME].decisions) == 4


def test_a_group_closed_during_a_restart_leaves_nothing(faulty: Path) -> None:
    make = faulty_in(faulty, 0, "--fault", "crash", "--after", "0")
    group = BuildGroup(make, 2, RestartPolicy(first_pause_seconds=3600.0, longest_pause_seconds=3600.0))
    group.reset()
    for index in range(2):
        group.send_step(index, one(RIGHT))
    began = time.monotonic()
    while group.restarts == 0 and time.monotonic() - began < DEADLINE_SECONDS:
        group.receive(timeout_seconds=0.1)
    assert group.restarts == 1
    group.close()
    group.close()


def test_a_hung_build_says_so_when_it_is_given_up(faulty: Path) -> None:
    make = faulty_in(faulty, 0, "--fault", "hang", "--after", "0", step_timeout_seconds=2.0)
    with BuildGroup(make, 1, RestartPolicy(in_a_row=0)) as group:
        group.reset()
        with pytest.raises(BuildHungError, match="not answered for 2 s"):
            group.step([one(RIGHT)])
