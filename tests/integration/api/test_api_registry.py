"""The control API's registry: uploads that become environments, and runs that name one by its id. S3 is moto's."""

import json
from typing import Any
from urllib.parse import quote

import pytest

from pipeline.api import environments
from pipeline.contracts.api import AcceptedRun
from pipeline.contracts.environments import DeletedEnvironment, RegistryEntry, RegistryListing
from pipeline.contracts.run import RunRecord
from tests.fakes.control_calls import call, document, problem
from tests.fakes.control_stack import BUCKET, Stack, control_stack

SHA256, OTHER = "1" * 64, "2" * 64
UPLOAD = "uploads/4f1c/Startup.zip"
URL = "https://registry.example/1.1.0/linux/Startup.zip"


@pytest.fixture
def stack():
    with control_stack() as made:
        made.put(UPLOAD, b"the zip")
        yield made


def mirror(environment: str = "3DBall", sha256: str = SHA256, **more: Any) -> Any:
    body = {"environment": environment, "key": UPLOAD, "sha256": sha256, "source": URL, **more}
    return call("POST", "/registry", body)


def keys(stack: Stack) -> list[str]:
    listed = stack.s3.list_objects_v2(Bucket=BUCKET, Prefix="registry/")
    return [one["Key"] for one in listed.get("Contents", [])]


def stored(stack: Stack, run_id: str) -> dict[str, Any]:
    body = stack.s3.get_object(Bucket=BUCKET, Key=f"runs/{run_id}/request.json")["Body"].read()
    return dict(json.loads(body))


def start(build: dict[str, Any], **options: Any) -> Any:
    return call("POST", "/training-runs", {"build": build, **options})


def test_nothing_is_mirrored_at_first(stack):
    assert document(call("GET", "/registry"), RegistryListing) == RegistryListing(environments=())


def test_an_upload_becomes_an_environment_that_does_without_the_upload(stack):
    entry = document(mirror(arguments=["--scene", "3DBall"], expected_return=100, description="Balls."), RegistryEntry)
    stack.s3.delete_object(Bucket=BUCKET, Key=UPLOAD)
    assert (entry.key, entry.size_bytes, entry.source) == (f"registry/3DBall/{SHA256}.zip", 7, URL)
    assert stack.s3.get_object(Bucket=BUCKET, Key=entry.key)["Body"].read() == b"the zip"
    assert document(call("GET", "/registry"), RegistryListing).environments == (entry,)
    assert not [key for key in keys(stack) if key.startswith("builds/")], "there, it would start a run"


def test_environments_are_listed_by_id(stack):
    for name in ("Walker", "3DBall", "Basic"):
        mirror(name)
    listed = document(call("GET", "/registry"), RegistryListing).environments
    assert [entry.environment for entry in listed] == ["3DBall", "Basic", "Walker"]


def test_the_same_zip_twice_is_once(stack):
    first = document(mirror(), RegistryEntry)
    assert document(mirror(), RegistryEntry) == first
    assert len(keys(stack)) == 2


def test_another_zip_is_refused_unless_it_is_to_replace_the_first(stack):
    mirror()
    refused = problem(mirror(sha256=OTHER), 409)
    assert SHA256 in refused.detail
    assert "--replace" in refused.remedy
    replaced = document(mirror(sha256=OTHER, replace=True), RegistryEntry)
    assert document(call("GET", "/registry"), RegistryListing).environments == (replaced,)
    assert f"registry/3DBall/{SHA256}.zip" in keys(stack), "runs that began with it go on"


def test_one_that_is_deleted_is_gone_with_all_its_zips_and_no_other_is(stack):
    kept = document(mirror("3DBallHard"), RegistryEntry)
    mirror()
    mirror(sha256=OTHER, replace=True)
    assert document(call("DELETE", "/registry/3DBall"), DeletedEnvironment).environment == "3DBall"
    assert document(call("GET", "/registry"), RegistryListing).environments == (kept,)
    assert keys(stack) == ["registry/3DBallHard.json", kept.key]
    assert problem(start({"registry": "3DBall"}), 404).code == "EnvironmentNotMirrored"
    assert document(mirror(), RegistryEntry).sha256 == SHA256, "and it may be mirrored anew, by another zip too"


@pytest.mark.parametrize("environment", ["3DBall", "..", "3DBallHard.json", "a b", "x" * 900])
def test_what_is_not_mirrored_cannot_be_deleted(stack, environment):
    mirror("3DBallHard")
    before = keys(stack)
    answer = call("DELETE", f"/registry/{quote(environment)}")
    assert answer["statusCode"] == 404, answer["body"]
    assert keys(stack) == before


def test_a_run_that_began_goes_on_without_its_environment(stack):
    entry = document(mirror(), RegistryEntry)
    run = document(start({"registry": "3DBall"}, seed=1), AcceptedRun, 202)
    call("DELETE", "/registry/3DBall")
    told = stored(stack, run.run_id)["build"]
    again = stack.s3.get_object(Bucket=BUCKET, Key=entry.key, VersionId=told["version_id"])["Body"].read()
    assert again == b"the zip", "AdmitRun copies the very version that the request names"


@pytest.mark.parametrize(("theirs", "status"), [(SHA256, 200), (OTHER, 409)])
def test_of_two_that_mirror_at_once_the_first_wins_and_the_other_learns_of_it(stack, monkeypatch, theirs, status):
    mirroring = environments.ObjectStore.copy

    def copy_while_another_comes(self: Any, source: str, target: str, version: str | None = None) -> None:
        mirroring(self, source, target, version)
        monkeypatch.setattr(environments.ObjectStore, "copy", mirroring)
        document(mirror(sha256=theirs, source="https://elsewhere.example/3DBall.zip"), RegistryEntry)

    monkeypatch.setattr(environments.ObjectStore, "copy", copy_while_another_comes)
    answer = mirror()
    assert answer["statusCode"] == status, answer["body"]
    (entry,) = document(call("GET", "/registry"), RegistryListing).environments
    assert (entry.sha256, entry.source) == (theirs, "https://elsewhere.example/3DBall.zip")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"environment": "../3DBall"}, "environment"),
        ({"environment": "3D/Ball"}, "environment"),
        ({"environment": ""}, "environment"),
        ({"key": "builds/3DBall.zip"}, "key"),
        ({"key": "runs/x/build.zip"}, "key"),
        ({"sha256": "abc"}, "sha256"),
        ({"sha256": "A" * 64}, "sha256"),
        ({"arguments": ["x"] * 21}, "arguments"),
    ],
)
def test_what_cannot_be_right_is_refused_by_name(stack, changes, field):
    assert problem(mirror(**changes), 400).errors[0].field == field


def test_an_upload_that_is_not_there_is_none(stack):
    assert problem(mirror(key="uploads/none/x.zip"), 404).code == "BuildNotFound"


def test_a_run_names_an_environment_and_is_stored_with_its_zip_and_arguments(stack):
    entry = document(mirror(arguments=["--scene", "3DBall"]), RegistryEntry)
    asked = {"environment": {"arguments": ["--mine"], "time_scale": 5}, "seed": 3}
    accepted = document(start({"registry": "3DBall"}, **asked), AcceptedRun, 202)
    kept = stored(stack, accepted.run_id)
    assert kept["build"].pop("version_id")
    assert kept == {
        "build": {"key": entry.key, "sha256": SHA256},
        "environment": {"arguments": ["--scene", "3DBall", "--mine"], "time_scale": 5},
        "policy": "3dball",
        "seed": 3,
    }
    record = document(call("GET", f"/training-runs/{accepted.run_id}"), RunRecord)
    assert record.source_key == entry.key


def test_what_a_run_was_told_may_be_sent_again_as_it_is(stack):
    mirror(arguments=["--scene", "3DBall"])
    first = document(start({"registry": "3DBall"}), AcceptedRun, 202)
    again = document(call("POST", "/training-runs", stored(stack, first.run_id)), AcceptedRun, 202)
    assert again.run_id == first.run_id


def test_a_new_zip_is_a_new_run_and_the_same_is_the_same(stack):
    mirror()
    runs = [document(start({"registry": "3DBall"}), AcceptedRun, 202).run_id for _ in range(2)]
    mirror(sha256=OTHER, replace=True)
    runs.append(document(start({"registry": "3DBall"}), AcceptedRun, 202).run_id)
    assert runs[0] == runs[1] != runs[2]


def test_an_environment_that_is_not_mirrored_is_told_with_those_that_are_and_the_way(stack):
    for name in ("Walker", "Basic"):
        mirror(name)
    found = problem(start({"registry": "3DBall"}), 404)
    assert found.code == "EnvironmentNotMirrored"
    assert "mirrored are: Basic, Walker." in found.detail
    assert "gamedojo registry mirror 3DBall" in found.remedy
    assert "--from" in found.remedy
    assert stack.executions() == []


def test_a_pin_is_held_against_what_is_mirrored(stack):
    mirror()
    assert start({"registry": "3DBall", "sha256": SHA256})["statusCode"] == 202
    refused = problem(start({"registry": "3DBall", "sha256": OTHER}), 400)
    assert refused.errors[0].field == "build.sha256"
    assert SHA256 in refused.errors[0].message


@pytest.mark.parametrize(
    "build",
    [
        {},
        {"sha256": SHA256},
        {"key": UPLOAD, "registry": "3DBall"},
        {"registry": "3DBall", "version_id": "1"},
        {"registry": "../x"},
    ],
)
def test_a_build_is_named_in_one_way(stack, build):
    mirror()
    assert problem(start(build), 400).errors[0].field.startswith("build")


def test_a_key_that_names_a_sample_says_how_to_have_it(stack):
    found = problem(start({"key": "uploads/3DBall"}), 404)
    assert "gamedojo registry mirror 3DBall" in found.remedy
    assert "make sample-builds" in found.remedy
