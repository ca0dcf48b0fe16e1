"""A registry on a server, and a stack to mirror it into; and the command that does it."""

import hashlib
import io
import os
import zipfile
from typing import Any

from typer.testing import CliRunner, Result

from gamedojo.cli.app import app
from tests.fakes.api_server import Answer, FakeApi

SCENE = "--mlagents-scene-name"


def zip_of(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(f"Startup/{name}", bytes(1000))
    return buffer.getvalue()


STARTUP, BASIC = zip_of("Startup.x86_64"), zip_of("Basic.x86_64")


DIGESTS = {body: hashlib.sha256(body).hexdigest() for body in (STARTUP, BASIC)}


def manifest(origin: str) -> str:
    return f"""
environments:
  - 3DBall:
      expected_reward: 100
      description: |
        ## 3D Balance Ball
        - Agents: 12
      linux_url: {origin}/linux/Startup.zip
      darwin_url: {origin}/darwin/Startup.zip
      win_url: null
      additional_args: [{SCENE}, Assets/3DBall.unity]
  - WallJump:
      linux_url: {origin}/linux/Startup.zip
      additional_args: [{SCENE}, Assets/WallJump.unity]
  - Basic:
      expected_reward: 0.93
      linux_url: {origin}/linux/Basic.zip
  - OnlyForMacs:
      darwin_url: {origin}/darwin/OnlyForMacs.zip
"""


def serve(server: FakeApi) -> None:
    server.script("GET", "/manifest.yaml", Answer(body=manifest(server.origin).encode(), content_type="text/yaml"))
    server.script("GET", "/linux/Startup.zip", Answer(body=STARTUP, content_type="application/zip"))
    server.script("GET", "/linux/Basic.zip", Answer(body=BASIC, content_type="application/zip"))


def entry(environment: str, **fields: Any) -> dict[str, Any]:
    known = {"environment": environment, "key": f"registry/{environment}/x.zip", "sha256": "0" * 64, "size_bytes": 5}
    return {**known, "source": "https://registry.example/x.zip", "mirrored_at": "2026-01-01T00:00:00+00:00"} | fields


def stand_up(api: FakeApi, *mirrored: dict[str, Any]) -> None:
    """A stack that has these environments, and takes more."""
    api.script("GET", "/registry", Answer(document={"environments": list(mirrored)}))
    count = 0

    def place(body: dict[str, Any]) -> Answer:
        nonlocal count
        count += 1
        build_id = f"{count:032x}"
        api.script("PUT", f"/bucket/{count}", Answer(body=b""))
        api.script("DELETE", f"/builds/{build_id}", Answer(document={"build_id": build_id}))
        url = f"{api.origin}/bucket/{count}"
        key = f"uploads/{build_id}/{body['file_name']}"
        return Answer(201, {"build_id": build_id, "key": key, "upload_url": url})

    api.script_by_body("POST", "/builds", place)
    asked = ("environment", "key", "sha256", "source", "arguments", "expected_return", "description")
    api.script_by_body("POST", "/registry", lambda body: Answer(document=entry(**{name: body[name] for name in asked})))


def call(api: FakeApi | None, *arguments: object) -> Result:
    variables: dict[str, Any] = {name: None for name in os.environ if name.startswith("GAMEDOJO_")}
    environment = {**variables, **(api.environment() if api else {}), "COLUMNS": "200"}
    return CliRunner().invoke(app, ["registry", *map(str, arguments)], env=environment)


def posted(api: FakeApi) -> list[dict[str, Any]]:
    return [one.json() for one in api.calls("POST", "/registry")]


def sent(api: FakeApi) -> list[bytes]:
    return [one.body for one in api.received if one.method == "PUT"]
