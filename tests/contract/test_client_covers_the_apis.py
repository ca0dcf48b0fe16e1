"""Every operation of the OpenAPI documents: a method of both clients and a command, and what they send."""

import json
import os
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from typer.testing import CliRunner

from gamedojo import ApiError, AsyncGamedojoClient, GamedojoClient
from gamedojo.cli.app import app
from tests.fakes.api_server import Answer, FakeApi, Received

ROOT = Path(__file__).parents[2]
DOCUMENTS = {name: json.loads((ROOT / f"docs/openapi.{name}.json").read_text()) for name in ("control", "predict")}
OPERATIONS = {
    (api, operation["operationId"]): (method.upper(), path, operation)
    for api, document in DOCUMENTS.items()
    for path, methods in document["paths"].items()
    for method, operation in methods.items()
}
SHA256 = "0" * 64

METHODS: dict[tuple[str, str], tuple[str, tuple[Any, ...], dict[str, Any]]] = {
    ("control", "listRuns"): (
        "runs",
        (),
        {"policy": "p", "status": "RUNNING", "build_sha256": SHA256, "limit": 3, "next_token": "t"},
    ),
    ("control", "startRun"): ("create_run", ({"build": {"key": "uploads/1/x.zip"}, "policy": "p"},), {}),
    ("control", "getRun"): ("run", ("r",), {}),
    ("control", "cancelRun"): ("cancel", ("r",), {}),
    ("control", "redriveRun"): ("redrive", ("r",), {}),
    ("control", "getMetrics"): ("metrics", ("r",), {"behavior": "B", "metrics": ["a", "b"], "points": 9}),
    ("control", "getLogs"): ("logs", ("r",), {"job": "training", "limit": 9, "next_token": "t"}),
    ("control", "getReport"): ("report", ("r",), {}),
    ("control", "getArtifacts"): ("artifacts", ("r",), {}),
    ("control", "listBuilds"): ("builds", (), {"limit": 3, "next_token": "t"}),
    ("control", "newBuild"): ("new_build", ("MyGame.zip", 7), {}),
    ("control", "getBuild"): ("build", ("b",), {}),
    ("control", "deleteBuild"): ("delete_build", ("b",), {}),
    ("control", "getPartUrls"): ("part_urls", ("b", 101, 10), {}),
    ("control", "completeBuild"): ("complete_build", ("b", 7), {}),
    ("control", "listEnvironments"): ("registry", (), {}),
    ("control", "mirrorEnvironment"): (
        "mirror_environment",
        ("3DBall", "uploads/1/3DBall.zip", SHA256, "https://registry.example/3DBall.zip"),
        {"arguments": ["--scene", "3DBall"], "expected_return": 100.0, "description": "Balls.", "replace": True},
    ),
    ("control", "deleteEnvironment"): ("delete_environment", ("e",), {}),
    ("control", "listPolicies"): ("policies", (), {}),
    ("control", "getPolicy"): ("policy", ("p",), {}),
    ("control", "deletePolicy"): ("delete_policy", ("p",), {}),
    ("control", "getHistory"): ("policy_history", ("p",), {}),
    ("control", "getTraffic"): ("traffic", ("p",), {"window": "24h"}),
    ("control", "rollBack"): ("rollback", ("p", "p-1"), {}),
    ("control", "wake"): ("wake", ("p",), {}),
    ("control", "getHealth"): ("health", (), {}),
    ("control", "getDescription"): ("description", (), {}),
    ("predict", "predict"): (
        "predict",
        ("p", {"Sensor": [[0.5, 1.0]]}),
        {"behavior": "B", "action_masks": [[1, 0]], "deterministic": False, "state": [None]},
    ),
    ("predict", "getHealth"): ("health", ("predict",), {}),
    ("predict", "getDescription"): ("description", ("predict",), {}),
}
COMMANDS: dict[tuple[str, str], tuple[str, ...]] = {
    ("control", "listRuns"): ("runs", "--policy", "p", "--status", "RUNNING", "--build-sha256", SHA256),
    ("control", "startRun"): ("train", "ZIP", "--no-watch"),
    ("control", "getRun"): ("show", "r"),
    ("control", "cancelRun"): ("cancel", "r"),
    ("control", "redriveRun"): ("redrive", "r"),
    ("control", "getMetrics"): ("metrics", "r", "--metric", "a", "--metric", "b", "--behavior", "B", "--points", "9"),
    ("control", "getLogs"): ("logs", "r", "--job", "training", "--lines", "9"),
    ("control", "getReport"): ("report", "r"),
    ("control", "getArtifacts"): ("artifacts", "r"),
    ("control", "listBuilds"): ("builds", "list"),
    ("control", "newBuild"): ("builds", "upload", "ZIP"),
    ("control", "getBuild"): ("builds", "show", "b"),
    ("control", "deleteBuild"): ("builds", "delete", "b", "--yes"),
    ("control", "getPartUrls"): ("builds", "upload", "LARGE"),
    ("control", "completeBuild"): ("builds", "upload", "LARGE"),
    ("control", "listEnvironments"): ("registry", "list"),
    ("control", "mirrorEnvironment"): ("registry", "mirror", "small", "--from", "FOLDER"),
    ("control", "deleteEnvironment"): ("registry", "delete", "e", "--yes"),
    ("control", "listPolicies"): ("policies",),
    ("control", "getPolicy"): ("policies", "show", "p"),
    ("control", "deletePolicy"): ("policies", "delete", "p", "--yes"),
    ("control", "getHistory"): ("policies", "history", "p"),
    ("control", "getTraffic"): ("policies", "traffic", "p", "--window", "7d"),
    ("control", "rollBack"): ("policies", "rollback", "p", "--to", "p-1"),
    ("control", "wake"): ("policies", "wake", "p"),
    ("control", "getHealth"): ("health",),
    ("control", "getDescription"): ("openapi",),
    ("predict", "predict"): ("predict", "p", "--observation", '{"Sensor": [0.5]}', "--masks", "[1]", "--state", "null"),
    ("predict", "getHealth"): ("health",),
    ("predict", "getDescription"): ("openapi", "--api", "predict"),
}
KEYS = {"control": "control-key", "predict": "predict-key"}


@pytest.fixture
def server() -> Iterator[FakeApi]:
    with FakeApi().running() as running:
        yield running


def fits(received: Received, api: str, name: str) -> None:
    """What was sent is what the document lets one send."""
    method, template, operation = OPERATIONS[api, name]
    assert received.method == method
    assert re.fullmatch(re.sub(r"{\w+}", "[^/]+", template), received.path)
    assert received.headers["x-api-key"] == KEYS[api]
    places = {(one["in"], one["name"]) for one in operation["parameters"]}
    assert {("query", query) for query in received.query} <= places
    for parameter in operation["parameters"]:
        if parameter["in"] == "query" and parameter["name"] in received.query:
            text = received.query[parameter["name"]]
            value = int(text) if parameter["schema"]["type"] == "integer" else text
            jsonschema.validate(value, parameter["schema"])
    if ("header", "Idempotency-Key") in places:
        assert re.fullmatch(r"[\x21-\x7e]{1,255}", received.headers["idempotency-key"])
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        jsonschema.validate(received.json(), {**schema, "components": DOCUMENTS[api]["components"]})
    else:
        assert not received.body


def test_no_operation_is_left_out() -> None:
    assert set(METHODS) == set(COMMANDS) == set(OPERATIONS)


@pytest.mark.parametrize("operation", METHODS, ids="-".join)
def test_a_method_sends_what_the_document_takes(server: FakeApi, operation: tuple[str, str]) -> None:
    name, arguments, options = METHODS[operation]
    with GamedojoClient(server.connection()) as client, pytest.raises(ApiError):
        getattr(client, name)(*arguments, **options)  # nothing is scripted, so the answer is 404
    (received,) = server.received
    fits(received, *operation)
    assert set(received.query) == set(options if received.method == "GET" else ())


@pytest.mark.parametrize("operation", METHODS, ids="-".join)
async def test_both_clients_send_the_same(server: FakeApi, operation: tuple[str, str]) -> None:
    name, arguments, options = METHODS[operation]
    async with AsyncGamedojoClient(server.connection()) as client:
        with pytest.raises(ApiError):
            await getattr(client, name)(*arguments, **options)
    with GamedojoClient(server.connection()) as client, pytest.raises(ApiError):
        getattr(client, name)(*arguments, **options)
    one, other = server.received
    assert (one.method, one.path, one.query, one.body) == (other.method, other.path, other.query, other.body)
    varying = {"idempotency-key", "host"}
    assert {k: v for k, v in one.headers.items() if k not in varying} == {
        k: v for k, v in other.headers.items() if k not in varying
    }


@pytest.mark.parametrize("operation", COMMANDS, ids="-".join)
def test_a_command_asks_for_it(
    server: FakeApi, operation: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gamedojo.uploading.IN_PARTS_FROM_BYTES", 1000)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    script_uploads(server)
    small, large = zip_of(tmp_path / "small.zip", 10), zip_of(tmp_path / "large.zip", 2000)
    zips = {"ZIP": small, "LARGE": large, "FOLDER": str(tmp_path)}
    variables = {name: None for name in os.environ if name.startswith("GAMEDOJO_")} | server.environment()
    CliRunner().invoke(app, [zips.get(word, word) for word in COMMANDS[operation]], env=variables)
    method, template, _ = OPERATIONS[operation]
    pattern, key = re.sub(r"{\w+}", "[^/]+", template), KEYS[operation[0]]
    received = [
        one
        for one in server.received
        if one.method == method and re.fullmatch(pattern, one.path) and one.headers.get("x-api-key") == key
    ]
    assert received, server.received
    fits(received[0], *operation)


def zip_of(path: Path, size: int) -> str:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("MyGame.x86_64", bytes(size))
    return str(path)


def script_uploads(server: FakeApi) -> None:
    """A build is sent whole or, of a size, in one part, for whose URL the client must ask."""
    ticket = {"build_id": "b", "key": "uploads/b/small.zip", "upload_url": f"{server.origin}/bucket/x"}
    server.script("GET", "/registry", Answer(document={"environments": []}))
    in_parts = {
        "build_id": "b",
        "key": "uploads/b/large.zip",
        "method": "MULTIPART",
        "part_size_bytes": 10**6,
        "part_count": 1,
    }
    server.script_by_body("POST", "/builds", lambda body: Answer(201, in_parts if "size_bytes" in body else ticket))
    server.script("PUT", "/bucket/x", Answer(body=b""))
    part = {"parts": [{"number": 1, "upload_url": f"{server.origin}/bucket/x"}]}
    server.script("POST", "/builds/b/parts", Answer(document=part))
