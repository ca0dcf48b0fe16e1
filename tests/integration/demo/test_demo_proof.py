"""One seed's job against a scripted stack: the bucket is a real socket that boto3 talks to."""

import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from demo.drop import wait_for_new_run
from demo.errors import DemoError
from demo.proof import prove
from gamedojo import Connection, GamedojoClient
from tests.fakes.api_server import Answer, FakeApi
from tests.fakes.run_documents import RUN_ID, failed, run_document, succeeded, training

KEY = "/bucket/builds/basic.zip"


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi().running() as running:
        yield running


@pytest.fixture
def connection(api: FakeApi) -> Connection:
    return replace(api.connection(), endpoint_url=api.origin, region="us-east-1", bucket="bucket")


@pytest.fixture
def build(tmp_path: Path) -> Path:
    path = tmp_path / "Basic.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("Basic.x86_64", b"\x7fELF")
    return path


def page(*run_ids: str) -> Answer:
    return Answer(document={"runs": [{**run_document(), "run_id": run_id} for run_id in run_ids], "next_token": None})


def script(api: FakeApi, final: dict, action: int = 2, artifacts: tuple[str, ...] = ()) -> None:
    api.script("PUT", KEY, Answer(body=b"", headers={"ETag": '"1"'}))
    api.script("GET", "/training-runs", page("older"), page("older"), page(RUN_ID, "older"))
    api.script("GET", f"/training-runs/{RUN_ID}", Answer(document=training()), Answer(document=final))
    answer = {"policy": "basic", "version": RUN_ID, "behavior": "Basic", "action": {"discrete": [action]}}
    api.script("POST", "/policies/basic/predict", Answer(document=answer))
    links = {name: f"{api.origin}/bucket/{Path(name).name}" for name in artifacts}
    api.script("GET", f"/training-runs/{RUN_ID}/artifacts", Answer(document={"artifacts": links}))
    for name in artifacts:
        api.script("GET", f"/bucket/{Path(name).name}", Answer(body=name.encode()))


FILES = ("learning_curve.png", "evaluation_report.json", "policies/Basic.onnx", "progress.jsonl")


def test_one_seed_from_drop_to_files(api: FakeApi, connection: Connection, build: Path, tmp_path: Path) -> None:
    script(api, succeeded() | {"options": {"seed": 5}}, artifacts=FILES)
    text = io.StringIO()
    proof = prove(connection, build, 5, tmp_path / "out", Console(file=text, width=100))
    assert proof.shortfall(0.90) == ""
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(Path(name).name for name in FILES)
    assert (tmp_path / "out" / "Basic.onnx").read_bytes() == b"policies/Basic.onnx"
    with zipfile.ZipFile(io.BytesIO(api.calls("PUT", KEY)[0].body)) as dropped:
        assert json.loads(dropped.read("gamedojo.json")) == {"seed": 5}
    asked = [call.json()["observations"][0].index(1.0) for call in api.calls("POST", "/policies/basic/predict")]
    assert asked == list(range(20))
    assert "7 moves to the large goal, return 0.93" in text.getvalue()


def test_a_failed_run_fails_the_demo_and_asks_nothing(
    api: FakeApi, connection: Connection, build: Path, tmp_path: Path
) -> None:
    script(api, failed())
    text = io.StringIO()
    with pytest.raises(DemoError, match=f"{RUN_ID} ended as FAILED"):
        prove(connection, build, 0, tmp_path / "out", Console(file=text, width=100))
    assert "Remedy: Build for Linux" in text.getvalue()
    assert not api.calls("POST", "/policies/basic/predict")


def test_a_run_that_went_by_another_seed_proves_nothing(
    api: FakeApi, connection: Connection, build: Path, tmp_path: Path
) -> None:
    script(api, succeeded() | {"options": {"seed": 0}}, artifacts=FILES)
    with pytest.raises(DemoError, match="went by seed 0"):
        prove(connection, build, 5, tmp_path / "out", Console(file=io.StringIO()))


def test_missing_files_are_named(api: FakeApi, connection: Connection, build: Path, tmp_path: Path) -> None:
    script(api, succeeded(), artifacts=("learning_curve.png", "evaluation_report.json"))
    with pytest.raises(DemoError, match=r"lack Basic\.onnx"):
        prove(connection, build, 0, tmp_path / "out", Console(file=io.StringIO()))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"policy": "basic", "action": {"continuous": [0.5]}}, "which is no move"),
        ({"policy": "basic", "action": {"discrete": [7]}}, "chose move 7"),
    ],
)
def test_an_answer_that_is_no_move_fails_the_demo(
    api: FakeApi, connection: Connection, build: Path, tmp_path: Path, document: dict, message: str
) -> None:
    api.script("POST", "/policies/basic/predict", Answer(document=document))
    script(api, succeeded())
    with pytest.raises(DemoError, match=message):
        prove(connection, build, 0, tmp_path / "out", Console(file=io.StringIO()))


def test_a_drop_that_starts_nothing_ends_the_wait(api: FakeApi, connection: Connection) -> None:
    api.script("GET", "/training-runs", page("older"))
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    with GamedojoClient(connection) as client, pytest.raises(DemoError, match="No run of the policy basic appeared"):
        wait_for_new_run(client, "basic", {"older"}, timeout_seconds=3, sleep=sleep, clock=lambda: now[0])
