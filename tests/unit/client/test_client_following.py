from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from gamedojo.errors import ApiError, GamedojoError, UnreachableError, WaitTimeoutError
from gamedojo.following import OpenRuns, Patience, follow_log, follow_run, follow_runs
from gamedojo.models import LogLine, LogPage, Run
from gamedojo.reading import read
from tests.fakes.run_documents import run_document, succeeded

UNKNOWN = ApiError(404, "RunNotFound", "no such run")
DOWN = UnreachableError("refused")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def __call__(self) -> float:
        return self.now


def scripted(*answers: dict | GamedojoError) -> Callable[[str], Run]:
    left = list(answers)

    def fetch(run_id: str) -> Run:
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, GamedojoError):
            raise answer
        return read(Run, answer)

    return fetch


def follow(fetch: Callable[[str], Run], patience: Patience, troubles: list | None = None) -> list[str]:
    clock = Clock()
    on_trouble = (troubles if troubles is not None else []).append
    return [
        run.status for run in follow_run(fetch, "r", patience, on_trouble=on_trouble, sleep=clock.sleep, clock=clock)
    ]


def test_it_ends_with_the_final_record() -> None:
    assert follow(scripted(run_document(), run_document(), succeeded()), Patience()) == [
        "RUNNING",
        "RUNNING",
        "SUCCEEDED",
    ]


def test_a_run_may_be_unknown_for_a_while_if_it_was_just_made() -> None:
    assert follow(scripted(UNKNOWN, UNKNOWN, succeeded()), Patience(appear_seconds=10)) == ["SUCCEEDED"]


def test_an_unknown_run_is_an_error_at_once_otherwise() -> None:
    with pytest.raises(ApiError):
        follow(scripted(UNKNOWN, succeeded()), Patience())


def test_a_run_that_never_appears_ends_the_wait() -> None:
    with pytest.raises(WaitTimeoutError, match="no record of it appeared in 10 s"):
        follow(scripted(UNKNOWN), Patience(poll_seconds=3, appear_seconds=10))


def test_a_known_run_that_vanishes_is_an_error() -> None:
    with pytest.raises(ApiError):
        follow(scripted(run_document(), UNKNOWN), Patience(appear_seconds=100))


def test_an_outage_is_waited_out_and_told() -> None:
    troubles: list = []
    fetch = scripted(run_document(), DOWN, ApiError(503, "x", "y"), run_document(), DOWN, succeeded())
    patience = Patience(poll_seconds=4, outage_seconds=9)
    assert follow(fetch, patience, troubles) == ["RUNNING", "RUNNING", "SUCCEEDED"]
    assert [bool(trouble) for trouble in troubles] == [True, True, False, True, False]


def test_an_outage_that_does_not_end_is_an_error() -> None:
    with pytest.raises(UnreachableError):
        follow(scripted(run_document(), DOWN), Patience(poll_seconds=4, outage_seconds=9))


def test_a_refused_key_is_an_error_at_once() -> None:
    with pytest.raises(ApiError):
        follow(scripted(ApiError(403, "Http403", "Forbidden")), Patience(appear_seconds=60))


class Stack:
    """Runs by id: the records of their next looks. `running` lists those whose next record is RUNNING, newest first."""

    def __init__(self, **records: list[dict | GamedojoError]) -> None:
        self._records = records
        self.fetched: list[str] = []

    def fetch(self, run_id: str) -> Run:
        self.fetched.append(run_id)
        left = self._records[run_id]
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, GamedojoError):
            raise answer
        return read(Run, {**answer, "run_id": run_id})

    def running(self) -> list[Run]:
        listed = [run_id for run_id, left in self._records.items() if left[0]["status"] == "RUNNING"]
        found = [self.fetch(run_id) for run_id in reversed(listed)]
        self.fetched.clear()
        return found


def follow_all(runs: OpenRuns) -> list[tuple[str, str]]:
    clock = Clock()
    return [(run.run_id, run.status) for run in follow_runs(runs, sleep=clock.sleep, clock=clock)]


def test_named_runs_are_followed_each_to_its_end() -> None:
    stack = Stack(a=[run_document(), succeeded()], b=[run_document(), run_document(), succeeded()])
    assert follow_all(OpenRuns(stack.fetch, ["a", "b", "a"])) == [
        ("a", "RUNNING"),
        ("b", "RUNNING"),
        ("a", "SUCCEEDED"),
        ("b", "RUNNING"),
        ("b", "SUCCEEDED"),
    ]


def test_what_is_running_is_listed_at_once_and_only_what_has_left_the_list_is_asked_for() -> None:
    stack = Stack(a=[run_document(), run_document(), succeeded()], b=[run_document(), succeeded()])
    runs = OpenRuns(stack.fetch, running=stack.running)
    assert [run.run_id for run in runs.look()] == ["a", "b"], "oldest first"
    assert stack.fetched == []
    assert [(run.run_id, run.status) for run in runs.look()] == [("a", "RUNNING"), ("b", "SUCCEEDED")]
    assert stack.fetched == ["b"]
    assert follow_all(runs) == [("a", "SUCCEEDED")]


def test_a_run_that_begins_meanwhile_is_followed_as_well() -> None:
    stack = Stack(a=[run_document(), succeeded()])
    runs = OpenRuns(stack.fetch, running=stack.running)
    runs.look()
    stack._records["b"] = [run_document(), succeeded()]
    assert [(run.run_id, run.status) for run in runs.look()] == [("a", "SUCCEEDED"), ("b", "RUNNING")]
    assert not runs.are_over


def test_nothing_that_runs_is_the_end_at_once() -> None:
    assert follow_all(OpenRuns(Stack().fetch, running=Stack().running)) == []


def test_an_outage_in_the_middle_of_a_look_loses_no_run() -> None:
    stack = Stack(a=[run_document(), succeeded()], b=[run_document(), DOWN, succeeded()])
    assert follow_all(OpenRuns(stack.fetch, ["a", "b"]))[-2:] == [("a", "SUCCEEDED"), ("b", "SUCCEEDED")]


def test_a_run_that_nobody_knows_is_an_error_at_once() -> None:
    with pytest.raises(ApiError):
        follow_all(OpenRuns(Stack(a=[run_document()], b=[UNKNOWN]).fetch, ["a", "b"]))


def page(number: int, *texts: str, status: str = "RUNNING") -> LogPage:
    lines = tuple(LogLine(datetime(2026, 1, 2, tzinfo=UTC), "training", text) for text in texts)
    return LogPage("r", status, lines, f"t{number}")


def test_a_log_is_read_until_the_run_has_ended_and_all_has_come() -> None:
    clock = Clock()
    slept_before: list[tuple[str, float]] = []
    pages = {
        "": page(1, "a", "b"),
        "t1": page(2, "c"),
        "t2": page(3),
        "t3": page(4, "d", status="FAILED"),
        "t4": page(5, status="FAILED"),
    }

    def fetch(token: str) -> LogPage:
        slept_before.append((token, clock.now))
        return pages[token]

    found = follow_log(fetch, "r", 2, Patience(poll_seconds=1), sleep=clock.sleep, clock=clock)
    assert [line.text for one in found for line in one.lines] == ["a", "b", "c", "d"]
    assert slept_before == [("", 0), ("t1", 0), ("t2", 1), ("t3", 2), ("t4", 2)]


def test_a_log_goes_on_where_it_was_after_an_outage() -> None:
    clock = Clock()
    asked: list[str] = []
    troubles: list[GamedojoError | None] = []
    answers = iter([page(1, "a"), DOWN, DOWN, page(2, "b", status="SUCCEEDED"), page(3, status="SUCCEEDED")])

    def fetch(token: str) -> LogPage:
        asked.append(token)
        answer = next(answers)
        if isinstance(answer, GamedojoError):
            raise answer
        return answer

    found = follow_log(fetch, "r", 9, Patience(), on_trouble=troubles.append, sleep=clock.sleep, clock=clock)
    assert [line.text for one in found for line in one.lines] == ["a", "b"]
    assert asked == ["", "t1", "t1", "t1", "t2"]
    assert troubles == [DOWN, DOWN, None]


def test_a_log_of_an_unknown_run_is_an_error() -> None:
    def fetch(_: str) -> LogPage:
        raise UNKNOWN

    with pytest.raises(ApiError):
        next(follow_log(fetch, "r", 9))
