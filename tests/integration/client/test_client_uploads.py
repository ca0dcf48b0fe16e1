"""Builds in parts, by both clients: side by side, again where one failed, going on after an interruption."""

import asyncio
import os
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from gamedojo import (
    ApiError,
    AsyncGamedojoClient,
    GamedojoClient,
    InputError,
    PartialUpload,
    RetryPolicy,
    UploadInterruptedError,
)
from gamedojo.cli.app import app
from tests.fakes.api_server import Answer, FakeApi, problem

QUICK = RetryPolicy(attempts=2, first_delay_seconds=0.001, longest_delay_seconds=0.002)
PART, SIZE = 100_000, 950_000
COUNT = 10
KEY = "uploads/b1/MyGame.zip"
BEGUN = PartialUpload("b1", KEY, SIZE, PART)

Upload = Callable[..., str]


def blocking(api: FakeApi, build: Path, **options: Any) -> str:
    with GamedojoClient(api.connection(), retry=QUICK) as client:
        return client.upload_build(build, **options)


def asynchronous(api: FakeApi, build: Path, **options: Any) -> str:
    async def upload() -> str:
        async with AsyncGamedojoClient(api.connection(), retry=QUICK) as client:
            return await client.upload_build(build, **options)

    return asyncio.run(upload())


@pytest.fixture(params=[blocking, asynchronous])
def upload(request: pytest.FixtureRequest) -> Upload:
    return request.param


@pytest.fixture
def build(tmp_path: Path) -> Path:
    path = tmp_path / "MyGame.zip"
    path.write_bytes(np.random.default_rng(1).bytes(SIZE))
    return path


@pytest.fixture
def bucket(api: FakeApi) -> FakeApi:
    """An API and a bucket where everything goes well; tests script what does not, before."""
    ticket = {"build_id": "b1", "key": KEY, "method": "MULTIPART", "part_size_bytes": PART, "part_count": COUNT}
    api.script("POST", "/builds", Answer(201, {**ticket, "parts": urls(api, 1, 4), "expires_in_seconds": 9}))
    api.script_by_body(
        "POST", "/builds/b1/parts", lambda body: Answer(document={"parts": urls(api, body["first"], body["count"])})
    )
    ready = {"build_id": "b1", "key": KEY, "size_bytes": SIZE, "status": "READY"}
    api.script("POST", "/builds/b1/complete", Answer(document=ready))
    return api


def urls(api: FakeApi, first: int, count: int) -> list[dict[str, Any]]:
    return [{"number": n, "upload_url": f"{api.origin}/bucket/{n}"} for n in range(first, first + count)]


def accept(api: FakeApi, *, but: dict[int, tuple[Answer, ...]] | None = None) -> None:
    for number in range(1, COUNT + 1):
        api.script("PUT", f"/bucket/{number}", *(but or {}).get(number, ()), Answer(body=b""))


def came(api: FakeApi) -> bytes:
    """The zip that the bucket has in the end: of every part what came last."""
    return b"".join(api.calls("PUT", f"/bucket/{number}")[-1].body for number in range(1, COUNT + 1))


def test_every_part_is_sent_once_side_by_side_and_they_make_the_build(
    bucket: FakeApi, build: Path, upload: Upload
) -> None:
    accept(bucket, but={n: (Answer(body=b"", delay_seconds=0.2),) for n in range(1, 5)})
    progress: list[tuple[int, int]] = []
    begun: list[PartialUpload] = []
    key = upload(
        bucket,
        build,
        in_parts=True,
        on_progress=lambda *seen: progress.append(seen),
        on_begun=begun.append,
    )
    assert key == KEY
    assert begun == [BEGUN]
    assert came(bucket) == build.read_bytes()
    puts = [one for one in bucket.received if one.method == "PUT"]
    assert len(puts) == COUNT
    assert all("x-api-key" not in one.headers and "transfer-encoding" not in one.headers for one in puts)
    assert 2 <= bucket.most_at_once <= 4
    assert bucket.calls("POST", "/builds/b1/complete")[0].json() == {"size_bytes": SIZE}
    assert progress[0] == (0, SIZE)
    assert progress[-1] == (SIZE, SIZE)
    assert [sent for sent, _ in progress] == sorted(sent for sent, _ in progress)


def test_a_part_that_fails_is_sent_again_and_the_others_are_not(bucket: FakeApi, build: Path, upload: Upload) -> None:
    accept(bucket, but={3: (Answer(500, body=b"<Error/>"),), 7: (Answer(drop=True),)})
    assert upload(bucket, build, in_parts=True) == KEY
    sent = {n: len(bucket.calls("PUT", f"/bucket/{n}")) for n in range(1, COUNT + 1)}
    assert sent == {n: 2 if n in (3, 7) else 1 for n in range(1, COUNT + 1)}
    assert came(bucket) == build.read_bytes()


def test_a_url_that_has_expired_is_asked_for_anew(bucket: FakeApi, build: Path, upload: Upload) -> None:
    expired = Answer(403, body=b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>")
    accept(bucket, but={5: (expired,)})
    assert upload(bucket, build, in_parts=True) == KEY
    assert bucket.calls("POST", "/builds/b1/parts")[-1].json() == {"first": 5, "count": 1}
    assert came(bucket) == build.read_bytes()


def test_parts_that_cannot_be_sent_leave_something_to_go_on_with(bucket: FakeApi, build: Path, upload: Upload) -> None:
    accept(bucket, but={5: (Answer(503, body=b""),) * 6})
    with pytest.raises(UploadInterruptedError, match="1 parts could not be sent; part 5") as caught:
        upload(bucket, build, in_parts=True)
    assert caught.value.upload == BEGUN
    assert not bucket.calls("POST", "/builds/b1/complete")
    there = [n for n in range(1, COUNT + 1) if n != 5]
    status = {"build_id": "b1", "key": KEY, "size_bytes": SIZE - PART, "status": "UPLOADING", "parts": there}
    bucket.script("GET", "/builds/b1", Answer(document=status))
    before = len(bucket.received)
    progress: list[tuple[int, int]] = []
    assert (
        upload(bucket, build, in_parts=True, resume=caught.value.upload, on_progress=lambda *p: progress.append(p))
        == KEY
    )
    assert [one.path for one in bucket.received[before:] if one.method == "PUT"] == ["/bucket/5"]
    assert progress[0] == (SIZE - PART, SIZE)
    assert came(bucket) == build.read_bytes()


def test_nobody_there_ends_it_soon(bucket: FakeApi, build: Path, upload: Upload) -> None:
    for number in range(1, COUNT + 1):
        bucket.script("PUT", f"/bucket/{number}", Answer(drop=True))
    with pytest.raises(UploadInterruptedError, match="broke"):
        upload(bucket, build, in_parts=True)
    assert len([one for one in bucket.received if one.method == "PUT"]) == COUNT * QUICK.attempts


@pytest.mark.parametrize(
    "found",
    [
        problem(404, "BuildNotFound", "There is no build b1."),
        Answer(document={"build_id": "b1", "key": KEY, "size_bytes": 5, "status": "READY"}),
    ],
)
def test_what_is_no_longer_there_is_begun_anew(bucket: FakeApi, build: Path, upload: Upload, found: Answer) -> None:
    accept(bucket)
    bucket.script("GET", "/builds/b1", found)
    assert upload(bucket, build, in_parts=True, resume=BEGUN) == KEY
    assert len(bucket.calls("POST", "/builds")) == 1
    assert came(bucket) == build.read_bytes()


def test_of_another_file_nothing_is_taken_over(bucket: FakeApi, build: Path, upload: Upload) -> None:
    accept(bucket)
    assert upload(bucket, build, in_parts=True, resume=replace(BEGUN, size_bytes=SIZE + 1)) == KEY
    assert not bucket.calls("GET", "/builds/b1")
    assert came(bucket) == build.read_bytes()


def test_a_build_that_was_whole_already_is_only_completed(bucket: FakeApi, build: Path, upload: Upload) -> None:
    ready = {"build_id": "b1", "key": KEY, "size_bytes": SIZE, "status": "READY"}
    bucket.script("GET", "/builds/b1", Answer(document=ready))
    assert upload(bucket, build, in_parts=True, resume=BEGUN) == KEY
    assert not [one for one in bucket.received if one.method == "PUT"]


def test_what_is_wrong_with_the_request_is_no_interruption(bucket: FakeApi, build: Path, upload: Upload) -> None:
    accept(bucket)
    bucket.script("GET", "/builds/b1", problem(403, "ApiKeyInvalid", "The API key is missing.", "Send a key."))
    with pytest.raises(ApiError, match="API key"):
        upload(bucket, build, in_parts=True, resume=BEGUN)


def test_an_api_that_knows_no_parts_gets_the_whole(api: FakeApi, build: Path, upload: Upload) -> None:
    api.script("POST", "/builds", Answer(201, {"key": KEY, "upload_url": f"{api.origin}/bucket/whole"}))
    api.script("PUT", "/bucket/whole", Answer(body=b""))
    assert upload(api, build, in_parts=True) == KEY
    assert api.calls("PUT", "/bucket/whole")[0].body == build.read_bytes()


def test_more_than_s3_takes_in_one_request_is_refused_before_anything_is_sent(
    api: FakeApi, tmp_path: Path, upload: Upload
) -> None:
    huge = tmp_path / "huge.zip"
    with huge.open("wb") as file:
        file.truncate(5 * 1024**3 + 1)
    with pytest.raises(InputError, match="5 GiB"):
        upload(api, huge, in_parts=False)
    assert not api.received


def command(api: FakeApi, cache: Path, *arguments: object) -> Result:
    variables = {name: None for name in os.environ if name.startswith("GAMEDOJO_")}
    environment = {**variables, **api.environment(), "XDG_CACHE_HOME": str(cache), "COLUMNS": "200"}
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env=environment)


@pytest.fixture
def game(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A zip of exactly SIZE bytes, which the command line sends in parts."""
    monkeypatch.setattr("gamedojo.uploading.IN_PARTS_FROM_BYTES", PART)
    monkeypatch.setattr(RetryPolicy, "delay_seconds", lambda *_, **__: 0.001)
    path = tmp_path / "MyGame.zip"
    around_bytes = 0
    for _ in range(2):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("MyGame.x86_64", bytes(SIZE - around_bytes))
        around_bytes = path.stat().st_size - SIZE
    assert path.stat().st_size == SIZE
    return path


def test_the_same_command_goes_on_where_it_was_interrupted(bucket: FakeApi, game: Path, tmp_path: Path) -> None:
    accept(bucket, but={9: (Answer(503, body=b""),) * 15})
    first = command(bucket, tmp_path / "cache", "builds", "upload", game)
    assert first.exit_code == 6
    assert "Upload the same file again" in first.stderr
    there = [n for n in range(1, COUNT + 1) if n != 9]
    status = {"build_id": "b1", "key": KEY, "size_bytes": SIZE - PART, "status": "UPLOADING", "parts": there}
    bucket.script("GET", "/builds/b1", Answer(document=status))
    before = len(bucket.received)
    second = command(bucket, tmp_path / "cache", "builds", "upload", game)
    assert (second.exit_code, second.stdout) == (0, KEY + "\n")
    assert "going on with the upload of MyGame.zip" in second.stderr
    assert [one.path for one in bucket.received[before:] if one.method == "PUT"] == ["/bucket/9"]
    assert not list((tmp_path / "cache").rglob("*.json"))


def test_a_cache_that_cannot_be_written_to_costs_no_upload(bucket: FakeApi, game: Path, tmp_path: Path) -> None:
    accept(bucket)
    (tmp_path / "cache").write_text("a file where a folder should be")
    result = command(bucket, tmp_path / "cache", "builds", "upload", game, "--json")
    assert result.exit_code == 0, result.output
    assert came(bucket) == game.read_bytes()


def test_a_file_that_becomes_shorter_is_named(bucket: FakeApi, build: Path, upload: Upload) -> None:
    accept(bucket)

    def cut(_: PartialUpload) -> None:
        os.truncate(build, SIZE - 1)

    with pytest.raises(InputError, match=r"MyGame\.zip became shorter"):
        upload(bucket, build, in_parts=True, on_begun=cut)


def test_a_file_that_vanishes_is_named(bucket: FakeApi, build: Path, upload: Upload) -> None:
    accept(bucket)
    with pytest.raises(InputError, match=r"MyGame\.zip: No such file"):
        upload(bucket, build, in_parts=True, on_begun=lambda _: build.unlink())
