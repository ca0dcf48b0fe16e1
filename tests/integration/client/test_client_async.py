"""The asynchronous client on real sockets: what only it can get wrong. What it shares is tested with the other."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from gamedojo import (
    ApiError,
    AsyncGamedojoClient,
    Connection,
    InputError,
    Patience,
    RetryPolicy,
    Tensor,
    UnreachableError,
)
from gamedojo.async_transport import AsyncTransport
from tests.fakes.api_server import Answer, FakeApi, problem
from tests.fakes.run_documents import RUN_ID, run_document, succeeded, training

QUICK = RetryPolicy(attempts=3, first_delay_seconds=0.001, longest_delay_seconds=0.002)
RUN_PATH = f"/training-runs/{RUN_ID}"
ANSWER = Answer(document={"policy": "p", "version": "v", "behavior": "B", "action": {"discrete": [2]}})


@pytest.fixture
async def client(api: FakeApi) -> AsyncIterator[AsyncGamedojoClient]:
    async with AsyncGamedojoClient(api.connection(), retry=QUICK) as made:
        yield made


@pytest.mark.parametrize("bad", [Answer(503, {}), Answer(429, {"message": "Too Many Requests"}), Answer(drop=True)])
async def test_a_read_is_repeated_until_it_succeeds(api: FakeApi, client: AsyncGamedojoClient, bad: Answer) -> None:
    api.script("GET", RUN_PATH, bad, bad, Answer(document=succeeded()))
    assert (await client.run(RUN_ID)).status == "SUCCEEDED"
    assert len(api.received) == 3


async def test_a_start_that_is_sent_again_has_the_same_key(api: FakeApi, client: AsyncGamedojoClient) -> None:
    created = Answer(202, {"run_id": RUN_ID, "policy": "basic", "status": "RUNNING", "links": {}})
    api.script("POST", "/training-runs", Answer(drop=True), Answer(503, {}), created)
    assert (await client.create_run({"seed": 3})).run_id == RUN_ID
    assert len({one.headers["idempotency-key"] for one in api.received}) == 1
    await client.create_run({"seed": 3})
    assert len({one.headers["idempotency-key"] for one in api.received}) == 2


async def test_a_rollback_that_may_have_been_done_is_not_sent_again(api: FakeApi, client: AsyncGamedojoClient) -> None:
    api.script("POST", "/policies/p/rollback", Answer(drop=True))
    with pytest.raises(UnreachableError) as caught:
        await client.rollback("p")
    assert len(api.received) == 1
    assert "may have been done" in caught.value.remedy
    with pytest.raises(UnreachableError):
        await client.rollback("p", "p-1")  # to a version of one's choice, twice is as good as once
    assert len(api.received) == 1 + QUICK.attempts


async def test_a_rollback_that_was_turned_away_is_sent_again(api: FakeApi, client: AsyncGamedojoClient) -> None:
    api.script("POST", "/policies/p/rollback", Answer(429, {}), Answer(503, {}), Answer(202, run_document()))
    assert (await client.rollback("p")).run_id == RUN_ID


async def test_questions_go_side_by_side_over_connections_that_are_kept(
    api: FakeApi, client: AsyncGamedojoClient
) -> None:
    api.script("POST", "/policies/p/predict", Answer(document=ANSWER.document, delay_seconds=0.05))
    for _ in range(3):
        await asyncio.gather(*(client.predict("p", [[float(n)]]) for n in range(8)))
    assert api.most_at_once > 1
    assert len(api.received) == 24
    assert api.connections <= 8


async def test_the_pause_is_the_one_that_the_server_asks_for(api: FakeApi) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    dated = {"date": "Sun, 06 Nov 1994 08:49:37 GMT", "retry-after": "Sun, 06 Nov 1994 08:49:46 GMT"}
    busy = Answer(429, {}, headers={"retry-after": "7"}), Answer(503, {}, headers=dated)
    api.script("GET", RUN_PATH, *busy, Answer(document=succeeded()))
    transport = AsyncTransport(retry=QUICK, sleep=sleep)
    async with AsyncGamedojoClient(api.connection(), transport=transport) as client:
        await client.run(RUN_ID)
    assert pauses == [7.0, 9.0]


async def test_a_cancelled_question_leaves_the_client_usable(api: FakeApi, client: AsyncGamedojoClient) -> None:
    api.script("POST", "/policies/p/predict", Answer(document=ANSWER.document, delay_seconds=0.5), ANSWER)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.predict("p", [[0.0]]), 0.1)
    answer = await client.predict("p", [[0.0]])
    assert answer.action is not None
    assert answer.action.discrete == (2,)


async def test_a_run_is_followed_through_an_outage_to_its_end(api: FakeApi, client: AsyncGamedojoClient) -> None:
    down = [Answer(500, {})] * 2
    api.script("GET", RUN_PATH, problem(404, "RunNotFound", "none"), Answer(document=training()), *down)
    api.script("GET", RUN_PATH, Answer(document=succeeded()))
    troubles: list[object] = []
    patience = Patience(poll_seconds=0.001, appear_seconds=60)
    seen = [run.status async for run in client.follow(RUN_ID, patience, on_trouble=troubles.append)]
    assert seen == ["RUNNING", "SUCCEEDED"]
    assert [trouble is None for trouble in troubles] == [False, False, True]


async def test_pages_are_read_until_there_are_enough(api: FakeApi, client: AsyncGamedojoClient) -> None:
    builds = [{"key": f"uploads/{n}", "size_bytes": n} for n in range(4)]
    pages = [{"builds": builds[:2], "next_token": "t"}, {"builds": builds[2:], "next_token": None}]
    api.script("GET", "/builds", *(Answer(document=page) for page in pages))
    assert [one.size_bytes async for one in client.iterate_builds(limit=3)] == [0, 1, 2]
    assert [one.query for one in api.received] == [{"limit": "3"}, {"limit": "1", "next_token": "t"}]


async def test_artifacts_appear_whole_or_not_at_all(api: FakeApi, client: AsyncGamedojoClient, tmp_path: Path) -> None:
    links = {"a/Basic.onnx": f"{api.origin}/b/o", "report.json": f"{api.origin}/b/r"}
    api.script("GET", f"{RUN_PATH}/artifacts", Answer(document={"artifacts": links}))
    api.script("GET", "/b/o", Answer(body=b"onnx" * 1000, cut_after_bytes=10), Answer(body=b"onnx" * 1000))
    api.script("GET", "/b/r", Answer(403, body=b"<Error><Code>AccessDenied</Code></Error>"))
    files: list[Path] = []
    with pytest.raises(ApiError):
        await client.download_artifacts(RUN_ID, tmp_path, on_file=files.append)
    assert files == [tmp_path / "a" / "Basic.onnx"]
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == files
    assert files[0].read_bytes() == b"onnx" * 1000


async def test_a_build_is_uploaded_and_trained(api: FakeApi, client: AsyncGamedojoClient, tmp_path: Path) -> None:
    build = tmp_path / "MyGame.zip"
    build.write_bytes(np.random.default_rng(1).bytes(300_001))
    api.script("POST", "/builds", Answer(201, {"key": "uploads/1/MyGame.zip", "upload_url": f"{api.origin}/b/x"}))
    api.script("PUT", "/b/x", Answer(500, body=b"<Error/>"), Answer(body=b""))
    api.script("POST", "/training-runs", Answer(202, {"run_id": RUN_ID}))
    assert (await client.train(build, {"seed": 3})).run_id == RUN_ID
    assert api.calls("PUT", "/b/x")[1].body == build.read_bytes()
    assert api.calls("POST", "/training-runs")[0].json() == {"seed": 3, "build": {"key": "uploads/1/MyGame.zip"}}


async def test_nothing_there_says_where() -> None:
    connection = Connection(control_url="http://127.0.0.1:1")
    async with AsyncGamedojoClient(connection, retry=QUICK) as client:
        with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:1 cannot be reached"):
            await client.policies()
    async with AsyncGamedojoClient(Connection(control_url="http://127.0.0.1:port"), retry=QUICK) as client:
        with pytest.raises(InputError, match="is no URL"):
            await client.policies()


async def test_a_picture_goes_as_bytes(api: FakeApi, client: AsyncGamedojoClient) -> None:
    api.script("POST", "/policies/p/predict", ANSWER)
    frame = np.arange(3 * 84 * 84, dtype=np.uint8).reshape(3, 84, 84)
    await client.predict("p", {"Camera": Tensor.of(frame, divisor=255)})
    (received,) = api.received
    assert received.headers["content-type"] == "application/msgpack"
    assert received.headers["accept"] == "application/json"
    assert frame.tobytes() in received.body
    assert len(received.body) < frame.size + 200
