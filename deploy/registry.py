"""Both images in the stage's repositories, each named by its digest."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from deploy.account import Account
from deploy.errors import DeploymentError
from deploy.shell import Shell
from deploy.stages import Bootstrap


@dataclass(frozen=True)
class Pair:
    """Names of the two images: on this machine, or in a registry."""

    training: str
    inference: str


UNBUILT = Pair("localhost/gamedojo-training:<hash>", "localhost/gamedojo-inference:<hash>")
"""What stands in commands that are only shown."""


def push_images(
    images: Pair, bootstrap: Bootstrap, account: Account | None, engine: Sequence[str], shell: Shell
) -> Pair:
    """Push what the registry does not have; a tag, the hash of what an image was built of, is never pushed twice.

    Args:
        images: on this machine.
        bootstrap: has the repositories.
        account: None, if commands are only shown.
        engine: Docker or Podman and its own options.
        shell: runs it.

    Returns:
        The images' names, by digest.

    Raises:
        DeploymentError: the registry refuses the login or an image.
    """
    ecr = account.client("ecr") if account else None
    places = ((images.training, bootstrap.training_repository), (images.inference, bootstrap.inference_repository))
    missing = [(image, place) for image, place in places if _digest(ecr, place, _tag(image)) is None]
    if missing:
        password = _password(ecr)
        shell.run(
            [*engine, "login", "--username", "AWS", "--password-stdin", bootstrap.registry],
            secret=password,
        )
    for image, place in missing:
        shell.run([*engine, "tag", image, f"{place}:{_tag(image)}"])
        shell.run([*engine, "push", f"{place}:{_tag(image)}"])
    training, inference = (f"{place}@{_pushed(ecr, place, _tag(image))}" for image, place in places)
    return Pair(training, inference)


def _tag(image: str) -> str:
    return image.rpartition(":")[2]


def _digest(ecr: Any, repository: str, tag: str) -> str | None:
    if ecr is None:
        return None
    name = repository.partition("/")[2]
    try:
        (found,) = ecr.describe_images(repositoryName=name, imageIds=[{"imageTag": tag}])["imageDetails"]
    except ecr.exceptions.ImageNotFoundException:
        return None
    except ClientError as error:
        raise DeploymentError(f"The repository {name} cannot be read: {error}") from error
    digest: str = found["imageDigest"]
    return digest


def _pushed(ecr: Any, repository: str, tag: str) -> str:
    if ecr is None:
        return "<digest>"
    digest = _digest(ecr, repository, tag)
    if digest is None:
        raise DeploymentError(f"The push to {repository} ended well, yet the tag {tag} is not there.")
    return digest


def _password(ecr: Any) -> str:
    if ecr is None:
        return ""
    try:
        (data,) = ecr.get_authorization_token()["authorizationData"]
    except ClientError as error:
        raise DeploymentError(f"The registry gives no password: {error}") from error
    return base64.b64decode(data["authorizationToken"]).decode().partition(":")[2]
