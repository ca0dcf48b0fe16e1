"""What `python -m deploy` does: an administrator's bootstrap stack, and a stage's own."""

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from deploy.account import sign_in
from deploy.errors import DeploymentError
from deploy.registry import UNBUILT, Pair, push_images
from deploy.release import read_release, release_built
from deploy.sam import bootstrap_command, build_command, deploy_command, stack_parameters
from deploy.shell import Shell
from deploy.stages import read_bootstrap, read_stage, unread_bootstrap
from deploy.template import parameter_defaults
from local.errors import ImageError
from local.images import build
from local.images.engine import Engine, find_engine
from local.progress import Progress, Say

SAM_VARIABLE = "GAMEDOJO_SAM"
BuildImages = Callable[[Path, Say], tuple[Engine, Pair]]


def make_bootstrap(checkout: Path, name: str, parameters: Mapping[str, str], *, dry: bool) -> None:
    """Make or change what stands before the stage.

    Raises:
        DeploymentError: no such stage, no credentials, or the deployment failed.
    """
    stage = read_stage(checkout, name)
    shell = Shell(checkout, dry) if dry else Shell(checkout, environment=_region(sign_in().region))
    shell.run(bootstrap_command(find_sam(checkout), stage, checkout, parameters))


def built_images(checkout: Path, say: Say) -> tuple[Engine, Pair]:
    """Both images on this machine, built if they are not there, and the engine that has them.

    Raises:
        DeploymentError: there is no engine, or a build failed.
    """
    try:
        engine = find_engine()
        built = build.build_images(checkout, Progress(say), engine=engine)
    except ImageError as error:
        raise DeploymentError(str(error)) from error
    return engine, Pair(built.training, built.inference)


def deploy_stage(
    checkout: Path, name: str, *, dry: bool, asks: bool, say: Say, build_images: BuildImages = built_images
) -> None:
    """Build, push and deploy everything of a stage; what is there already is left as it is.

    Args:
        checkout: the repository.
        name: of the stage, an environment of samconfig.toml.
        dry: show the commands, look at nothing and change nothing.
        asks: whether somebody is there to confirm a change set.
        say: is told of each step.
        build_images: makes both images.

    Raises:
        DeploymentError: a tool, credentials or the bootstrap stack are missing, or a step failed.
    """
    stage = read_stage(checkout, name)
    sam = find_sam(checkout)
    account = None if dry else sign_in()
    bootstrap = read_bootstrap(account, stage) if account else unread_bootstrap()
    shell = Shell(checkout, dry, {} if account is None else _region(account.region))
    defaults = parameter_defaults(checkout)
    release = read_release(stage.release, {**defaults, **stage.parameters})
    packing = build_command(sam, stage, defaults, containers=dry or shutil.which("docker") is not None)
    if dry:
        shell.run(["python", "-m", "local.images", "build"])
    engine, images = (Engine(("docker",)), UNBUILT) if dry else build_images(checkout, say)
    pushed = push_images(images, bootstrap, account, engine.command, shell)
    shell.run(packing)
    if not dry:
        parameters = stack_parameters(stage, bootstrap, pushed)
        release_built(checkout / ".aws-sam" / "build", release, {**defaults, **parameters})
    shell.run(deploy_command(sam, stage, bootstrap, pushed, asks=asks))
    if account is not None:
        for output, value in sorted((account.outputs(stage.stack) or {}).items()):
            say(f"  {output:22} {value}")


def find_sam(checkout: Path, environment: Mapping[str, str] = os.environ) -> str:
    """The `sam` command line: what GAMEDOJO_SAM names, the checkout's own, or one of the PATH.

    Raises:
        DeploymentError: there is none.
    """
    own = checkout / ".venv-sam" / "bin" / "sam"
    found = environment.get(SAM_VARIABLE) or (str(own) if own.is_file() else shutil.which("sam"))
    if not found:
        raise DeploymentError(f"There is no sam command line. `make setup` installs one, or name it by {SAM_VARIABLE}.")
    return found


def _region(name: str) -> dict[str, str]:
    return {"AWS_DEFAULT_REGION": name, "SAM_CLI_TELEMETRY": "0"}
