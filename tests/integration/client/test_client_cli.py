import json
import os
import zipfile
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from gamedojo.cli.app import app, build_app
from gamedojo.cli.plugins import add_contributed_commands
from tests.fakes.api_server import Answer, FakeApi, problem
from tests.fakes.run_documents import RUN_ID, failed, kept, run_document, succeeded, training

RUN_PATH = f"/training-runs/{RUN_ID}"
CREATED = Answer(202, {"run_id": RUN_ID, "policy": "basic", "status": "RUNNING", "links": {}})
UNKNOWN = problem(404, "RunNotFound", "No run has this id.", "List the runs to find the id.")
FAST = ("--poll-seconds", "0.1")


@pytest.fixture
def game(tmp_path: Path) -> Path:
    path = tmp_path / "MyGame.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("MyGame.x86_64", b"\x7fELF")
    return path


def call(api: FakeApi | None, *arguments: object, stdin: str | None = None) -> Result:
    variables = {name: None for name in os.environ if name.startswith("GAMEDOJO_")}
    environment = {**variables, **(api.environment() if api else {}), "COLUMNS": "200"}
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env=environment, input=stdin)


def script_upload(api: FakeApi) -> None:
    url = f"{api.origin}/bucket/uploads/1/MyGame.zip"
    api.script("POST", "/builds", Answer(201, {"key": "uploads/1/MyGame.zip", "upload_url": url, "method": "PUT"}))
    api.script("PUT", "/bucket/uploads/1/MyGame.zip", Answer(body=b""))


def test_train_uploads_posts_and_follows_to_the_end(api: FakeApi, game: Path, tmp_path: Path) -> None:
    script_upload(api)
    api.script("POST", "/training-runs", CREATED)
    api.script("GET", RUN_PATH, UNKNOWN, Answer(document=training()), Answer(document=succeeded()))
    config = tmp_path / "request.json"
    config.write_text('{"seed": 4, "stop": {"env_steps": 1000}}')
    arguments = ("--config", config, "--set", "hyperparameters.lr=0.0003", "--policy", "mine", *FAST)
    result = call(api, "train", game, *arguments)
    assert result.exit_code == 0, result.output
    assert api.calls("POST", "/training-runs")[0].json() == {
        "seed": 4,
        "stop": {"env_steps": 1000},
        "hyperparameters": {"lr": 0.0003},
        "policy": "mine",
        "build": {"key": "uploads/1/MyGame.zip"},
    }
    assert api.calls("PUT", "/bucket/uploads/1/MyGame.zip")[0].body == game.read_bytes()
    assert "Evaluated mean return 0.930" in result.stdout
    assert "uploaded MyGame.zip" in result.stderr


def test_train_without_watching_prints_the_run_and_nothing_else_on_stdout(api: FakeApi, game: Path) -> None:
    script_upload(api)
    api.script("POST", "/training-runs", CREATED)
    assert call(api, "train", game, "--no-watch").stdout == RUN_ID + "\n"
    assert json.loads(call(api, "train", game, "--no-watch", "--json").stdout)["run_id"] == RUN_ID
    assert not api.calls("GET", RUN_PATH)


def test_a_refused_request_names_each_field_and_leaves_with_2(api: FakeApi, game: Path) -> None:
    script_upload(api)
    errors = [{"field": "hyperparameters.lrr", "message": "unknown field; did you mean 'lr'?"}]
    api.script("POST", "/training-runs", problem(400, "InvalidRequest", "1 field is wrong.", "Correct it.", errors))
    result = call(api, "train", game, "--set", "hyperparameters.lrr=1")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-3:] == [
        "Error (InvalidRequest): 1 field is wrong.",
        "  hyperparameters.lrr: unknown field; did you mean 'lr'?",
        "Remedy: Correct it.",
    ]


def test_a_single_problem_is_told_once(api: FakeApi, game: Path) -> None:
    script_upload(api)
    errors = [{"field": "seed", "message": "must be 0 or more"}]
    api.script(
        "POST", "/training-runs", problem(400, "InvalidRequest", "seed: must be 0 or more", "Correct it.", errors)
    )
    assert call(api, "train", game).stderr.count("must be 0 or more") == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.zip", None, "is no file"),
        ("fake.zip", b"not a zip", "is no zip file"),
        ("empty.zip", b"", "is no zip file"),
    ],
)
def test_what_is_no_zip_is_not_uploaded(
    api: FakeApi, tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    result = call(api, "train", tmp_path / name)
    assert (result.exit_code, api.received) == (2, [])
    assert message in result.stderr
    assert "Remedy: " in result.stderr


@pytest.mark.parametrize(("document", "code"), [(succeeded(), 0), (kept(), 0), (failed(), 1)])
def test_the_exit_code_of_watch_is_the_runs_outcome(api: FakeApi, document: dict, code: int) -> None:
    api.script("GET", RUN_PATH, Answer(document=training()), Answer(document=document))
    result = call(api, "watch", RUN_ID, *FAST)
    assert result.exit_code == code
    assert document["status"] in result.stdout


def test_a_failed_run_says_cause_and_remedy(api: FakeApi) -> None:
    api.script("GET", RUN_PATH, Answer(document=failed()))
    lines = call(api, "watch", RUN_ID).stdout.splitlines()
    assert lines[-2:] == [
        "Failed in InspectBuild (BuildRejected): The zip holds no Linux program.",
        "Remedy: Build for Linux (x86_64) in Unity and zip the folder.",
    ]


def test_watch_as_json_is_one_record_a_line(api: FakeApi) -> None:
    api.script("GET", RUN_PATH, Answer(document=training()), Answer(document=training()), Answer(document=succeeded()))
    result = call(api, "watch", RUN_ID, "--json", *FAST)
    assert [json.loads(line) for line in result.stdout.splitlines()] == [training(), succeeded()]


def test_watching_a_run_that_is_cancelled_leaves_with_1(api: FakeApi) -> None:
    api.script("GET", RUN_PATH, Answer(document=run_document("CheckTraining", "CANCELLED")))
    result = call(api, "watch", RUN_ID, *FAST)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1].startswith("Cancelled. ")


@pytest.mark.parametrize(
    ("document", "status", "words"),
    [
        (run_document("CheckTraining", "CANCELLED"), 202, "is cancelled."),
        (run_document("CheckTraining", "CANCELLED"), 200, "is cancelled."),
        (succeeded(), 200, "was over: SUCCEEDED."),
    ],
)
def test_cancel_says_what_became_of_the_run(api: FakeApi, document: dict, status: int, words: str) -> None:
    api.script("DELETE", RUN_PATH, Answer(status, document))
    result = call(api, "cancel", RUN_ID)
    assert (result.exit_code, result.stdout.strip()) == (0, f"{RUN_ID} {words}")
    assert json.loads(call(api, "cancel", RUN_ID, "--json").stdout) == document


def test_a_run_that_cannot_be_cancelled_is_told(api: FakeApi) -> None:
    api.script("DELETE", "/training-runs/nope", UNKNOWN)
    assert call(api, "cancel", "nope").exit_code == 3


def test_a_redriven_run_is_followed_to_its_end(api: FakeApi) -> None:
    api.script("POST", f"{RUN_PATH}/redrive", Answer(202, run_document("AdmitRun")))
    api.script("GET", RUN_PATH, Answer(document=training()), Answer(document=succeeded()))
    assert call(api, "redrive", RUN_ID, *FAST).exit_code == 0
    assert call(api, "redrive", RUN_ID, "--no-watch").stdout.strip() == f"{RUN_ID} goes on."
    assert json.loads(call(api, "redrive", RUN_ID, "--no-watch", "--json").stdout) == run_document("AdmitRun")


def test_a_run_that_cannot_be_redriven_says_why(api: FakeApi) -> None:
    refusal = problem(409, "Conflict", "The run is SUCCEEDED.", "Start a new run.")
    api.script("POST", f"{RUN_PATH}/redrive", refusal)
    result = call(api, "redrive", RUN_ID)
    assert result.exit_code == 5
    assert "The run is SUCCEEDED." in result.stderr


def test_an_unknown_run_is_told_at_once(api: FakeApi) -> None:
    api.script("GET", "/training-runs/nope", UNKNOWN)
    result = call(api, "watch", "nope")
    assert result.exit_code == 3
    assert result.stderr.splitlines() == [
        "Error (RunNotFound): No run has this id.",
        "Remedy: List the runs to find the id.",
    ]


@pytest.mark.parametrize(
    ("observation", "sent"),
    [
        ("[0, 1, 0]", [[0, 1, 0]]),
        ("[[0, 1, 0], [5]]", [[0, 1, 0], [5]]),
        ('{"vector": [0, 1]}', {"vector": [0, 1]}),
        ("[[[0, 1], [1, 0]]]", [[[0, 1], [1, 0]]]),
    ],
)
def test_predict_takes_one_sensor_several_or_named_ones(api: FakeApi, observation: str, sent: object) -> None:
    answer = {"policy": "basic", "version": "v", "behavior": "Basic", "action": {"continuous": [], "discrete": [2]}}
    api.script("POST", "/policies/basic/predict", Answer(document=answer))
    result = call(api, "predict", "basic", "--observation", observation)
    assert result.stdout == "discrete 2\n"
    assert api.received[0].json() == {"observations": sent}


def test_predict_reads_files_and_stdin_and_prints_batches_and_json(api: FakeApi, tmp_path: Path) -> None:
    actions = [{"continuous": [0.25], "discrete": [1]}, {"continuous": [-1], "discrete": [0]}]
    answer = {"policy": "basic", "version": "v", "behavior": "Basic", "actions": actions}
    api.script("POST", "/policies/basic/predict", Answer(document=answer))
    path = tmp_path / "request.json"
    path.write_text('{"observations": [[[1], [2]]], "deterministic": true}')
    result = call(api, "predict", "basic", "--file", path, "--sample", "--behavior", "Basic")
    assert result.stdout.splitlines() == ["discrete 1   continuous 0.25", "discrete 0   continuous -1"]
    assert json.loads(call(api, "predict", "basic", "--file", "-", "--json", stdin="[3]").stdout) == answer
    assert [one.json() for one in api.received] == [
        {"observations": [[[1], [2]]], "deterministic": False, "behavior": "Basic"},
        {"observations": [[3]]},
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "An observation is needed"),
        (("--observation", "[1]", "--file", "x"), "Give either --observation or --file"),
        (("--observation", "[1"), "The observation is not JSON"),
        (("--observation", "[NaN]"), "NaN, which is no JSON number"),
        (("--observation", "7"), "no list and no object"),
        (("--observation", "[]"), "no list and no object"),
        (("--file", "/no/such/file"), "cannot be read"),
    ],
)
def test_bad_observations_are_told_before_anything_is_sent(
    api: FakeApi, arguments: tuple[str, ...], message: str
) -> None:
    result = call(api, "predict", "basic", *arguments)
    assert (result.exit_code, api.received) == (2, [])
    assert message in result.stderr


def test_a_wrong_shape_has_the_apis_words(api: FakeApi) -> None:
    refusal = problem(400, "InvalidObservation", "obs_0 has 3 values, not 20.", "Send 20.")
    api.script("POST", "/policies/basic/predict", refusal)
    result = call(api, "predict", "basic", "--observation", "[1, 2, 3]")
    assert result.exit_code == 2
    assert "obs_0 has 3 values, not 20." in result.stderr


def test_runs_as_a_table_and_as_json(api: FakeApi) -> None:
    page = {"runs": [{**succeeded(), "run_id": "new"}, {**failed(), "run_id": "old"}], "next_token": None}
    api.script("GET", "/training-runs", Answer(document=page))
    result = call(api, "runs", "--policy", "basic", "--status", "failed", "--limit", "7")
    _, new, old = result.stdout.splitlines()
    assert new.split()[:3] == ["new", "basic", "SUCCEEDED"]
    assert "0.930" in new
    assert "BuildRejected" in old
    assert api.received[0].query == {"policy": "basic", "status": "FAILED", "limit": "7"}
    assert json.loads(call(api, "runs", "--json").stdout) == page["runs"]


def test_no_runs_leave_stdout_empty(api: FakeApi) -> None:
    api.script("GET", "/training-runs", Answer(document={"runs": [], "next_token": None}))
    result = call(api, "runs")
    assert (result.stdout, result.stderr, result.exit_code) == ("", "No runs.\n", 0)


def test_policies_are_listed_and_described(api: FakeApi) -> None:
    behavior = {
        "name": "Basic",
        "onnx": "policies/Basic.onnx",
        "observations": [{"name": "obs_0", "shape": [20]}],
        "actions": {"continuous_size": 0, "discrete_branches": [3]},
    }
    current = {"policy": "basic", "version": RUN_ID, "endpoint_name": "gamedojo-dev-basic", "spec_key": "k"}
    described = {
        **current,
        "spec": {"format_version": 1, "policy": "basic", "version": RUN_ID, "behaviors": [behavior]},
    }
    api.script("GET", "/policies", Answer(document={"policies": [current]}))
    api.script("GET", "/policies/basic", Answer(document=described))
    assert call(api, "policies").stdout.splitlines()[1].split() == ["basic", RUN_ID, "gamedojo-dev-basic"]
    words = call(api, "policies", "show", "basic").stdout.split()
    assert words[words.index("observes") :] == ["observes", "obs_0", "20", "acts", "discrete", "3"]
    assert json.loads(call(api, "policies", "show", "basic", "--json").stdout) == described


def test_artifacts_are_written_and_listed(api: FakeApi, tmp_path: Path) -> None:
    api.script("GET", f"{RUN_PATH}/artifacts", Answer(document={"artifacts": {"Basic.onnx": f"{api.origin}/bucket/o"}}))
    api.script("GET", "/bucket/o", Answer(body=b"onnx"))
    result = call(api, "artifacts", RUN_ID, "--output", tmp_path / "out")
    assert result.stdout == f"{tmp_path}/out/Basic.onnx  4 B\n"
    assert (tmp_path / "out" / "Basic.onnx").read_bytes() == b"onnx"


def test_without_a_stack_every_command_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for arguments in (("runs",), ("watch", "x"), ("policies",), ("predict", "p", "--observation", "[1]")):
        result = call(None, *arguments)
        assert result.exit_code == 2
        assert "gamedojo local up" in result.stderr
        assert "Traceback" not in result.stderr


@pytest.mark.parametrize("arguments", [("trian",), ("cancel",), ("runs", "--limit", "0"), ("runs", "--nope")])
def test_wrong_usage_leaves_with_2(arguments: tuple[str, ...]) -> None:
    assert call(None, *arguments).exit_code == 2


contributed = typer.Typer()


@contributed.command()
def greet() -> None:
    typer.echo("hello from a contributed command")


@contributed.command()
def leave() -> None: ...


def test_contributed_commands_are_added_and_broken_ones_cost_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    program = build_app()
    points = [
        EntryPoint(name, value, "gamedojo.commands")
        for name, value in (
            ("good", f"{__name__}:contributed"),
            ("missing", "no_such_package_at_all:app"),
            ("wrong", "json:dumps"),
        )
    ]
    add_contributed_commands(program, points)
    warnings = capsys.readouterr().err.splitlines()
    assert len(warnings) == 2
    assert "`gamedojo missing` is not available: ModuleNotFoundError" in warnings[0]
    assert "`gamedojo wrong` is not available: TypeError" in warnings[1]
    result = CliRunner().invoke(program, ["good", "greet"])
    assert result.stdout == "hello from a contributed command\n"
    assert CliRunner().invoke(program, ["runs", "--help"]).exit_code == 0


def test_completion_knows_the_commands() -> None:
    result = CliRunner().invoke(
        app,
        [],
        prog_name="gamedojo",
        env={"_GAMEDOJO_COMPLETE": "complete_bash", "COMP_WORDS": "gamedojo wa", "COMP_CWORD": "1"},
    )
    assert result.stdout.split() == ["watch"]


def test_a_running_run_lists_with_its_progress(api: FakeApi) -> None:
    page = {"runs": [training(), run_document()], "next_token": None}
    api.script("GET", "/training-runs", Answer(document=page))
    lines = call(api, "runs").stdout.splitlines()
    assert lines[1].split()[2:5] == ["RUNNING", "CheckTraining", "10,240"]
