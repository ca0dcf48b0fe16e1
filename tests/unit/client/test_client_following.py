from collections.abc import Callable

import pytest

from gamedojo.errors import ApiError, GamedojoError, UnreachableError, WaitTimeoutError
from gamedojo.following import Patience, follow_run
from gamedojo.models import Run
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
