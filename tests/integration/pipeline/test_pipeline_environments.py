"""A run on a mirrored environment: its zip is held against the hash that was written down when it was mirrored."""

import hashlib
import json
from typing import Any

import pytest

from pipeline.contracts.environments import MirrorRequest
from pipeline.contracts.run import RunStatus
from pipeline.rules.environments import build_key
from tests.fakes.pipeline_stack import PipelineStack
from tests.fakes.registry_zips import as_the_registry_zips

RUN_ID = "3dball-0123456789ab"


def event(stack: PipelineStack, key: str, sha256: str) -> dict[str, Any]:
    """What the API sends for a request that it has stored with the environment's zip."""
    request_key = f"runs/{RUN_ID}/request.json"
    request = {"policy": "3dball", "build": {"key": key, "sha256": sha256}}
    stack.put(request_key, json.dumps(request).encode())
    return {"source": "gamedojo.api", "run_id": RUN_ID, "request_key": request_key}


def test_a_zip_of_the_registrys_layout_trains(stack: PipelineStack, basic: bytes) -> None:
    body = as_the_registry_zips(basic)
    digest = hashlib.sha256(body).hexdigest()
    key = build_key("3DBall", digest)
    stack.put(key, body)
    _, record = stack.run(event(stack, key, digest))
    assert record.status is RunStatus.SUCCEEDED
    assert (record.source_key, record.build_sha256) == (key, digest)
    assert record.executable == "Startup/Basic.x86_64"


def test_a_zip_that_was_changed_since_fails_the_run_and_trains_nothing(stack: PipelineStack, basic: bytes) -> None:
    mirrored = hashlib.sha256(basic).hexdigest()
    key = build_key("3DBall", mirrored)
    stack.put(key, basic + b"\0")
    execution, record = stack.run(event(stack, key, mirrored))
    assert record.status is RunStatus.FAILED
    assert record.failure is not None
    assert (record.failure.code, record.failure.state) == ("BuildRejected", "AdmitRun")
    assert mirrored in record.failure.cause
    assert hashlib.sha256(basic + b"\0").hexdigest() in record.failure.cause
    assert "mirror it anew" in record.failure.remedy
    assert "StartTraining" not in execution["states"]


def test_a_stored_request_that_nobody_has_looked_up_is_an_invalid_request(stack: PipelineStack) -> None:
    told = event(stack, "registry/x", "0" * 64)
    stack.put(told["request_key"], json.dumps({"build": {"registry": "3DBall"}}).encode())
    _, record = stack.run(told)
    assert record.failure is not None
    assert record.failure.code == "InvalidRequest"
    assert "build.registry" in record.failure.cause


@pytest.mark.parametrize("environment", ["3DBall", "3DBallHard", "WallJump", "Soccer.Twos-2_v1"])
def test_ids_of_registries_fit(environment: str) -> None:
    assert MirrorRequest(environment=environment, key="uploads/1/x.zip", sha256="0" * 64, source="a folder")
