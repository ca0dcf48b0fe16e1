"""A stage: its environment in samconfig.toml, its stack, and the stack that stands before it."""

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy.account import Account
from deploy.errors import DeploymentError

CONFIGURATION = "samconfig.toml"


@dataclass(frozen=True)
class Stage:
    """One environment of samconfig.toml.

    `parameters`: of template.yaml, as the file sets them. `release`: the table of its release, as it is written.
    """

    name: str
    stack: str
    parameters: dict[str, str]
    release: dict[str, Any] = field(default_factory=dict)

    @property
    def bootstrap_stack(self) -> str:
        """Not gamedojo-…: no stage's role may change what has such a name."""
        return f"bootstrap-gamedojo-{self.name}"


@dataclass(frozen=True)
class Bootstrap:
    """Outputs of deploy/bootstrap.yaml."""

    training_repository: str
    inference_repository: str
    bucket: str
    execution_role: str
    boundary: str

    @property
    def registry(self) -> str:
        """The host of both repositories."""
        return self.training_repository.partition("/")[0]


_OUTPUTS = {
    "training_repository": "TrainingRepositoryUri",
    "inference_repository": "InferenceRepositoryUri",
    "bucket": "ArtifactsBucketName",
    "execution_role": "ExecutionRoleArn",
    "boundary": "BoundaryArn",
}


def read_stage(checkout: Path, name: str) -> Stage:
    """The stage of that name.

    Raises:
        DeploymentError: samconfig.toml has none, or says of it what cannot be.
    """
    document = tomllib.loads((checkout / CONFIGURATION).read_text(encoding="utf-8"))
    stages = [one for one, commands in document.items() if one != "default" and isinstance(commands, dict)]
    if name not in stages:
        raise DeploymentError(f"{CONFIGURATION} has no environment {name!r}; it has {', '.join(stages)}.")
    stack = _setting(document, name, "global", "stack_name")
    overrides = _setting(document, name, "deploy", "parameter_overrides")
    parameters = dict(_parameter(name, one) for one in overrides)
    if parameters.get("Stage") != name or stack != f"gamedojo-{name}":
        raise DeploymentError(
            f'{CONFIGURATION}: the environment {name} needs the stack_name "gamedojo-{name}" and among its '
            f'parameter_overrides "Stage={name}"; roles and names go by them.'
        )
    return Stage(name, stack, parameters, document[name].get("release", {}).get("parameters", {}))


def read_bootstrap(account: Account, stage: Stage) -> Bootstrap:
    """What the stage's bootstrap stack has made.

    Raises:
        DeploymentError: it is not there.
    """
    outputs = account.outputs(stage.bootstrap_stack)
    if outputs is None or not outputs.keys() >= set(_OUTPUTS.values()):
        raise DeploymentError(
            f"There is no whole stack {stage.bootstrap_stack} in {account.region} of account {account.number}. "
            f"An administrator makes it once: make bootstrap STAGE={stage.name}"
        )
    return Bootstrap(**{field: outputs[output] for field, output in _OUTPUTS.items()})


def unread_bootstrap() -> Bootstrap:
    """What stands in commands that are only shown."""
    return Bootstrap(**{field: f"<{output}>" for field, output in _OUTPUTS.items()})


def _setting(document: dict[str, Any], stage: str, command: str, name: str) -> Any:
    found = document[stage].get(command, {}).get("parameters", {}).get(name)
    if found is None:
        raise DeploymentError(f"{CONFIGURATION}: [{stage}.{command}.parameters] has no {name}.")
    return found


def _parameter(stage: str, written: str) -> tuple[str, str]:
    if not re.fullmatch(r"[A-Za-z]+=.*", written):
        raise DeploymentError(
            f"{CONFIGURATION}: [{stage}.deploy.parameters] parameter_overrides is a list of Name=value, which "
            f"{written!r} is not."
        )
    name, _, value = written.partition("=")
    return name, value
