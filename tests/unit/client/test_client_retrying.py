"""What is sent again, and what is not."""

import httpx
import pytest

from gamedojo.errors import ApiError, InputError, UnreachableError
from gamedojo.retrying import Repeat, RetryPolicy

POLICY = RetryPolicy(attempts=3)
URL = "https://api.example/prod"


def again(error: Exception, repeat: Repeat, attempt: int = 1) -> bool:
    try:
        return POLICY.pause_seconds(error, attempt, URL, repeat) > 0
    except (ApiError, UnreachableError):
        return False


@pytest.mark.parametrize("status", [400, 403, 404, 409, 413, 422, 429, 500, 502, 503, 504])
def test_by_status(status: int) -> None:
    error = ApiError(status, "code", "detail")
    assert again(error, Repeat.SAFE) is (status in {429, 502, 503, 504})
    assert again(error, Repeat.UNLESS_DONE) is (status in {429, 503})
    assert not again(error, Repeat.SAFE, attempt=3)


@pytest.mark.parametrize(
    ("error", "certainly_nothing_was_done"),
    [
        (httpx.ConnectError("refused"), True),
        (httpx.ConnectTimeout("slow"), True),
        (httpx.ReadTimeout("slow"), False),
        (httpx.WriteError("broken pipe"), False),
        (httpx.RemoteProtocolError("cut off"), False),
        (httpx.DecodingError("no gzip"), False),
    ],
)
def test_by_what_became_of_the_connection(error: Exception, certainly_nothing_was_done: bool) -> None:
    assert again(error, Repeat.SAFE)
    assert again(error, Repeat.UNLESS_DONE) is certainly_nothing_was_done
    assert not again(error, Repeat.SAFE, attempt=3)


def test_what_can_never_work_is_not_tried_again() -> None:
    assert not again(httpx.UnsupportedProtocol("ftp"), Repeat.SAFE)
    with pytest.raises(InputError, match="is no URL"):
        POLICY.pause_seconds(httpx.InvalidURL("bad"), 1, URL, Repeat.SAFE)


def test_a_retry_after_is_kept_to_up_to_a_limit() -> None:
    def pause_seconds(asked: float) -> float:
        error = ApiError(503, "code", "detail", retry_after_seconds=asked)
        return POLICY.pause_seconds(error, 1, URL, Repeat.UNLESS_DONE)

    assert pause_seconds(7) == 7
    assert pause_seconds(3600) == POLICY.longest_wait_seconds


def test_the_remedy_says_that_it_may_have_been_done() -> None:
    with pytest.raises(UnreachableError) as caught:
        POLICY.pause_seconds(httpx.ReadTimeout("slow"), 1, URL, Repeat.UNLESS_DONE)
    assert "may have been done" in caught.value.remedy
    with pytest.raises(UnreachableError) as caught:
        POLICY.pause_seconds(httpx.ConnectError("refused"), 3, URL, Repeat.UNLESS_DONE)
    assert "may have been done" not in caught.value.remedy
