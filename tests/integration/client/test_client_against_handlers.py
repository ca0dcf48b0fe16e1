"""The client before the real handlers: sockets, API Gateway's routes, the Lambdas' code, moto, ONNX Runtime.

The bucket's presigned URLs lead to the same server, which puts into moto's S3 what it is sent.
"""

import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs
from wsgiref.simple_server import WSGIRequestHandler, make_server

import numpy as np
import pytest

from control_read.app import handler as read_handler
from control_write.app import handler as write_handler
from gamedojo import (
    ApiError,
    AsyncGamedojoClient,
    Connection,
    GamedojoClient,
    RetryPolicy,
    Tensor,
    UploadInterruptedError,
)
from gamedojo.following import follow_log
from pipeline.api import uploads
from pipeline.aws.policies_table import PoliciesTable
from pipeline.contracts.policy import CurrentPolicy, ServedVersion
from pipeline.contracts.run import JobRecord, RunStatus
from predict.app import handler as predict_handler
from tests.fakes.control_stack import BUCKET, Stack, control_stack, moto_client
from tests.fakes.gateway import KEY, Gateway
from tests.fakes.runtime_endpoint import runtime_endpoint
from tests.integration.api.test_api_control import REPORT, record
from tests.integration.api.test_api_logs import log
from tests.integration.api.test_api_predict_served import deploy
from tests.integration.api.test_api_traffic import measured

ROOT = Path(__file__).parents[3]
CONTROL_FUNCTIONS = {"ControlReadFunction": read_handler, "ControlWriteFunction": write_handler}
QUICK = RetryPolicy(attempts=2, first_delay_seconds=0.001, longest_delay_seconds=0.002)
PART = 5 * 1024**2
"""The smallest that S3 takes but as the last."""


class Site:
    """Both APIs and the bucket, as one WSGI application; parts in `refused` are not taken."""

    def __init__(self, stack: Stack) -> None:
        self.stack, self.url, self.puts = stack, "", []
        self.refused: set[str] = set()
        self._apis = {
            "control": Gateway(
                "ControlApi", {"ControlReadFunction": read_handler, "ControlWriteFunction": write_handler}
            ),
            "predict": Gateway("PredictApi", {"PredictFunction": predict_handler}),
        }

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        name, _, path = environ["PATH_INFO"][1:].partition("/")
        if name == "bucket":
            return self._bucket(environ, path, start_response)
        status, headers, body = self._apis[name].answer({**environ, "PATH_INFO": f"/{path}"})
        body = re.sub(rf'https://[^/"]*{BUCKET}[^/"]*/'.encode(), f"{self.url}/bucket/".encode(), body)
        start_response(f"{status} {HTTPStatus(status).phrase}", list(headers.items()))
        return [body]

    def _bucket(self, environ: dict[str, Any], key: str, start_response: Callable[..., Any]) -> Iterable[bytes]:
        query = parse_qs(environ["QUERY_STRING"])
        if environ["REQUEST_METHOD"] == "GET":
            start_response("200 OK", [])
            return [self.stack.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()]
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        number = query.get("partNumber", ["whole"])[0]
        self.puts.append(number)
        if number in self.refused:
            start_response("503 Slow Down", [("Content-Length", "0")])
            return [b""]
        if number == "whole":
            self.stack.s3.put_object(Bucket=BUCKET, Key=key, Body=body)
        else:
            upload = {"UploadId": query["uploadId"][0], "PartNumber": int(number)}
            self.stack.s3.upload_part(Bucket=BUCKET, Key=key, Body=body, **upload)
        start_response("200 OK", [("Content-Length", "0")])
        return [b""]


class QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def endpoint():
    with runtime_endpoint() as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", server.url)
        yield server


@pytest.fixture
def site(endpoint, monkeypatch) -> Iterator[Site]:
    monkeypatch.setattr(uploads, "PART_SIZE_BYTES", PART)
    with control_stack() as stack:
        made = Site(stack)
        server = make_server("127.0.0.1", 0, made, handler_class=QuietHandler)
        made.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def connection(site: Site, key: str = KEY) -> Connection:
    return Connection(
        control_url=f"{site.url}/control", control_key=key, predict_url=f"{site.url}/predict", predict_key=key
    )


@pytest.fixture
def client(site: Site) -> Iterator[GamedojoClient]:
    with GamedojoClient(connection(site), retry=QUICK) as made:
        yield made


@pytest.fixture
def build(tmp_path: Path) -> Path:
    path = tmp_path / "My Game.zip"
    path.write_bytes(np.random.default_rng(1).bytes(2 * PART + 17))
    return path


def stored(site: Site, key: str) -> bytes:
    return site.stack.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()


def test_a_build_becomes_a_run_which_is_one_by_its_key(site: Site, client: GamedojoClient, tmp_path: Path) -> None:
    small = tmp_path / "My Game.zip"
    small.write_bytes(b"a zip")
    created = client.train(small, {"seed": 7, "policy": "mygame"})
    assert (created.policy, created.status) == ("mygame", "RUNNING")
    assert created.estimate is not None
    assert site.stack.executions() == [created.run_id]
    assert client.run(created.run_id).status == "RUNNING"
    (there,) = client.builds().builds
    assert (there.size_bytes, there.is_ready, stored(site, there.key)) == (5, True, b"a zip")
    request = {"policy": "mygame", "build": {"key": there.key}, "seed": 8}
    once, again = (client.create_run(request, idempotency_key="mine") for _ in range(2))
    assert once.run_id == again.run_id != created.run_id
    with pytest.raises(ApiError) as caught:
        client.create_run({**request, "seed": 9}, idempotency_key="mine")
    assert (caught.value.status, caught.value.code) == (422, "IdempotencyKeyReused")
    with pytest.raises(ApiError) as caught:
        client.create_run({**request, "sede": 9})
    assert caught.value.errors[0].field == "sede"
    assert "did you mean 'seed'" in caught.value.errors[0].message


def test_a_build_in_parts_arrives_byte_for_byte(site: Site, client: GamedojoClient, build: Path) -> None:
    key = client.upload_build(build, in_parts=True)
    assert sorted(site.puts) == ["1", "2", "3"]
    assert stored(site, key) == build.read_bytes()
    (there,) = client.iterate_builds(limit=10)
    assert there.build_id is not None
    assert client.build(there.build_id).size_bytes == 2 * PART + 17
    assert client.delete_build(there.build_id).build_id == there.build_id
    with pytest.raises(ApiError) as caught:
        client.build(there.build_id)
    assert caught.value.code == "BuildNotFound"


def test_an_interrupted_upload_goes_on(site: Site, client: GamedojoClient, build: Path) -> None:
    site.refused = {"2"}
    with pytest.raises(UploadInterruptedError) as caught:
        client.upload_build(build, in_parts=True)
    begun = caught.value.upload
    there = client.build(begun.build_id)
    assert (there.status, there.parts) == ("UPLOADING", (1, 3))
    site.refused, site.puts = set(), []
    assert stored(site, client.upload_build(build, in_parts=True, resume=begun)) == build.read_bytes()
    assert site.puts == ["2"]
    assert client.upload_build(build, in_parts=True, resume=begun) == begun.key, "a further call finds it whole"
    assert site.puts == ["2"]


async def test_the_asynchronous_client_does_the_same(site: Site, build: Path) -> None:
    async with AsyncGamedojoClient(connection(site), retry=QUICK) as client:
        key = await client.upload_build(build, in_parts=True)
        assert stored(site, key) == build.read_bytes()
        created = await client.create_run({"build": {"key": key}, "policy": "mygame"})
        assert (await client.cancel(created.run_id)).run_id == created.run_id
        assert [one.key async for one in client.iterate_builds()] == [key]
        with pytest.raises(ApiError, match="No policy named"):
            await client.policy("mygame")


def test_runs_are_read_page_by_page(site: Site, client: GamedojoClient) -> None:
    for number in range(5):
        record(site.stack, number, status=RunStatus.FAILED if number % 2 else RunStatus.SUCCEEDED)
    assert [run.run_id for run in client.iterate_runs(policy="basic", limit=4)] == [
        f"basic-000{number}" for number in (4, 3, 2, 1)
    ]
    page = client.runs(policy="basic", limit=2)
    assert page.next_token
    assert [run.run_id for run in client.runs(policy="basic", limit=2, next_token=page.next_token).runs] == [
        "basic-0002",
        "basic-0001",
    ]
    assert {run.status for run in client.iterate_runs(status="FAILED")} == {"FAILED"}
    with pytest.raises(ApiError, match="next_token"):
        client.runs(next_token="nonsense")


def test_what_a_run_has_measured_and_made(site: Site, client: GamedojoClient, tmp_path: Path) -> None:
    lines = [{"behavior": "Basic", "iteration": n, "env_steps": 100 * n, "mean_return": n / 10} for n in (1, 2, 3)]
    site.stack.put("runs/progress", "\n".join(map(json.dumps, lines)).encode())
    site.stack.put_document("runs/report", REPORT)
    artifacts = {"evaluation_report.json": "runs/report", "progress.jsonl": "runs/progress"}
    run_id = record(site.stack, 9, status=RunStatus.SUCCEEDED, artifacts=artifacts).run_id
    (basic,) = client.metrics(run_id, metrics=["mean_return"]).behaviors
    assert (basic.behavior, basic.iterations, basic.told("mean_return")) == ("Basic", 3, (0.1, 0.2, 0.3))
    report = client.report(run_id)
    assert (report.mean_return, report.behaviors[0].deterministic.episodes) == (0.5, 2)
    assert report.document == REPORT.model_dump(mode="json", exclude_none=True)
    paths = client.download_artifacts(run_id, tmp_path)
    assert [path.name for path in paths] == ["evaluation_report.json", "progress.jsonl"]
    assert paths[1].read_bytes() == stored(site, "runs/progress")
    with pytest.raises(ApiError) as caught:
        client.redrive(run_id)
    assert (caught.value.status, caught.value.code) == (409, "Conflict")


def test_what_a_runs_job_prints_and_how_a_policy_is_asked(site: Site, client: GamedojoClient) -> None:
    job = "gamedojo-test-basic-0008-train-1"
    started = JobRecord(name=job, status="Completed")
    run_id = record(site.stack, 8, status=RunStatus.SUCCEEDED, training_job=started).run_id
    log("first", "password=secret", "last", job=job)
    first = client.logs(run_id, job="training", limit=2)
    assert [line.text for line in first.lines] == ["password=***", "last"]
    assert not client.logs(run_id, next_token=first.next_token).lines
    pages = list(follow_log(lambda token: client.logs(run_id, next_token=token), run_id, 200))
    assert [line.text for page in pages for line in page.lines] == ["first", "password=***", "last"]
    current = CurrentPolicy(policy="basic", version=run_id, endpoint_name="gamedojo-test-basic", spec_key="spec.json")
    site.stack.put_document("policies/basic/current.json", current)
    measured(("Invocations", 1), ("ModelLatency", 1500))
    traffic = client.traffic("basic", window="24h")
    assert (traffic.total.invocations, traffic.told("latency_ms_p99"), len(traffic.starts)) == (1, (1.5,), 96)


def serve(site: Site, endpoint: Any, folder: Path) -> None:
    """The policy game, by two versions of which the second is in service."""
    deploy(site.stack, endpoint, folder, "game-2")
    policies = PoliciesTable(moto_client("dynamodb"), site.stack.environment["POLICIES_TABLE"])
    for day in (1, 2):
        served = {"version": f"game-{day}", "run_id": f"game-{day}", "config_name": f"c-{day}"}
        at = datetime(2026, 1, day, tzinfo=UTC)
        policies.set_in_service("game", ServedVersion(at=at, endpoint_name="gamedojo-test-game", **served))


def test_policies_and_their_history(site: Site, client: GamedojoClient, endpoint: Any, tmp_path: Path) -> None:
    serve(site, endpoint, tmp_path)
    (listed,) = client.policies()
    assert (listed.policy, listed.version, listed.asleep) == ("game", "game-2", False)
    sums, chooses, _ = client.policy("game").behaviors
    assert (sums.memory_size, chooses.actions.discrete_branches) == (2, (3,))
    assert [one.version for one in client.policy_history("game")] == ["game-2", "game-1"]
    with pytest.raises(ApiError, match="awake"):
        client.wake("game")
    with pytest.raises(ApiError) as caught:
        client.rollback("game", "game-7")
    assert caught.value.status == 409


def test_predictions_of_every_kind(site: Site, client: GamedojoClient, endpoint: Any, tmp_path: Path) -> None:
    serve(site, endpoint, tmp_path)
    batch = client.predict("game", {"Sensor": [[1, 9, 2], [9, 1, 2]]}, behavior="Chooses", action_masks=[[1, 0, 1]] * 2)
    assert batch.actions is not None
    assert [one.discrete for one in batch.actions] == [(2,), (0,)]
    state: Any = None
    for step in (1, 2, 3):
        answer = client.predict("game", [np.array([step, 0.5])], behavior="Sums", state=state)
        state = answer.state
    assert answer.action is not None
    assert answer.action.continuous == (6.0, 1.5)
    frame = np.random.default_rng(0).integers(0, 256, (3, 8, 8), np.uint8)
    seen = client.predict("game", [Tensor.of(frame, divisor=255)], behavior="Sees")
    assert seen.action is not None
    np.testing.assert_allclose(seen.action.continuous, frame.ravel() / 255 / 2, rtol=1e-5)
    with pytest.raises(ApiError, match=r"Sensor 'Sensor': shape \[2\].*\[3\] given") as caught:
        client.predict("game", [[1, 2, 3]], behavior="Sums")
    assert caught.value.code == "InvalidObservation"
    with pytest.raises(ApiError) as caught:
        client.predict("nobody", [[1]])
    assert (caught.value.code, caught.value.status) == ("PolicyNotFound", 404)


def test_the_apis_tell_of_themselves(client: GamedojoClient) -> None:
    for api in ("control", "predict"):
        assert (client.health(api).api, client.health(api).stage) == (api, "test")
        document = json.loads((ROOT / "docs" / f"openapi.{api}.json").read_text())
        assert client.description(api)["paths"].keys() == document["paths"].keys()


def test_a_wrong_key_is_told_with_its_remedy(site: Site) -> None:
    with GamedojoClient(connection(site, "wrong"), retry=QUICK) as client, pytest.raises(ApiError) as caught:
        client.policies()
    assert (caught.value.status, caught.value.code) == (403, "ApiKeyInvalid")
    assert "key" in caught.value.remedy
