"""The JavaScript of docs/predict.md, run by node against a real server."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.api_server import Answer, FakeApi, problem

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "predict.md").read_text()
ROUTE = "/policies/basic/predict"
ACTIONS = {"policy": "basic", "version": "v1", "behavior": "Basic", "actions": [{"continuous": [], "discrete": [2]}]}

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")


def play(api: FakeApi, asking: str, timeout_ms: int = 10000) -> Any:
    """The page's function, then `asking`; what it calls `show` with."""
    function, _ = re.findall(r"```javascript\n(.*?)```", PAGE, re.DOTALL)
    function = re.sub(r'PREDICT_URL = ".*?"', f"PREDICT_URL = {json.dumps(api.url)}", function)
    function = re.sub(r'PREDICT_KEY = ".*?"', 'PREDICT_KEY = "predict-key"', function)
    function = function.replace("timeoutMs = 1000", f"timeoutMs = {timeout_ms}")
    script = f"{function}\nconst show = (value) => console.log(JSON.stringify(value));\n{asking}"
    finished = subprocess.run(
        ["node", "--input-type=module", "-e", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout)


def test_the_example_acts_on_the_answer(api: FakeApi) -> None:
    api.script("POST", ROUTE, Answer(document=ACTIONS))
    _, example = re.findall(r"```javascript\n(.*?)```", PAGE, re.DOTALL)
    assert play(api, f"const act = show;\n{example}") == 2
    assert api.received[0].headers["x-api-key"] == "predict-key"
    assert list(api.received[0].json()["observations"]) == ["BasicSensor"]


@pytest.mark.parametrize(
    "answer",
    [
        problem(502, "ModelError", "Failed."),
        problem(409, "PolicyAsleep", "Taken down."),
        Answer(429, {"message": "Too Many Requests"}),
        Answer(body=b"<html>", content_type="text/html"),
        Answer(drop=True),
        Answer(document=ACTIONS, delay_seconds=2),
    ],
)
def test_what_passes_is_the_fallback(api: FakeApi, answer: Answer) -> None:
    api.script("POST", ROUTE, answer)
    timeout_ms = 500 if answer.delay_seconds else 10000
    assert play(api, 'show(await predict("basic", {}, {fallback: "fallback"}));', timeout_ms) == "fallback"


def ask_twice(api: FakeApi, **headers: str) -> int:
    """How many of two requests were sent; the first is answered 503 with these headers."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    api.script("POST", ROUTE, Answer(503, {"code": "ModelNotReady"}, headers=named))
    asking = 'const ask = () => predict("basic", {}, {fallback: 1}); show([await ask(), await ask()]);'
    assert play(api, asking) == [1, 1]
    return len(api.received)


NOW = "Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.mark.parametrize("until", ["300", "Sun, 06 Nov 1994 08:54:37 GMT", "Sunday, 06-Nov-94 08:54:37 GMT"])
def test_nothing_is_asked_during_a_pause(api: FakeApi, until: str) -> None:
    assert ask_twice(api, date=NOW, retry_after=until) == 1


@pytest.mark.parametrize("until", ["0", "-7", "", "soon", "Sun, 06 Nov 1994 08:49:30 GMT"])
def test_what_is_no_pause_holds_nobody_up(api: FakeApi, until: str) -> None:
    assert ask_twice(api, date=NOW, retry_after=until) == 2


def test_a_date_is_by_the_own_clock_where_the_servers_is_not_told(api: FakeApi) -> None:
    """A page of another origin may read Retry-After, but not Date."""
    assert ask_twice(api, date="", retry_after="Fri, 01 Jan 2999 00:00:00 GMT") == 1


def test_a_mistake_is_thrown(api: FakeApi) -> None:
    api.script("POST", ROUTE, problem(400, "InvalidObservation", "Sensor 'ray' is missing."))
    asking = 'try { await predict("basic", {}, {fallback: 1}); } catch (error) { show(error.message); }'
    assert play(api, asking) == "400 InvalidObservation: Sensor 'ray' is missing."
