""".github/workflows: what they run exists, what they take is pinned, and who may deploy is who the role trusts."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.stages import read_stage

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
STAGE = re.compile(r"\$\{\{ github\.ref_type == 'tag' && '(\w+)' \|\| '(\w+)' \}\}")


class _Strings(yaml.BaseLoader):
    """`on` is a key, and no truth."""


def read(name: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.load((ROOT / ".github" / "workflows" / name).read_text(), Loader=_Strings)  # noqa: S506 - knows no tags
    return document


def steps(name: str) -> list[dict[str, Any]]:
    return [step for job in read(name)["jobs"].values() for step in job.get("steps", [])]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_actions_are_pinned_to_a_commit_that_says_its_version(path):
    used = re.findall(r"uses: (\S+)(.*)", path.read_text())
    assert used
    for action, rest in used:
        assert action.startswith("./") or re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action), action
        assert action.startswith("./") or re.search(r"# v\d+\.\d+\.\d+$", rest), action


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_job_may_what_it_says_and_keeps_no_secret(path):
    assert read(path.name)["permissions"] == {}
    assert "secrets." not in path.read_text()
    for job in read(path.name)["jobs"].values():
        assert job["permissions"].items() <= {"contents": "read", "id-token": "write"}.items()


def test_only_the_job_that_deploys_asks_for_a_token():
    asking = [
        (path.name, name)
        for path in FILES
        for name, job in read(path.name)["jobs"].items()
        if "id-token" in job["permissions"]
    ]
    assert asking == [("deploy.yml", "deploy")]


def test_nothing_is_deployed_unchecked():
    assert read("deploy.yml")["jobs"]["deploy"]["needs"] == "checks"
    assert read("deploy.yml")["jobs"]["checks"]["uses"] == "./.github/workflows/ci.yml"
    assert [step["run"] for step in steps("ci.yml") if "run" in step] == [".ci/run"]


def test_what_is_deployed_is_the_stage_of_the_environment():
    job = read("deploy.yml")["jobs"]["deploy"]
    assert job["environment"] == job["env"]["STAGE"]
    found = STAGE.fullmatch(job["environment"])
    assert found is not None
    assert [read_stage(ROOT, name).name for name in found.groups()] == ["prod", "dev"]
    assert read("deploy.yml")["concurrency"]["cancel-in-progress"] == "false"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_target_of_make_is_one(path):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    called = {word for step in steps(path.name) for word in re.findall(r"\bmake ([a-z-]+)", step.get("run", ""))}
    assert called <= targets
