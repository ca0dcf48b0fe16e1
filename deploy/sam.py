"""The commands of `sam` that build and deploy a stage."""

import platform
import shutil
from collections.abc import Mapping
from pathlib import Path

from deploy.errors import DeploymentError
from deploy.registry import Pair
from deploy.stages import Bootstrap, Stage

MACHINES = {"x86_64": ("x86_64", "amd64"), "arm64": ("arm64", "aarch64")}
"""Lambda's architectures, as machines call themselves."""


def build_command(
    sam: str, stage: Stage, defaults: Mapping[str, str], *, containers: bool, machine: str = ""
) -> list[str]:
    """Pack the functions for the stage's runtime and architecture, in a container where this machine is not of them.

    Args:
        sam: the program.
        stage: says which.
        defaults: of template.yaml's parameters.
        containers: whether Docker is there.
        machine: as `uname -m` names it; this one by default.

    Raises:
        DeploymentError: a container is needed, and Docker is not there.
    """
    chosen = {**defaults, **stage.parameters}
    runtime, architecture = chosen["Runtime"], chosen["Architecture"]
    command = [sam, "build", "--config-env", stage.name, "--parameter-overrides"]
    command += [f"{name}={value}" for name, value in stage.parameters.items()]
    machine = (machine or platform.machine()).lower()
    if shutil.which(runtime) and machine in MACHINES[architecture]:
        return command
    if not containers:
        raise DeploymentError(
            f"The functions are packed by {runtime} on {architecture}, for some of their packages are compiled. This "
            f"machine is {machine}{'' if shutil.which(runtime) else f' and has no {runtime}'}, and there is no Docker, "
            f"in which sam would do it. Install {runtime} or Docker, or name this machine's own by Runtime=… and "
            "Architecture=… in samconfig.toml."
        )
    return [*command[:4], "--use-container", *command[4:]]


def stack_parameters(stage: Stage, bootstrap: Bootstrap, images: Pair) -> dict[str, str]:
    """Those of template.yaml that differ from its defaults."""
    return {
        **stage.parameters,
        "TrainingImageUri": images.training,
        "InferenceImageUri": images.inference,
        "PermissionsBoundaryArn": bootstrap.boundary,
    }


def deploy_command(sam: str, stage: Stage, bootstrap: Bootstrap, images: Pair, *, asks: bool) -> list[str]:
    """Deploy what was built. `asks`: a change set is confirmed at the terminal, if samconfig.toml says so."""
    parameters = stack_parameters(stage, bootstrap, images)
    return [
        sam, "deploy", "--config-env", stage.name,
        "--s3-bucket", bootstrap.bucket,
        "--role-arn", bootstrap.execution_role,
        *([] if asks else ["--no-confirm-changeset"]),
        "--parameter-overrides", *(f"{name}={value}" for name, value in parameters.items()),
    ]  # fmt: skip


def bootstrap_command(sam: str, stage: Stage, checkout: Path, parameters: Mapping[str, str]) -> list[str]:
    """Make or change the stage's bootstrap stack."""
    return [
        sam, "deploy", "--template-file", str(checkout / "deploy" / "bootstrap.yaml"),
        "--stack-name", stage.bootstrap_stack,
        "--capabilities", "CAPABILITY_NAMED_IAM",
        "--no-fail-on-empty-changeset", "--confirm-changeset",
        "--tags", "project=gamedojo", f"stage={stage.name}",
        "--parameter-overrides", *(f"{name}={value}" for name, value in {"Stage": stage.name, **parameters}.items()),
    ]  # fmt: skip
