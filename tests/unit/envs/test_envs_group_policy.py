"""When a group gives up: counted with clients in memory."""

from collections.abc import Mapping

import pytest

from rl_src.envs.errors import BuildCrashedError, BuildNeverConnectedError
from rl_src.envs.group import BuildGroup, RestartPolicy


class Client:
    """Crashes at the step of its generation's number in the plan; None never does."""

    specs: Mapping[str, object] = {}

    def __init__(self, crash_at: int | None) -> None:
        self._crash_at, self._steps, self.closed = crash_at, -1, False

    def send_reset(self, parameters: object = None) -> None:
        pass

    def send_step(self, actions: object) -> None:
        pass

    def has_answer(self) -> bool:
        return True

    def receive(self) -> Mapping[str, object]:
        self._steps += 1
        if self._steps == self._crash_at:
            raise BuildCrashedError("It crashed.", "Mend it.")
        return {}

    def descriptors(self) -> list[int]:
        return []

    def close(self) -> None:
        self.closed = True


def play(plan: list[int | None], policy: RestartPolicy, steps: int) -> tuple[BuildGroup, list[Client]]:
    made: list[Client] = []

    def make(_index: int, generation: int) -> Client:
        made.append(Client(plan[generation]))
        return made[-1]

    group = BuildGroup(make, 1, policy)  # type: ignore[arg-type]
    group.reset()
    for _ in range(steps):
        group.step([{}])
    return group, made


def test_the_pauses_double_up_to_a_limit() -> None:
    policy = RestartPolicy(first_pause_seconds=1.0, longest_pause_seconds=30.0)
    assert [policy.pause_seconds(attempt) for attempt in range(1, 8)] == [1, 2, 4, 8, 16, 30, 30]


def test_a_build_that_recovered_begins_a_new_row() -> None:
    policy = RestartPolicy(lifetime=10, in_a_row=1, recovered_after_answers=5, first_pause_seconds=0)
    group, made = play([6, 6, 6, None], policy, 40)
    assert group.restarts == 3
    assert [client.closed for client in made] == [True, True, True, False]
    group.close()
    assert made[-1].closed


def test_one_that_did_not_recover_is_given_up() -> None:
    policy = RestartPolicy(lifetime=10, in_a_row=1, recovered_after_answers=5, first_pause_seconds=0)
    with pytest.raises(BuildCrashedError, match="restarted once before"):
        play([6, 3, None], policy, 40)


def test_a_lifetime_has_a_limit_however_well_it_recovers() -> None:
    policy = RestartPolicy(lifetime=2, in_a_row=9, recovered_after_answers=1, first_pause_seconds=0)
    with pytest.raises(BuildCrashedError, match="restarted 2 times before"):
        play([6, 6, 6, None], policy, 40)


def test_a_restart_that_fails_counts_too() -> None:
    generations: list[int] = []

    def make(_index: int, generation: int) -> Client:
        generations.append(generation)
        if generation:
            raise BuildNeverConnectedError("It did not come up.")
        return Client(1)

    policy = RestartPolicy(in_a_row=3, first_pause_seconds=0)
    with BuildGroup(make, 1, policy) as group:  # type: ignore[arg-type]
        group.reset()
        with pytest.raises(BuildNeverConnectedError, match="restarted 3 times"):
            group.step([{}])
    assert generations == [0, 1, 2, 3]
