"""`python -m deploy up`: what is asked of Docker, ECR and sam, in which order, and what it says of what is missing."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from deploy.account import sign_in
from deploy.errors import DeploymentError
from deploy.registry import Pair, push_images
from deploy.sam import build_command
from deploy.shell import Shell
from deploy.stages import Stage, read_bootstrap, read_stage
from deploy.steps import deploy_stage
from local.images.engine import Engine
from tests.fakes.recorded_programs import Programs

CHECKOUT = Path(__file__).parents[3]
REGION = "eu-central-1"
IMAGES = Pair("localhost/gamedojo-training:0123456789ab", "localhost/gamedojo-inference:0123456789ab")
DEFAULTS = {"Runtime": "python3.12", "Architecture": "x86_64"}


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.setenv("AWS_REGION", REGION)
    with mock_aws():
        yield


@pytest.fixture
def bootstrap(aws: None) -> None:
    """The stack of deploy/bootstrap.yaml; moto passes over the bucket's policy."""
    boto3.client("cloudformation", region_name=REGION).create_stack(
        StackName="bootstrap-gamedojo-dev",
        TemplateBody=(CHECKOUT / "deploy" / "bootstrap.yaml").read_text(),
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    found = Programs(tmp_path / "bin")
    for name in ("docker", "python3.12"):
        found.add(name)
    monkeypatch.setenv("GAMEDOJO_SAM", str(found.add("sam")))
    monkeypatch.setenv("PATH", f"{found.folder}:/usr/bin:/bin")
    return found


def manifest(text: str) -> str:
    kind = "application/vnd.oci.image.manifest.v1+json"
    return json.dumps({"schemaVersion": 2, "mediaType": kind, "config": {"digest": f"sha256:{text}"}, "layers": []})


def in_registry(repository: str, tag: str) -> str:
    """Put an image there; returns its digest."""
    put = boto3.client("ecr", region_name=REGION).put_image(
        repositoryName=repository, imageTag=tag, imageManifest=manifest(repository + tag)
    )
    digest: str = put["image"]["imageId"]["imageDigest"]
    return digest


class Pushing(Shell):
    """Docker stands in for itself; what it pushes comes into the registry."""

    def run(self, command: Any, *, secret: str | None = None) -> None:
        super().run(command, secret=secret)
        if command[1] == "push":
            repository, _, tag = command[2].partition("/")[2].partition(":")
            in_registry(repository, tag)


def test_what_is_deployed_is_named_by_digest(bootstrap, programs, capfd):
    digests = [in_registry(f"gamedojo-dev-{kind}", "0123456789ab") for kind in ("training", "inference")]
    said: list[str] = []
    deploy_stage(
        CHECKOUT,
        "dev",
        dry=False,
        asks=True,
        say=said.append,
        build_images=lambda *_: (Engine(("docker",)), IMAGES),
    )
    build, deploy = programs.calls
    assert build["arguments"][:3] == ["build", "--config-env", "dev"]
    assert deploy["arguments"][:3] == ["deploy", "--config-env", "dev"]
    account = "123456789012"
    registry = f"{account}.dkr.ecr.{REGION}.amazonaws.com"
    assert set(deploy["arguments"]) >= {
        "Stage=dev",
        f"TrainingImageUri={registry}/gamedojo-dev-training@{digests[0]}",
        f"InferenceImageUri={registry}/gamedojo-dev-inference@{digests[1]}",
        f"PermissionsBoundaryArn=arn:aws:iam::{account}:policy/boundary-gamedojo-dev",
        f"arn:aws:iam::{account}:role/execution-gamedojo-dev",
        f"gamedojo-dev-artifacts-{account}-{REGION}",
    }
    assert {call["region"] for call in programs.calls} == {REGION}
    shown = capfd.readouterr().out.splitlines()
    assert [line.split()[2] for line in shown] == ["build", "deploy"], "each command is shown, and nothing was pushed"


def test_only_what_the_registry_lacks_is_pushed_by_its_password(bootstrap, programs, tmp_path):
    held = in_registry("gamedojo-dev-training", "0123456789ab")
    account = sign_in()
    made = read_bootstrap(account, read_stage(CHECKOUT, "dev"))
    pushed = push_images(IMAGES, made, account, ["docker"], Pushing(tmp_path))
    login, tag, push = programs.calls
    assert login["arguments"] == ["login", "--username", "AWS", "--password-stdin", made.registry]
    assert login["read"]
    assert login["read"] not in json.dumps(login["arguments"])
    assert tag["arguments"] == ["tag", IMAGES.inference, f"{made.inference_repository}:0123456789ab"]
    assert push["arguments"] == ["push", f"{made.inference_repository}:0123456789ab"]
    assert pushed.training == f"{made.training_repository}@{held}"
    assert pushed.inference.startswith(f"{made.inference_repository}@sha256:")


def test_a_push_that_fails_deploys_nothing(bootstrap, programs):
    programs.add("docker", status=3)
    with pytest.raises(DeploymentError, match=r"`docker login` ended with status 3"):
        deploy_stage(
            CHECKOUT, "dev", dry=False, asks=True, say=print, build_images=lambda *_: (Engine(("docker",)), IMAGES)
        )
    assert {call["program"] for call in programs.calls} == {"docker"}


def test_without_the_bootstrap_stack_it_is_told_who_makes_it(aws, programs):
    with pytest.raises(DeploymentError, match=r"bootstrap-gamedojo-prod in eu-central-1.*make bootstrap STAGE=prod"):
        deploy_stage(CHECKOUT, "prod", dry=False, asks=False, say=print, build_images=lambda *_: pytest.fail("built"))
    assert programs.calls == []


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "deploy", *arguments],
        cwd=CHECKOUT,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "AWS_EC2_METADATA_DISABLED": "true", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "No region is named. Set AWS_REGION"),
        ({"AWS_REGION": "us-east-1"}, "There are no credentials for AWS. Sign in"),
        ({"AWS_REGION": "us-east-1", "AWS_PROFILE": "absent"}, "could not be found. `aws configure list-profiles`"),
    ],
)
def test_what_is_missing_is_named_without_a_traceback(programs, environment, said):
    done = run("up", "--stage", "dev", GAMEDOJO_SAM=str(programs.folder / "sam"), **environment)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_dry_run_shows_every_command_and_needs_no_account(programs):
    done = run("up", "--stage", "prod", "--dry-run", GAMEDOJO_SAM=str(programs.folder / "sam"))
    assert done.returncode == 0, done.stderr
    shown = [line.split()[1:3] for line in done.stdout.splitlines()]
    assert [command[1] for command in shown] == ["-m", "login", "tag", "push", "tag", "push", "build", "deploy"]
    assert "--no-confirm-changeset" not in done.stdout, "production asks"
    assert programs.calls == []


def test_a_stage_that_is_not_there_is_refused_by_name():
    done = run("up", "--stage", "qa")
    assert (done.returncode, done.stderr) == (1, "samconfig.toml has no environment 'qa'; it has dev, prod.\n")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace('"Stage=prod"', '"Stage=dev"'), "the environment prod needs the stack_name"),
        (lambda text: text.replace('"Stage=prod"', '"Stage"'), "list of Name=value, which 'Stage' is not"),
        (lambda text: text.replace('stack_name = "gamedojo-prod"', ""), "[prod.global.parameters] has no stack_name"),
    ],
)
def test_a_stage_that_cannot_be_is_refused(tmp_path, change: Callable[[str], str], said):
    (tmp_path / "samconfig.toml").write_text(change((CHECKOUT / "samconfig.toml").read_text()))
    with pytest.raises(DeploymentError) as refused:
        read_stage(tmp_path, "prod")
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("machine", "parameters", "contained"),
    [
        ("x86_64", {}, False),
        ("aarch64", {}, True),
        ("aarch64", {"Architecture": "arm64"}, False),
        ("AMD64", {"Architecture": "arm64"}, True),
        ("x86_64", {"Runtime": "python3.99"}, True),
    ],
)
def test_functions_are_packed_in_a_container_where_the_machine_is_another(programs, machine, parameters, contained):
    stage = Stage("dev", "gamedojo-dev", {"Stage": "dev", **parameters})
    command = build_command("sam", stage, DEFAULTS, containers=True, machine=machine)
    assert ("--use-container" in command) is contained
    assert [f"{name}={value}" for name, value in stage.parameters.items()] == command[-len(stage.parameters) :]
    if contained:
        with pytest.raises(DeploymentError, match=f"This machine is {machine.lower()}"):
            build_command("sam", stage, DEFAULTS, containers=False, machine=machine)
