import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gamedojo import (
    Action,
    ApiError,
    Connection,
    ConnectionSettingsError,
    FieldProblem,
    GamedojoClient,
    InputError,
    RetryPolicy,
    UnexpectedAnswerError,
    UnreachableError,
)
from gamedojo.transport import Transport
from tests.fakes.api_server import Answer, FakeApi, problem
from tests.fakes.run_documents import RUN_ID, run_document, succeeded

QUICK = RetryPolicy(attempts=3, first_delay_seconds=0.001, longest_delay_seconds=0.002)
RUN_PATH = f"/training-runs/{RUN_ID}"
CREATED = Answer(202, {"run_id": RUN_ID, "policy": "basic", "status": "RUNNING", "links": {"self": "…"}})


@pytest.fixture
def client(api: FakeApi) -> Iterator[GamedojoClient]:
    with GamedojoClient(api.connection(), retry=QUICK) as made:
        yield made


def build_upload(api: FakeApi) -> Answer:
    url = f"{api.origin}/bucket/uploads/1/MyGame.zip?X-Amz-Signature=abc"
    return Answer(201, {"key": "uploads/1/MyGame.zip", "upload_url": url, "method": "PUT", "expires_in_seconds": 900})


@pytest.mark.parametrize("bad", [Answer(503, {}), Answer(429, {"message": "Too Many Requests"}), Answer(drop=True)])
def test_a_read_is_repeated_until_it_succeeds(api: FakeApi, client: GamedojoClient, bad: Answer) -> None:
    api.script("GET", RUN_PATH, bad, bad, Answer(document=succeeded()))
    assert client.run(RUN_ID).status == "SUCCEEDED"
    assert len(api.received) == 3


@pytest.mark.parametrize("bad", [Answer(503, {}), Answer(drop=True), Answer(200, {"a": 1}, cut_after_bytes=3)])
def test_retries_are_bounded(api: FakeApi, client: GamedojoClient, bad: Answer) -> None:
    api.script("GET", RUN_PATH, bad)
    with pytest.raises((ApiError, UnreachableError)):
        client.run(RUN_ID)
    assert len(api.received) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 500])
def test_what_cannot_get_better_is_not_repeated(api: FakeApi, client: GamedojoClient, status: int) -> None:
    api.script("GET", RUN_PATH, problem(status, "Some", "thing"))
    with pytest.raises(ApiError) as caught:
        client.run(RUN_ID)
    assert (caught.value.status, len(api.received)) == (status, 1)


def test_the_start_of_a_run_is_repeated_because_the_same_request_is_the_same_run(
    api: FakeApi, client: GamedojoClient
) -> None:
    api.script("POST", "/training-runs", Answer(drop=True), Answer(503, {}), CREATED)
    assert client.create_run({"build": {"key": "uploads/1/x.zip"}, "seed": 3}).run_id == RUN_ID
    assert [call.json() for call in api.received] == [{"build": {"key": "uploads/1/x.zip"}, "seed": 3}] * 3


def test_the_pause_is_the_one_that_the_server_asks_for(api: FakeApi) -> None:
    pauses: list[float] = []
    api.script("GET", RUN_PATH, Answer(429, {}, headers={"retry-after": "7"}), Answer(document=succeeded()))
    with GamedojoClient(api.connection(), transport=Transport(retry=QUICK, sleep=pauses.append)) as client:
        client.run(RUN_ID)
    assert pauses == [7.0]


@pytest.mark.parametrize(
    ("until", "pause"),
    [
        ("Sun, 06 Nov 1994 08:49:46 GMT", 9.0),
        ("Sunday, 06-Nov-94 08:49:46 GMT", 9.0),
        ("Sun Nov  6 08:49:46 1994", 9.0),
        ("Sun, 06 Nov 1994 08:49:30 GMT", 0.0),
        ("Sun, 06 Nov 1994 09:49:37 GMT", 30.0),
        ("soon", 0.0),
        ("-7", 0.0),
    ],
)
def test_a_date_until_which_to_wait_is_one_by_the_servers_clock(api: FakeApi, until: str, pause: float) -> None:
    pauses: list[float] = []
    headers = {"date": "Sun, 06 Nov 1994 08:49:37 GMT", "retry-after": until}
    api.script("GET", RUN_PATH, Answer(503, {}, headers=headers), Answer(document=succeeded()))
    with GamedojoClient(api.connection(), transport=Transport(retry=QUICK, sleep=pauses.append)) as client:
        client.run(RUN_ID)
    assert pauses == [pytest.approx(pause, abs=QUICK.longest_delay_seconds)]


def test_an_answer_that_does_not_come_ends_as_unreachable(api: FakeApi) -> None:
    api.script("GET", RUN_PATH, Answer(document=succeeded(), delay_seconds=0.5))
    with (
        GamedojoClient(api.connection(), timeout_seconds=0.05, retry=QUICK) as client,
        pytest.raises(UnreachableError, match=r"did not answer in time \(tried 3 times\)") as caught,
    ):
        client.run(RUN_ID)
    assert "gamedojo local status" in caught.value.remedy


def test_a_refused_connection_says_where_nothing_is() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, not listening: nobody else can take the port
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with (
            GamedojoClient(Connection(control_url=url), retry=QUICK) as client,
            pytest.raises(UnreachableError, match=f"{url} cannot be reached"),
        ):
            client.policies()


def test_a_problem_document_is_read_whole(api: FakeApi, client: GamedojoClient) -> None:
    errors = [{"field": "hyperparameters.lrr", "message": "unknown field; did you mean 'lr'?"}]
    api.script("POST", "/training-runs", problem(400, "InvalidRequest", "1 field is wrong", "Correct it.", errors))
    with pytest.raises(ApiError) as caught:
        client.create_run({})
    error = caught.value
    assert (error.status, error.code, error.detail, error.remedy) == (
        400,
        "InvalidRequest",
        "1 field is wrong",
        "Correct it.",
    )
    assert error.errors == (FieldProblem("hyperparameters.lrr", "unknown field; did you mean 'lr'?"),)
    assert error.is_input_error


def test_api_gateways_own_error_says_what_to_do_about_the_key(api: FakeApi, client: GamedojoClient) -> None:
    api.script("GET", "/policies", Answer(403, {"message": "Forbidden"}))
    with pytest.raises(ApiError, match="Forbidden") as caught:
        client.policies()
    assert "key" in caught.value.remedy


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, body=b"<html>Login</html>", content_type="text/html"),
        Answer(302, body=b"", headers={"location": "https://elsewhere.example/"}),
        Answer(200, body=b""),
        Answer(200, {"runs": "none"}),
        Answer(200, []),
    ],
)
def test_an_answer_of_something_else_is_told_as_such(api: FakeApi, client: GamedojoClient, answer: Answer) -> None:
    api.script("GET", "/training-runs", answer)
    with pytest.raises(UnexpectedAnswerError):
        client.runs()


def test_an_html_error_page_is_not_poured_over_the_user(api: FakeApi, client: GamedojoClient) -> None:
    api.script("GET", "/policies", Answer(404, body=b"<html>nginx</html>", content_type="text/html"))
    with pytest.raises(ApiError) as caught:
        client.policies()
    assert "<html>" not in str(caught.value)


def test_each_api_gets_its_own_key(api: FakeApi, client: GamedojoClient) -> None:
    api.script("GET", "/policies", Answer(document={"policies": []}))
    api.script("POST", "/policies/basic/predict", Answer(document={"policy": "basic", "action": {"discrete": [2]}}))
    client.policies()
    client.predict("basic", [[0.0]])
    assert [call.headers["x-api-key"] for call in api.received] == ["control-key", "predict-key"]


def test_names_cannot_change_the_path(api: FakeApi, client: GamedojoClient) -> None:
    with pytest.raises(ApiError):
        client.run("../policies?x=1")
    assert api.received[0].path == "/training-runs/..%2Fpolicies%3Fx%3D1"


def test_a_proxy_of_the_environment_is_not_asked_for_the_own_machine(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    api.script("GET", RUN_PATH, Answer(document=succeeded()))
    with GamedojoClient(api.connection(), retry=QUICK) as client:
        assert client.run(RUN_ID).is_final


def test_a_build_is_sent_byte_for_byte_with_its_length(api: FakeApi, client: GamedojoClient, tmp_path: Path) -> None:
    build = tmp_path / "MyGame.zip"
    build.write_bytes(np.random.default_rng(1).bytes(700_001))
    seen: list[tuple[int, int]] = []
    api.script("POST", "/builds", build_upload(api))
    api.script(
        "PUT", "/bucket/uploads/1/MyGame.zip", Answer(500, body=b"<Error/>"), Answer(drop=True), Answer(body=b"")
    )
    api.script("POST", "/training-runs", CREATED)
    created = client.train(build, {"seed": 3}, on_progress=lambda sent, total: seen.append((sent, total)))
    assert created.run_id == RUN_ID
    puts = api.calls("PUT", "/bucket/uploads/1/MyGame.zip")
    assert len(puts) == 3
    assert puts[-1].body == build.read_bytes()
    assert "transfer-encoding" not in puts[-1].headers
    assert "x-api-key" not in puts[-1].headers
    assert (seen[0], seen[-1]) == ((0, 700_001), (700_001, 700_001))
    assert seen.count((0, 700_001)) == 3  # each try begins anew
    assert api.calls("POST", "/training-runs")[0].json() == {"seed": 3, "build": {"key": "uploads/1/MyGame.zip"}}


def test_an_empty_build_file_is_sent_as_it_is(api: FakeApi, client: GamedojoClient, tmp_path: Path) -> None:
    build = tmp_path / "empty.zip"
    build.write_bytes(b"")
    api.script("POST", "/builds", build_upload(api))
    api.script("PUT", "/bucket/uploads/1/MyGame.zip", Answer(body=b""))
    assert client.upload_build(build) == "uploads/1/MyGame.zip"


def test_a_refused_upload_has_the_buckets_words(api: FakeApi, client: GamedojoClient, tmp_path: Path) -> None:
    build = tmp_path / "MyGame.zip"
    build.write_bytes(b"PK")
    refusal = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
    api.script("POST", "/builds", build_upload(api))
    api.script("PUT", "/bucket/uploads/1/MyGame.zip", Answer(403, body=refusal, content_type="application/xml"))
    with pytest.raises(ApiError, match="Request has expired") as caught:
        client.train(build)
    assert caught.value.code == "AccessDenied"
    assert not api.calls("POST", "/training-runs")


def test_a_missing_build_is_told_before_anything_is_sent(api: FakeApi, client: GamedojoClient, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.zip is no file"):
        client.train(tmp_path / "none.zip")
    assert not api.received


def test_artifacts_appear_whole_or_not_at_all(api: FakeApi, client: GamedojoClient, tmp_path: Path) -> None:
    onnx = b"onnx" * 100_000
    api.script(
        "GET",
        f"{RUN_PATH}/artifacts",
        Answer(
            document={"artifacts": {"policies/Basic.onnx": f"{api.origin}/b/o", "report.json": f"{api.origin}/b/r"}}
        ),
    )
    api.script("GET", "/b/o", Answer(body=onnx, cut_after_bytes=1000), Answer(body=onnx))
    api.script("GET", "/b/r", Answer(body=b"{}", cut_after_bytes=1))
    with pytest.raises(UnreachableError):
        client.download_artifacts(RUN_ID, tmp_path / "out")
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert written == [tmp_path / "out" / "policies" / "Basic.onnx"]
    assert written[0].read_bytes() == onnx


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil", "..\\evil"])
def test_no_artifact_leaves_the_directory(api: FakeApi, client: GamedojoClient, tmp_path: Path, name: str) -> None:
    api.script("GET", f"{RUN_PATH}/artifacts", Answer(document={"artifacts": {name: f"{api.origin}/b"}}))
    api.script("GET", "/b", Answer(body=b"x"))
    (path,) = client.download_artifacts(RUN_ID, tmp_path / "out")
    assert (tmp_path / "out") in path.resolve().parents
    assert not (tmp_path / "evil").exists()


def test_runs_are_listed_page_by_page_up_to_the_limit(api: FakeApi, client: GamedojoClient) -> None:
    pages = [
        {"runs": [{**run_document(), "run_id": f"r{number}"}] * 2, "next_token": f"t{number}"} for number in range(9)
    ]
    api.script("GET", "/training-runs", *(Answer(document=page) for page in pages))
    found = list(client.iterate_runs(policy="basic", limit=5))
    assert [run.run_id for run in found] == ["r0", "r0", "r1", "r1", "r2"]
    assert [call.query for call in api.received] == [
        {"policy": "basic", "limit": "5"},
        {"policy": "basic", "limit": "3", "next_token": "t0"},
        {"policy": "basic", "limit": "1", "next_token": "t1"},
    ]


def test_a_prediction_takes_arrays_and_answers_typed_actions(api: FakeApi, client: GamedojoClient) -> None:
    actions = [{"continuous": [0.5, -1], "discrete": []}, {"continuous": [0, 1], "discrete": []}]
    api.script(
        "POST",
        "/policies/ball/predict",
        Answer(document={"policy": "ball", "version": "v1", "behavior": "3DBall", "actions": actions}),
    )
    answer = client.predict("ball", {"vector": np.ones((2, 3), np.float32)}, behavior="3DBall", deterministic=False)
    assert answer.actions == (Action(continuous=(0.5, -1.0)), Action(continuous=(0.0, 1.0)))
    assert answer.action is None
    assert api.received[0].json() == {
        "observations": {"vector": [[1.0, 1.0, 1.0]] * 2},
        "deterministic": False,
        "behavior": "3DBall",
    }


def test_nan_is_refused_with_its_place_and_nothing_is_sent(api: FakeApi, client: GamedojoClient) -> None:
    with pytest.raises(InputError, match=r"observations\[0\]\[1\] is nan"):
        client.predict("basic", [np.array([1.0, np.nan])])
    assert not api.received


def test_a_missing_url_is_named() -> None:
    with GamedojoClient(Connection(control_url="http://127.0.0.1:1")) as client:
        with pytest.raises(ConnectionSettingsError, match="predict API") as caught:
            client.predict("basic", [[1.0]])
        assert "GAMEDOJO_PREDICT_URL and GAMEDOJO_PREDICT_KEY" in caught.value.remedy


def test_a_folder_that_cannot_be_written_to_is_named(api: FakeApi, client: GamedojoClient, tmp_path: Path) -> None:
    api.script("GET", f"{RUN_PATH}/artifacts", Answer(document={"artifacts": {"a": f"{api.origin}/b"}}))
    api.script("GET", "/b", Answer(body=b"x"))
    (tmp_path / "out").write_text("a file")
    with pytest.raises(InputError, match="out: File exists"):
        client.download_artifacts(RUN_ID, tmp_path / "out")
    (tmp_path / "in" / "a.part").mkdir(parents=True)
    with pytest.raises(InputError, match="a: Is a directory"):
        client.download_artifacts(RUN_ID, tmp_path / "in")
