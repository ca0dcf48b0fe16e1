"""`gamedojo watch` as a person sees it: on a pseudo-terminal, against an API on a real socket, read off the screen."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.api_server import Answer, FakeApi, problem
from tests.fakes.run_documents import RUN_ID, at, failed, kept, run_document, succeeded, training
from tests.fakes.terminal import Terminal, on_terminal

RUN_PATH = f"/training-runs/{RUN_ID}"
ROOT = Path(__file__).parents[3]
WATCH = (sys.executable, "-m", "gamedojo.cli", "watch", "--poll-seconds", "0.1")
SERIES = {
    "run_id": RUN_ID,
    "status": "RUNNING",
    "progress": {},
    "behaviors": [
        {
            "behavior": "Basic",
            "iterations": 3,
            "columns": {
                "env_steps": [1000, 2000, 3000],
                "mean_return": [0.0, 0.2, 0.3],
                "mean_episode_length": [20, 15, 12.5],
                "policy_loss": [-0.5, -0.25, -0.125],
                "vf_loss": [1.5, 1.25, 0.75],
                "entropy": [1.1, 1.0, 0.9],
            },
            "warnings": [
                {"behavior": "Basic", "code": "LargeKl", "cause": "Updates are large.", "remedy": "Lower lr."}
            ],
        }
    ],
}
PRICED = {
    "options": {"seed": 0, "stop": {"env_steps": 50_000, "mean_return": 0.9}},
    "training_job": {"name": "t", "status": "Completed", "started_at": at(2), "ended_at": at(38)},
    "estimate": {
        name: {
            "instance_type": "ml.c7i.large",
            "instance_count": 1,
            "spot": True,
            "max_seconds": 3600,
            "usd_per_hour": 3.6,
            "max_usd": 3.6,
        }
        for name in ("training", "evaluation")
    }
    | {"max_usd": 7.2, "prices": "of today"},
}


def environment(api: FakeApi, **more: str) -> dict[str, str]:
    dropped = ("GAMEDOJO_", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "TTY_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    here = {"PYTHONPATH": str(ROOT / "clients" / "python"), "TERM": "xterm-256color", "LANG": "C.UTF-8"}
    return {**kept, **api.environment(), **here, **more}


def script_running(api: FakeApi, *lists: list[dict[str, Any]]) -> None:
    api.script("GET", "/training-runs", *(Answer(document={"runs": runs, "next_token": None}) for runs in lists))


def cells(terminal: Terminal, title: str) -> dict[str, str]:
    """The first row below a line of titles."""
    lines = terminal.lines
    index = next(index for index, line in enumerate(lines) if line.startswith(title))
    return dict(zip(*(re.split(r"  +", line.strip()) for line in lines[index : index + 2]), strict=True))


def test_a_training_is_seen_whole_on_one_screen(api: FakeApi) -> None:
    api.script("GET", RUN_PATH, Answer(document={**training(5_000, 0.4), **PRICED}))
    api.script("GET", f"{RUN_PATH}/metrics", Answer(document=SERIES))
    with on_terminal([*WATCH, RUN_ID], environment(api)) as terminal:
        screen = terminal.wait_for("Updates are large.")
        for words in ("✓ Inspect the build", " Train", "· Evaluate", "5,000 of 50,000", "0.400 of 0.900"):
            assert words in screen
        assert "at most 37.4 s left" in screen
        assert "cost about 0.0360 USD of at most 7.20 USD" in screen
        assert "! Basic: Updates are large. Lower lr." in screen
        assert cells(terminal, "behavior") == {
            "behavior": "Basic",
            "return": "0.400",
            "curve": "▁▅▆█",
            "best": "0.400",
            "length": "12.5",
            "env steps/s": "1,204",
            "policy loss": "-0.125",
            "value loss": "0.75",
            "entropy": "0.9",
        }
        assert terminal.style_of("Train").fg == "cyan"
        assert terminal.style_of("Admit the run").fg == "green"
        assert not terminal.shows_cursor


def test_the_picture_stays_one_picture_while_it_changes_and_ends_with_the_verdict(api: FakeApi) -> None:
    states = [
        run_document(),
        run_document("InspectBuild"),
        *(training(steps, 0.3) for steps in range(1_000, 5_000, 500)),
    ]
    api.script("GET", RUN_PATH, *(Answer(document=one) for one in states), Answer(document=succeeded()))
    with on_terminal([*WATCH, RUN_ID], environment(api)) as terminal:
        assert terminal.end() == 0
        screen = terminal.text
        assert screen.count("Admit the run") == 1
        assert "✓ Verify the endpoint" in screen
        assert screen.splitlines()[-3:] == [
            "Evaluated mean return 0.930 (95 % interval 0.930 to 0.930) over 100 episodes.",
            "Promoted. no policy is in service yet",
            "The policy basic is in service at the endpoint gamedojo-dev-basic.",
        ]
        assert terminal.shows_cursor


@pytest.mark.parametrize(
    ("document", "code", "words"),
    [
        (failed(), 1, "Remedy: Build for Linux (x86_64) in Unity and zip the folder."),
        (kept(), 0, "Not deployed. mean return 0.05 is below the gate of 0.9"),
        (run_document("CheckTraining", "CANCELLED"), 1, "Cancelled. What the run had started is stopped"),
    ],
)
def test_every_end_says_why_and_has_its_exit_code(api: FakeApi, document: dict, code: int, words: str) -> None:
    api.script("GET", RUN_PATH, Answer(document=document))
    with on_terminal([*WATCH, RUN_ID], environment(api)) as terminal:
        assert terminal.end() == code
        assert words in terminal.text.splitlines()[-1]


@pytest.mark.parametrize(("columns", "rows"), [(40, 40), (100, 12), (40, 14)])
def test_a_small_terminal_shows_a_small_picture(api: FakeApi, columns: int, rows: int) -> None:
    api.script("GET", RUN_PATH, *(Answer(document=training(steps, 0.3)) for steps in (1_000, 2_000, 3_000)))
    api.script("GET", f"{RUN_PATH}/metrics", Answer(document=SERIES))
    with on_terminal([*WATCH, RUN_ID], environment(api), columns, rows) as terminal:
        screen = terminal.wait_for(lambda text: "Updates are large." in text and "3,000 of 50,000" in text)
        assert screen.count("elapsed") == 1
        assert "Train" in screen
        assert len(screen.splitlines()) <= rows


def test_a_terminal_that_becomes_wider_is_filled(api: FakeApi) -> None:
    api.script("GET", RUN_PATH, Answer(document=training()))
    api.script("GET", f"{RUN_PATH}/metrics", Answer(document=SERIES))
    with on_terminal([*WATCH, RUN_ID], environment(api), 50, 40) as terminal:
        assert "policy loss" not in terminal.wait_for("Updates are large.")
        terminal.resize(120, 40)
        terminal.wait_for("policy loss")


def test_without_color_there_is_none_and_the_marks_still_say_it(api: FakeApi) -> None:
    api.script("GET", RUN_PATH, Answer(document=failed()))
    with on_terminal([*WATCH, RUN_ID], environment(api, NO_COLOR="1")) as terminal:
        assert terminal.end() == 1
        assert "✗ Inspect the build" in terminal.text
        assert not re.search(rb"\x1b\[[0-9;]*(3[0-8]|9[0-7])[0-9;]*m", terminal.raw)


@pytest.mark.parametrize("term", ["dumb", "unknown"])
def test_a_dumb_terminal_gets_lines_without_a_single_escape(api: FakeApi, term: str) -> None:
    api.script("GET", RUN_PATH, Answer(document=training()), Answer(document=succeeded()))
    with on_terminal([*WATCH, RUN_ID], environment(api, TERM=term)) as terminal:
        assert terminal.end() == 0
        assert b"\x1b" not in terminal.raw
        assert "2.0 s  StartTraining" in terminal.text


def test_ctrl_c_leaves_the_run_alone_and_says_how_to_come_back(api: FakeApi) -> None:
    api.script("GET", RUN_PATH, Answer(document=training()))
    with on_terminal([*WATCH, RUN_ID], environment(api)) as terminal:
        terminal.wait_for("10,240 of 50,000")
        terminal.type_interrupt()
        assert terminal.end() == 130
        assert f"the run goes on. Look again with: gamedojo watch {RUN_ID}" in terminal.text
        assert terminal.shows_cursor
        assert "Traceback" not in terminal.text
    assert {one.method for one in api.received} == {"GET"}


def test_a_lost_connection_is_told_and_waited_for(api: FakeApi) -> None:
    lost = [Answer(drop=True)] * 8
    unavailable = [problem(503, "ServiceUnavailable", "Come again.")] * 2
    api.script("GET", RUN_PATH, Answer(document=training()), *lost, *unavailable, Answer(document=succeeded()))
    with on_terminal([*WATCH, RUN_ID], environment(api)) as terminal:
        screen = terminal.wait_for("still trying: ")
        assert "no answer for " in screen
        assert "10,240 of 50,000" in screen, "what was known stays"
        assert terminal.end() == 0
        assert "still trying" not in terminal.text
        assert "is in service" in terminal.text


def test_a_refused_key_is_no_outage(api: FakeApi) -> None:
    api.script("GET", RUN_PATH, Answer(document=training()), Answer(403, {"message": "Forbidden"}))
    with on_terminal([*WATCH, RUN_ID], environment(api)) as terminal:
        assert terminal.end() == 4
        assert "Remedy: Check the API key" in terminal.text
        assert terminal.shows_cursor


@pytest.mark.parametrize("arguments", [[RUN_ID], ["ball-1", "ball-2"]])
def test_plain_lines_are_whole_in_themselves(api: FakeApi, arguments: list[str]) -> None:
    for run_id in arguments:
        path = f"/training-runs/{run_id}"
        documents = [{**document, "run_id": run_id} for document in (training(), succeeded())]
        api.script("GET", path, *(Answer(document=document) for document in documents))
    done = subprocess.run(
        [*WATCH, *arguments],
        env=environment(api, FORCE_COLOR="1", TTY_COMPATIBLE="1"),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "\x1b[?25l" not in done.stdout
    assert "\x1b[1A" not in done.stdout, "a CI's log has colors and cannot take anything back"
    for run_id in arguments:
        mine = [line for line in done.stdout.splitlines() if len(arguments) == 1 or line.startswith(f"{run_id}  ")]
        assert sum("  VerifyEndpoint" in line for line in mine) == 1
        assert sum("10.0 s" in line for line in mine) == 1


def test_json_of_several_runs_is_a_record_a_line(api: FakeApi) -> None:
    script_running(api, [other(training(), "ball-1"), other(training(), "ball-2")], [])
    for run_id in ("ball-1", "ball-2"):
        api.script("GET", f"/training-runs/{run_id}", Answer(document=other(succeeded(), run_id)))
    done = subprocess.run(
        [*WATCH, "--json"], env=environment(api), capture_output=True, text=True, timeout=60, check=True
    )
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert sorted((one["run_id"], one["status"]) for one in records) == [
        ("ball-1", "RUNNING"),
        ("ball-1", "SUCCEEDED"),
        ("ball-2", "RUNNING"),
        ("ball-2", "SUCCEEDED"),
    ]


def other(document: dict[str, Any], run_id: str) -> dict[str, Any]:
    return {**document, "run_id": run_id}


def test_without_a_run_all_that_are_running_are_shown_and_those_that_begin(api: FakeApi) -> None:
    one, two, three = (other(training(), run_id) for run_id in ("ball-1", "ball-2", "ball-3"))
    script_running(api, [two, one], [two, one], [three, one], [three], [])
    api.script("GET", "/training-runs/ball-1", Answer(document=other(succeeded(), "ball-1")))
    api.script("GET", "/training-runs/ball-2", Answer(document=other(failed(), "ball-2")))
    api.script("GET", "/training-runs/ball-3", Answer(document=other(kept(), "ball-3")))
    with on_terminal(WATCH, environment(api), 120) as terminal:
        screen = terminal.wait_for("ball-2")
        assert "ball-1" in screen
        assert "ball-3" not in screen
        assert terminal.end() == 1, "one has failed"
        rows = [line.split()[:2] for line in terminal.lines if re.match(r"ball-\d  ", line)]
        assert rows == [["ball-1", "SUCCEEDED"], ["ball-2", "FAILED"], ["ball-3", "KEPT"]]
        assert "ball-2: Failed in InspectBuild (BuildRejected): The zip holds no Linux program." in terminal.text
        assert "ball-3: Evaluated mean return 0.050" in terminal.text
    asked = [received.query["status"] for received in api.calls("GET", "/training-runs")]
    assert set(asked) == {"RUNNING"}


def test_without_any_run_it_ends_and_says_so(api: FakeApi) -> None:
    script_running(api, [])
    with on_terminal(WATCH, environment(api)) as terminal:
        assert terminal.end() == 0
        assert terminal.text.endswith("No run is running. `gamedojo runs` lists those that have ended.")


def test_ctrl_c_while_several_are_watched_leaves_them_alone(api: FakeApi) -> None:
    api.script("GET", "/training-runs/ball-1", Answer(document=other(training(), "ball-1")))
    api.script("GET", "/training-runs/ball-2", Answer(document=other(failed(), "ball-2")))
    with on_terminal([*WATCH, "ball-1", "ball-2"], environment(api)) as terminal:
        terminal.wait_for("BuildRejected")
        terminal.type_interrupt()
        assert terminal.end() == 130
        assert "the runs go on. Look again with: gamedojo watch ball-1 ball-2" in terminal.text
        assert "ball-2: Failed in InspectBuild" in terminal.text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_process_that_is_ended_shows_the_cursor_again(api: FakeApi, number: signal.Signals) -> None:
    api.script("GET", RUN_PATH, Answer(document=training()))
    with on_terminal([*WATCH, RUN_ID], environment(api)) as terminal:
        terminal.wait_for("10,240 of 50,000")
        terminal.process.send_signal(number)
        assert terminal.end() == 128 + number
        assert terminal.shows_cursor
