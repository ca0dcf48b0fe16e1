"""Which options a run goes by: a request's, or gamedojo.json's inside a dropped zip."""

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.aws.objects import ObjectStore
from pipeline.aws.runs_table import RunsTable
from pipeline.contracts.request import RunOptions
from pipeline.contracts.states import RunReference
from pipeline.settings import PriceSettings
from pipeline.steps.admission import Admission, admit
from pipeline.steps.building import inspect_build
from sample_builds.packer import pack
from tests.fakes.control_stack import BUCKET, Stack, control_stack, moto_client


@pytest.fixture
def stack() -> Iterator[Stack]:
    with control_stack() as made:
        yield made


@pytest.fixture(scope="module")
def basic(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return pack("Basic", tmp_path_factory.mktemp("basic")).read_bytes()


def with_options(build: bytes, options: dict[str, Any]) -> bytes:
    buffer = io.BytesIO(build)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("gamedojo.json", json.dumps(options))
    return buffer.getvalue()


def inspected(stack: Stack, key: str, body: bytes, requested: RunOptions | None, times: int = 1) -> RunOptions:
    """The options in the record after InspectBuild; the record lies in a table in between, as in a run."""
    objects = ObjectStore(stack.s3, BUCKET)
    runs = RunsTable(moto_client("dynamodb"), stack.environment["RUNS_TABLE"])
    version_id = stack.put(key, body)
    admission = Admission(run_id="basic-1", policy="basic", source_key=key, version_id=version_id, options=requested)
    run: RunReference = admit("arn:execution", admission, objects, runs)
    for _ in range(times):
        inspect_build(run, "InspectBuild", PriceSettings.from_environment(), objects, runs)
    written = json.loads(objects.read("runs/basic-1/options.json"))
    assert written["seed"] == runs.get("basic-1").options.seed
    return runs.get("basic-1").options


@pytest.mark.parametrize("times", [1, 2])
def test_the_zips_own_options_configure_a_dropped_build_also_when_the_state_is_retried(
    stack: Stack, basic: bytes, times: int
) -> None:
    options = inspected(stack, "builds/Basic.zip", with_options(basic, {"seed": 7}), None, times)
    assert options == RunOptions(seed=7)


def test_a_dropped_build_without_options_gets_the_defaults(stack: Stack, basic: bytes) -> None:
    assert inspected(stack, "builds/Basic.zip", basic, None) == RunOptions()


@pytest.mark.parametrize("key", ["uploads/1/Basic.zip", "builds/Basic.zip"])
def test_a_request_is_taken_as_it_is(stack: Stack, basic: bytes, key: str) -> None:
    requested = RunOptions(seed=3)
    assert inspected(stack, key, with_options(basic, {"seed": 7}), requested) == requested


@pytest.mark.parametrize("times", [1, 2])
def test_what_is_to_be_said_of_the_build_is_noted_once_in_the_record(stack: Stack, basic: bytes, times: int) -> None:
    buffer = io.BytesIO(basic)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("GameAssembly.so", b"")
    inspected(stack, "builds/Basic.zip", buffer.getvalue(), None, times)
    runs = RunsTable(moto_client("dynamodb"), stack.environment["RUNS_TABLE"])
    notes = runs.get("basic-1").notes
    assert [note.setting for note in notes] == ["build"]
    assert "IL2CPP" in notes[0].note
