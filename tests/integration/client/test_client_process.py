"""The command line as a program of its own: terminals, signals, pipes."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.api_server import Answer, FakeApi
from tests.fakes.run_documents import RUN_ID, succeeded, training

RUN_PATH = f"/training-runs/{RUN_ID}"
GAMEDOJO = (sys.executable, "-m", "gamedojo.cli")
ROOT = Path(__file__).parents[3]


def environment(api: FakeApi) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GAMEDOJO_")}
    return {**kept, **api.environment(), "PYTHONPATH": str(ROOT / "clients" / "python"), "TERM": "xterm"}


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.02)


def test_a_pipe_gets_plain_lines_and_the_exit_code(api: FakeApi) -> None:
    api.script("GET", RUN_PATH, Answer(document=training()), Answer(document=succeeded()))
    command = [*GAMEDOJO, "watch", RUN_ID, "--poll-seconds", "0.1"]
    done = subprocess.run(command, env=environment(api), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert "is in service at the endpoint gamedojo-dev-basic" in done.stdout


@pytest.mark.parametrize("arguments", [["watch", RUN_ID], ["watch", RUN_ID, "--json"]])
def test_ctrl_c_stops_watching_and_says_that_the_run_goes_on(api: FakeApi, arguments: list[str]) -> None:
    api.script("GET", RUN_PATH, Answer(document=training()))
    with subprocess.Popen(
        [*GAMEDOJO, *arguments], env=environment(api), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        wait_for(lambda: bool(api.calls("GET", RUN_PATH)), "the first look at the run")
        assert process.stdout is not None
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert f"the run goes on. Look again with: gamedojo watch {RUN_ID}" in stderr
    assert "Traceback" not in stderr


def test_ctrl_c_ends_an_upload_at_once_and_the_next_one_goes_on(api: FakeApi, tmp_path: Path) -> None:
    game = tmp_path / "MyGame.zip"
    with zipfile.ZipFile(game, "w") as archive:
        archive.writestr("MyGame.x86_64", bytes(64 * 1024**2))  # from here on, builds go in parts
    part, count = 16 * 1024**2, 5
    ticket = {"build_id": "b1", "key": "uploads/b1/MyGame.zip", "method": "MULTIPART", "part_size_bytes": part}
    urls = [{"number": n, "upload_url": f"{api.origin}/bucket/{n}"} for n in range(1, count + 1)]
    api.script("POST", "/builds", Answer(201, {**ticket, "part_count": count, "parts": urls}))
    for number in range(1, count + 1):
        api.script("PUT", f"/bucket/{number}", Answer(body=b"", delay_seconds=600))
    variables = {**environment(api), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    command = [*GAMEDOJO, "builds", "upload", str(game)]
    with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        wait_for(lambda: any(one.method == "PUT" for one in api.received), "the first part")
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert (process.returncode, output, errors.strip()) == (130, "", "Interrupted.")
    (note,) = (tmp_path / "cache").rglob("*.json")
    assert json.loads(note.read_text())["build_id"] == "b1"


def test_a_reader_that_leaves_early_ends_the_program_quietly(api: FakeApi) -> None:
    api.script("GET", "/training-runs", Answer(document={"runs": [succeeded()] * 900, "next_token": None}))
    command = f"'{sys.executable}' -m gamedojo.cli runs --limit 900 --json | head -c 100"
    done = subprocess.run(
        ["bash", "-c", command], env=environment(api), capture_output=True, text=True, timeout=60, check=False
    )
    assert "Traceback" not in done.stderr


def read_terminal(master: int, process: subprocess.Popen[bytes]) -> str:
    """Everything that the program wrote to the terminal until it ended."""
    output = b""
    while True:
        readable, _, _ = select.select([master], [], [], 0.2)
        try:
            chunk = os.read(master, 65536) if readable else b""
        except OSError:  # the other end is closed
            chunk = b""
        output += chunk
        if not chunk and process.poll() is not None:
            return output.decode()


def test_on_a_terminal_the_picture_is_redrawn_and_the_cursor_comes_back(api: FakeApi) -> None:
    api.script(
        "GET", RUN_PATH, *[Answer(document=training(steps)) for steps in (1_000, 2_000)], Answer(document=succeeded())
    )
    master, slave = pty.openpty()
    try:
        command = [*GAMEDOJO, "watch", RUN_ID, "--poll-seconds", "0.3"]
        with subprocess.Popen(command, env=environment(api), stdin=slave, stdout=slave, stderr=slave) as process:
            os.close(slave)
            output = read_terminal(master, process)
    finally:
        os.close(master)
    assert process.returncode == 0
    for expected in ("1,000 of 50,000", "2,000 of 50,000", "\x1b[1A", "✓"):
        assert expected in output
    assert output.rindex("\x1b[?25h") > output.rindex("\x1b[?25l")
    assert "is in service" in output.splitlines()[-1]


def test_the_connection_file_is_enough(api: FakeApi, tmp_path: Path) -> None:
    api.script("GET", "/training-runs", Answer(document={"runs": [training()], "next_token": None}))
    variables = environment(api)
    names = {"control_url": "GAMEDOJO_CONTROL_URL", "control_key": "GAMEDOJO_CONTROL_KEY"}
    (tmp_path / ".gamedojo").mkdir()
    document = {name: variables[variable] for name, variable in names.items()}
    (tmp_path / ".gamedojo" / "connection.json").write_text(json.dumps(document))
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    bare = {name: value for name, value in variables.items() if not name.startswith("GAMEDOJO_")}
    command = [*GAMEDOJO, "runs", "--json"]
    done = subprocess.run(command, env=bare, cwd=below, capture_output=True, text=True, timeout=60, check=False)
    assert json.loads(done.stdout) == [training()]
