"""The commands about builds, policies, measurements and the APIs themselves, on real sockets."""

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from gamedojo import RetryPolicy
from gamedojo.cli.app import app
from tests.fakes.api_server import Answer, FakeApi, problem
from tests.fakes.run_documents import RUN_ID, failed, run_document, succeeded, training

RUN_PATH = f"/training-runs/{RUN_ID}"
FAST = ("--poll-seconds", "0.1")
ACTION = {"policy": "p", "version": "v", "behavior": "B", "action": {"continuous": [], "discrete": [2]}}


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RetryPolicy, "delay_seconds", lambda *_, **__: 0.001)


def call(api: FakeApi, *arguments: object, stdin: str | None = None, **variables: str | None) -> Result:
    none = {name: None for name in os.environ if name.startswith("GAMEDOJO_")}
    environment = {**none, **api.environment(), "COLUMNS": "200", **variables}
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env=environment, input=stdin)


def words(result: Result) -> list[list[str]]:
    assert result.exit_code == 0, result.output
    return [line.split() for line in result.stdout.splitlines()]


def test_builds_are_listed_shown_and_deleted(api: FakeApi) -> None:
    id_ = "4f1c2d3e4f5061728394a5b6c7d8e9f0"
    ready = {"build_id": id_, "key": f"uploads/{id_}/My Game.zip", "size_bytes": 2_500_000, "status": "READY"}
    ready["uploaded_at"] = "2026-01-02T03:04:05Z"
    by_hand = {"key": "uploads/other.zip", "size_bytes": 5}
    api.script("GET", "/builds", Answer(document={"builds": [ready, by_hand]}))
    uploading = {"build_id": id_, "key": "uploads/k.zip", "size_bytes": 7, "status": "UPLOADING", "parts": [1, 4]}
    api.script("GET", f"/builds/{id_}", Answer(document=uploading))
    api.script("DELETE", f"/builds/{id_}", Answer(document={"build_id": id_}))
    _, first, second = words(call(api, "builds", "list"))
    assert first == [id_, "My", "Game.zip", "2.5", "MB", "2026-01-02", "03:04"]
    assert second == ["-", "uploads/other.zip", "5", "B"]
    assert json.loads(call(api, "builds", "list", "--json").stdout) == [ready, by_hand]
    assert words(call(api, "builds", "show", id_)) == [["uploads/k.zip", "UPLOADING", "7", "B", "in", "2", "parts"]]
    assert json.loads(call(api, "builds", "show", id_, "--json").stdout) == uploading
    assert json.loads(call(api, "builds", "delete", id_, "-y", "--json").stdout) == {"build_id": id_}


@pytest.mark.parametrize("what", [("builds", "delete", "b"), ("policies", "delete", "p")])
def test_deleting_asks_first(api: FakeApi, what: tuple[str, ...]) -> None:
    for stdin in ("n\n", "", "\n"):
        assert call(api, *what, stdin=stdin).exit_code == 1
    assert api.received == []
    api.script("DELETE", "/builds/b", Answer(document={"build_id": "b"}))
    api.script("DELETE", "/policies/p", Answer(document={"policy": "p", "versions": ["p-2", "p-1"]}))
    agreed = call(api, *what, stdin="y\n")
    assert agreed.exit_code == 0
    assert len(api.received) == 1
    assert "?" not in agreed.stdout


def test_a_policys_history_newest_first(api: FakeApi) -> None:
    one = {"version": "p-2", "run_id": "p-2", "at": "2026-01-02T03:04:05Z", "endpoint_name": "e", "config_name": "c"}
    asleep = {**one, "version": "p-1", "asleep_since": "2026-01-03T00:00:00Z"}
    api.script("GET", "/policies/p/history", Answer(document={"versions": [one, asleep]}))
    _, newest, oldest = words(call(api, "policies", "history", "p"))
    assert newest == ["p-2", "2026-01-02", "03:04", "p-2", "e"]
    assert oldest[-4:] == ["(asleep", "since", "2026-01-03", "00:00)"]
    assert json.loads(call(api, "policies", "history", "p", "--json").stdout) == [one, asleep]


def test_a_policy_asleep_is_marked_and_woken(api: FakeApi) -> None:
    current = {"policy": "p", "version": "p-1", "endpoint_name": "e", "spec_key": "k", "asleep": True}
    api.script("GET", "/policies", Answer(document={"policies": [current]}))
    assert words(call(api, "policies"))[1] == ["p", "p-1", "e", "asleep"]
    assert words(call(api, "policies", "list")) == words(call(api, "policies"))
    assert json.loads(call(api, "policies", "--json").stdout) == [current]
    api.script("POST", "/policies/p/wake", Answer(202, run_document("AdmitRun")))
    api.script("GET", RUN_PATH, Answer(document=run_document("DeployEndpoint")), Answer(document=succeeded()))
    assert "SUCCEEDED" in call(api, "policies", "wake", "p", *FAST).stdout
    assert words(call(api, "policies", "wake", "p", "--no-watch")) == [[RUN_ID, "wakes", "p."]]


def test_a_rollback_is_followed_or_told(api: FakeApi) -> None:
    run = {**run_document("AdmitRun"), "serves": "p-1"}
    api.script("POST", "/policies/p/rollback", Answer(202, run))
    api.script("GET", RUN_PATH, Answer(document=failed()))
    assert call(api, "policies", "rollback", "p", *FAST).exit_code == 1
    told = call(api, "policies", "rollback", "p", "--to", "p-1", "--no-watch")
    assert told.stdout == f"{RUN_ID} brings back p-1.\n"
    assert json.loads(call(api, "policies", "rollback", "p", "--no-watch", "--json").stdout) == run
    assert [one.json() for one in api.calls("POST", "/policies/p/rollback")] == [{}, {"version": "p-1"}, {}]


SERIES: dict[str, Any] = {
    "run_id": RUN_ID,
    "status": "RUNNING",
    "progress": {},
    "behaviors": [
        {
            "behavior": "Basic",
            "iterations": 4,
            "columns": {"mean_return": [0.1, None, 0.5, 0.9], "env_steps": [100, 200, 300, 1400], "kl": [None] * 4},
        }
    ],
}


def test_metrics_are_curves_with_their_ends(api: FakeApi) -> None:
    api.script("GET", f"{RUN_PATH}/metrics", Answer(document=SERIES))
    title, _, env_steps, mean_return = words(call(api, "metrics", RUN_ID, "--metric", "mean_return"))
    assert title == ["Basic,", "4", "iterations"]
    assert env_steps[:1] + env_steps[2:] == ["env_steps", "100", "1,400", "100", "1,400"]
    assert mean_return == ["mean_return", "▁▅█", "0.1", "0.9", "0.1", "0.9"]
    assert api.received[0].query == {"metrics": "mean_return", "points": "500"}
    assert json.loads(call(api, "metrics", RUN_ID, "--json").stdout) == SERIES


def test_metrics_of_a_training_that_has_told_nothing(api: FakeApi) -> None:
    api.script("GET", f"{RUN_PATH}/metrics", Answer(document={**SERIES, "behaviors": []}))
    result = call(api, "metrics", RUN_ID)
    assert (result.stdout, result.exit_code) == ("", 0)
    assert "nothing yet" in result.stderr


def log_page(token: str, *texts: str, status: str = "RUNNING") -> Answer:
    lines = [{"at": "2026-01-02T03:04:05.678Z", "job": "training", "text": text} for text in texts]
    return Answer(document={"run_id": RUN_ID, "status": status, "lines": lines, "next_token": token})


def test_logs_are_the_newest_lines_as_they_were_printed(api: FakeApi) -> None:
    api.script("GET", f"{RUN_PATH}/logs", log_page("t", "[bold]no markup[/bold] " + "x" * 300, "*** 1"))
    first, second = call(api, "logs", RUN_ID, "-n", "2", "--job", "training").stdout.splitlines()
    assert first == "03:04:05 [bold]no markup[/bold] " + "x" * 300
    assert second == "03:04:05 *** 1"
    assert api.received[0].query == {"job": "training", "limit": "2"}
    assert json.loads(call(api, "logs", RUN_ID, "--json").stdout)["next_token"] == "t"
    assert call(api, "logs", RUN_ID, "-n", "501").exit_code == 2


def test_logs_are_followed_to_the_runs_end(api: FakeApi) -> None:
    pages = [log_page("t1", "a"), log_page("t2"), log_page("t3", "b", status="FAILED"), log_page("t4", status="FAILED")]
    api.script("GET", f"{RUN_PATH}/logs", *pages)
    result = call(api, "logs", RUN_ID, "--follow", *FAST)
    assert (result.stdout, result.exit_code) == ("03:04:05 a\n03:04:05 b\n", 0)
    assert [one.query.get("next_token") for one in api.received] == [None, "t1", "t2", "t3"]


def test_logs_that_are_followed_in_json_have_a_line_each(api: FakeApi) -> None:
    api.script("GET", f"{RUN_PATH}/logs", log_page("t", "a", "é", status="KEPT"), log_page("t", status="KEPT"))
    first, second = call(api, "logs", RUN_ID, "-f", "--json", *FAST).stdout.splitlines()
    assert json.loads(first) == {"at": "2026-01-02 03:04:05.678000+00:00", "job": "training", "text": "a"}
    assert json.loads(second)["text"] == "é"


def test_logs_of_a_run_that_has_printed_nothing(api: FakeApi) -> None:
    api.script("GET", f"{RUN_PATH}/logs", Answer(document={"run_id": RUN_ID, "status": "RUNNING", "lines": []}))
    result = call(api, "logs", RUN_ID)
    assert (result.stdout, result.exit_code) == ("", 0)
    assert "printed anything" in result.stderr


def test_a_policys_traffic_is_curves_with_their_ends(api: FakeApi) -> None:
    traffic = {
        "policy": "p",
        "endpoint_name": "e",
        "window": "24h",
        "period_seconds": 900,
        "starts": ["2026-01-02T03:00:00Z", "2026-01-02T03:15:00Z", "2026-01-02T03:30:00Z"],
        "columns": {
            "invocations": [1000, 0, 500],
            "errors_4xx": [0, 0, 0],
            "errors_5xx": [0, 0, 2],
            "latency_ms_mean": [1.5, None, 2.25],
            "latency_ms_p99": [None, None, None],
        },
        "total": {"invocations": 1500, "errors_4xx": 0, "errors_5xx": 2},
    }
    api.script("GET", "/policies/p/traffic", Answer(document=traffic))
    title, head, invocations, _, failed, latency = words(call(api, "policies", "traffic", "p", "--window", "24h"))
    assert " ".join(title) == "p: asked 1,500 times in 24h, 0 refused, 2 failed"
    assert head[:2] == ["by", "15:00"]
    assert invocations == ["invocations", "█▁▅", "500", "0", "1,000"]
    assert failed[-3:] == ["2", "0", "2"]
    assert latency == ["latency,", "ms", "▁█", "2.25", "1.5", "2.25"]
    assert api.received[0].query == {"window": "24h"}
    assert json.loads(call(api, "policies", "traffic", "p", "--json").stdout) == traffic
    quiet = {**traffic, "total": {"invocations": 0, "errors_4xx": 0, "errors_5xx": 0}}
    api.script("GET", "/policies/q/traffic", Answer(document=quiet))
    assert len(words(call(api, "policies", "traffic", "q"))) == 1


def test_a_report_has_a_line_for_each_way_to_play(api: FakeApi) -> None:
    played = {"episodes": 100, "mean_return": 0.93, "std_return": 0.1, "min_return": 0, "max_return": 1}
    played |= {"ci95_low": 0.91, "ci95_high": 0.95, "mean_length": 7.25}
    success = {"threshold": 0.9, "rate": 0.875, "ci95_low": 0.8, "ci95_high": 0.9}
    report = {
        "run_id": RUN_ID,
        "seed": 1,
        "mean_return": 0.93,
        "ci95_low": 0.91,
        "ci95_high": 0.95,
        "wall_time_seconds": 1,
        "behaviors": [{"behavior": "B", "deterministic": {**played, "success": success}, "stochastic": played}],
        "warnings": [{"behavior": "B", "code": "NeverActs", "cause": "It never jumps.", "remedy": "Look at it."}],
    }
    api.script("GET", f"{RUN_PATH}/report", Answer(document=report))
    result = call(api, "report", RUN_ID)
    headline, _, likeliest, sampled = words(result)
    assert headline[:3] == ["Mean", "return", "0.930"]
    assert likeliest == ["B", "likeliest", "100", "0.930", "0.910", "to", "0.950", "0.000", "1.000", "7.2", "87.5%"]
    assert sampled[0] == "sampled"
    assert "It never jumps. Look at it." in result.stderr
    assert json.loads(call(api, "report", RUN_ID, "--json").stdout) == report


def test_show_tells_of_a_run_as_it_stands(api: FakeApi) -> None:
    api.script("GET", RUN_PATH, Answer(document=training()), Answer(document=failed()))
    going_on = call(api, "show", RUN_ID)
    assert "10,240 of 50,000" in going_on.stdout
    assert "\x1b" not in going_on.stdout
    over = call(api, "show", RUN_ID)
    assert over.exit_code == 0
    assert "Remedy: Build for Linux" in over.stdout
    assert json.loads(call(api, "show", RUN_ID, "--json").stdout) == failed()


def test_artifacts_links_are_printed_and_nothing_is_downloaded(api: FakeApi) -> None:
    api.script("GET", f"{RUN_PATH}/artifacts", Answer(document={"artifacts": {"a.onnx": "https://b.example/a"}}))
    assert call(api, "artifacts", RUN_ID, "--links").stdout == "a.onnx  https://b.example/a\n"
    assert json.loads(call(api, "artifacts", RUN_ID, "--links", "--json").stdout) == {"a.onnx": "https://b.example/a"}


def test_health_of_both_apis(api: FakeApi) -> None:
    healthy = {"status": "ok", "api": "control", "version": "1.2", "stage": "dev"}
    api.script("GET", "/health", Answer(document=healthy))
    assert call(api, "health").stdout.splitlines() == ["control: ok, version 1.2, stage dev"] * 2
    assert json.loads(call(api, "health", "--json").stdout)["predict"] == {
        "status": "ok",
        "version": "1.2",
        "stage": "dev",
    }
    half = call(api, "health", "--json", GAMEDOJO_PREDICT_URL="http://127.0.0.1:1")
    assert half.exit_code == 6
    assert json.loads(half.stdout)["control"]["status"] == "ok"
    assert json.loads(half.stdout)["predict"]["status"] == "unreachable"
    only = call(api, "health", GAMEDOJO_PREDICT_URL=None, GAMEDOJO_PREDICT_KEY=None)
    assert len(only.stdout.splitlines()) == 1


def test_the_description_is_printed_as_it_is(api: FakeApi) -> None:
    api.script("GET", "/openapi.json", Answer(document={"openapi": "3.1.0"}))
    assert json.loads(call(api, "openapi", "--api", "predict").stdout) == {"openapi": "3.1.0"}
    assert call(api, "openapi", "--api", "other").exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        (("--masks", "[1, 0, 1]"), {"action_masks": [1, 0, 1]}),
        (("--state", "null"), {"state": None}),
        (("--state", "AQAB"), {"state": "AQAB"}),
        (("--state", '["AQAB", null]'), {"state": ["AQAB", None]}),
        (("--sample", "--behavior", "B"), {"deterministic": False, "behavior": "B"}),
    ],
)
def test_predict_sends_what_is_said(api: FakeApi, arguments: tuple[str, ...], sent: dict[str, Any]) -> None:
    api.script("POST", "/policies/p/predict", Answer(document=ACTION))
    assert call(api, "predict", "p", "--observation", "[1]", *arguments).stdout == "discrete 2\n"
    assert api.received[0].json() == {"observations": [[1]], **sent}


def test_predict_prints_the_states_that_the_next_request_gives_back(api: FakeApi) -> None:
    actions = {"policy": "p", "behavior": "B", "actions": [{"discrete": [1]}, {"discrete": [0]}], "state": ["a", "b"]}
    api.script("POST", "/policies/p/predict", Answer(document={**ACTION, "state": "AQAB"}), Answer(document=actions))
    one = call(api, "predict", "p", "--observation", "[1]", "--state", "null")
    assert one.stdout.splitlines() == ["discrete 2", "state AQAB"]
    two = call(api, "predict", "p", "--observation", "[[[1], [2]]]", "--state", "[null, null]")
    assert two.stdout.splitlines() == ["discrete 1", "discrete 0", "state a", "state b"]


def test_a_picture_from_a_file_goes_as_bytes(api: FakeApi, tmp_path: Path) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (3, 8, 8), np.uint8)
    np.save(tmp_path / "frame.npy", frame)
    np.save(tmp_path / "vector.npy", np.array([0.5, 1.0]))
    api.script("POST", "/policies/p/predict", Answer(document=ACTION))
    sensors = ("--npy", f"Camera={tmp_path}/frame.npy", "--npy", f"Vector={tmp_path}/vector.npy")
    assert call(api, "predict", "p", *sensors, "--divisor", "255").exit_code == 0
    sent = msgpack.unpackb(api.received[0].body)["observations"]
    assert sent["Camera"] == {"dtype": "uint8", "shape": [3, 8, 8], "data": frame.tobytes(), "divisor": 255.0}
    assert np.frombuffer(sent["Vector"]["data"], "<f4").tolist() == [0.5, 1.0]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (problem(400, "InvalidRequest", "wrong"), 2),
        (problem(413, "RequestTooLarge", "large"), 2),
        (problem(404, "PolicyNotFound", "none"), 3),
        (Answer(403, {"message": "Forbidden"}), 4),
        (problem(409, "PolicyAsleep", "asleep"), 5),
        (problem(429, "Throttled", "slow down"), 6),
        (problem(503, "ModelNotReady", "wait"), 6),
        (problem(502, "Model", "failed"), 6),
        (Answer(drop=True), 6),
        (problem(500, "Internal", "sorry"), 1),
        (Answer(200, body=b"<html>", content_type="text/html"), 1),
    ],
)
def test_the_exit_code_tells_what_kind_of_trouble_it_is(api: FakeApi, answer: Answer, code: int) -> None:
    api.script("GET", "/policies/p", answer)
    result = call(api, "policies", "show", "p", "--json")
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.startswith("Error")


def test_an_idempotency_key_of_ones_own_is_sent(api: FakeApi, tmp_path: Path) -> None:
    game = tmp_path / "MyGame.zip"
    with zipfile.ZipFile(game, "w") as archive:
        archive.writestr("x", b"")
    api.script("POST", "/builds", Answer(201, {"key": "k", "upload_url": f"{api.origin}/b"}))
    api.script("PUT", "/b", Answer(body=b""))
    api.script("POST", "/training-runs", Answer(503, {}), Answer(202, {"run_id": RUN_ID}))
    assert call(api, "train", game, "--no-watch", "--idempotency-key", "mine").stdout == RUN_ID + "\n"
    assert [one.headers["idempotency-key"] for one in api.calls("POST", "/training-runs")] == ["mine", "mine"]
