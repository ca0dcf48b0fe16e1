"""The client's keys: in no message, no log and no line of the command line, whatever goes wrong."""

import logging
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gamedojo import ApiError, Connection, GamedojoClient, GamedojoError, RetryPolicy
from gamedojo.cli.app import app
from tests.fakes.api_server import Answer, FakeApi

SECRET = "SeCrEt-key-of-nobody-0123456789"
QUICK = RetryPolicy(attempts=2, first_delay_seconds=0.001, longest_delay_seconds=0.002)
ANSWERS = [
    Answer(document={"policies": []}),
    Answer(403, {"message": "Forbidden"}),
    Answer(500, body=b"<html>", content_type="text/html"),
    Answer(200, {"policies": "none"}),
    Answer(302, body=b"", headers={"location": "https://elsewhere.example/"}),
    Answer(drop=True),
]


@pytest.mark.parametrize("answer", ANSWERS)
def test_no_error_and_no_log_holds_a_key(api: FakeApi, caplog: pytest.LogCaptureFixture, answer: Answer) -> None:
    caplog.set_level(logging.DEBUG)
    api.script("GET", "/policies", answer)
    connection = Connection(control_url=api.url, control_key=SECRET, predict_url=api.url, predict_key=SECRET)
    told = repr(connection)
    with GamedojoClient(connection, retry=QUICK) as client:
        try:
            client.policies()
        except GamedojoError as error:
            told += f"{error!r} {error.remedy} {vars(error)}"
    assert api.received[0].headers["x-api-key"] == SECRET
    assert SECRET not in told + " ".join(str(vars(one)) for one in caplog.records)


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("arguments", [("policies",), ("policies", "--json"), ("health",), ("health", "--json")])
def test_no_command_prints_a_key(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch, answer: Answer, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setattr(RetryPolicy, "delay_seconds", lambda *_, **__: 0.001)
    for path in ("/policies", "/health"):
        api.script("GET", path, answer)
    variables = {name: None for name in os.environ if name.startswith("GAMEDOJO_")} | api.environment()
    result = CliRunner().invoke(
        app, list(arguments), env=variables | {"GAMEDOJO_CONTROL_KEY": SECRET, "GAMEDOJO_PREDICT_KEY": SECRET}
    )
    assert api.received[0].headers["x-api-key"] == SECRET
    assert SECRET not in result.output + result.stderr + str(result.exception)


def test_a_bucket_gets_no_key(api: FakeApi, tmp_path: Path) -> None:
    api.script("GET", "/training-runs/r/artifacts", Answer(document={"artifacts": {"a": f"{api.origin}/b"}}))
    with GamedojoClient(api.connection(), retry=QUICK) as client, pytest.raises(ApiError):
        client.download_artifacts("r", tmp_path)
    assert "x-api-key" not in api.calls("GET", "/b")[0].headers
