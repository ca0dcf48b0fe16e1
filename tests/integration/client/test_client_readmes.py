"""The Python of the two READMEs runs, and sends what it says."""

import re
from pathlib import Path

import msgpack
import numpy as np
import pytest

from tests.fakes.api_server import Answer, FakeApi, problem
from tests.fakes.run_documents import RUN_ID, succeeded

ROOT = Path(__file__).parents[3]
SNIPPETS = [
    (page, code)
    for page in ("README.md", "clients/python/README.md")
    for code in re.findall(
        r"^```python\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
]


@pytest.fixture
def stack(api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeApi:
    for name, text in api.environment().items():
        monkeypatch.setenv(name, text)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "MyGame.zip").write_bytes(b"a zip")
    api.script("POST", "/builds", Answer(201, {"key": "uploads/1/MyGame.zip", "upload_url": f"{api.origin}/bucket"}))
    api.script("PUT", "/bucket", Answer(body=b""))
    api.script("POST", "/training-runs", Answer(202, {"run_id": RUN_ID}))
    run = f"/training-runs/{RUN_ID}"
    api.script("GET", run, Answer(document=succeeded()))
    series = {"behavior": "Basic", "iterations": 2, "columns": {"mean_return": [0.1, 0.2]}}
    api.script("GET", f"{run}/metrics", Answer(document={"run_id": RUN_ID, "behaviors": [series]}))
    api.script("GET", f"{run}/artifacts", Answer(document={"artifacts": {"a.onnx": f"{api.origin}/a"}}))
    api.script("GET", "/a", Answer(body=b"onnx"))
    answer = {"policy": "mygame", "version": "v", "behavior": "B", "action": {"discrete": [2]}, "state": "AQAB"}
    api.script("POST", "/policies/mygame/predict", Answer(document=answer))
    api.script("POST", "/policies/nobody/predict", problem(404, "PolicyNotFound", "No policy.", "Train one."))
    return api


def run(page: str, number: int) -> None:
    code = [code for where, code in SNIPPETS if where == page][number]
    exec(compile(code, page, "exec"), {"__name__": "__main__"})


def test_there_is_nothing_else() -> None:
    assert [page for page, _ in SNIPPETS] == ["README.md", *["clients/python/README.md"] * 4]


def test_the_projects_page(stack: FakeApi, capsys: pytest.CaptureFixture[str]) -> None:
    run("README.md", 0)
    assert stack.calls("POST", "/training-runs")[0].json() == {
        "policy": "mygame",
        "stop": {"env_steps": 200_000},
        "build": {"key": "uploads/1/MyGame.zip"},
    }
    assert capsys.readouterr().out.splitlines() == ["FinishRun 0.93", "Action(continuous=(), discrete=(2,))"]


def test_a_connection_that_is_told() -> None:
    run("clients/python/README.md", 0)


def test_train_and_follow(stack: FakeApi, capsys: pytest.CaptureFixture[str]) -> None:
    run("clients/python/README.md", 1)
    assert capsys.readouterr().out.splitlines()[-1] == "Basic (0.1, 0.2)"
    assert Path("results/a.onnx").read_bytes() == b"onnx"


def test_ask_for_actions(stack: FakeApi, capsys: pytest.CaptureFixture[str]) -> None:
    run("clients/python/README.md", 2)
    assert capsys.readouterr().out == "[(2,), (2,)]\n"
    *_, picture, first, second, third = stack.received
    assert msgpack.unpackb(picture.body)["observations"]["Camera"]["data"] == bytes(np.zeros(3 * 84 * 84, np.uint8))
    assert [one.json()["state"] for one in (first, second, third)] == [None, "AQAB", "AQAB"]


def test_errors(stack: FakeApi, capsys: pytest.CaptureFixture[str]) -> None:
    run("clients/python/README.md", 3)
    assert capsys.readouterr().out == "404 PolicyNotFound No policy. Train one.\n"
