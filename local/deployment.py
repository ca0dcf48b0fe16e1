"""Deploys `template.yaml` with the real `sam build` and `sam deploy`."""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from botocore.exceptions import ClientError

from local.aws import ACCESS_KEY, client_arguments, isolated_session
from local.emulator import base_environment, deployed_file
from local.errors import DeployError
from local.local_package import TEMPLATE_NAME, make_local_package
from local.processes import MARKER, log_tail
from local.progress import Progress
from local.records import write_private
from local.settings import REGION, STACK_NAME, LocalSettings

STAGE = "local"
TRAINING_IMAGE = "gamedojo-training:local"
INFERENCE_IMAGE = "gamedojo-inference:local"

PARAMETERS: Mapping[str, str] = {
    "Stage": STAGE,
    "TrainingImageUri": TRAINING_IMAGE,
    "InferenceImageUri": INFERENCE_IMAGE,
    "PollMinSeconds": "1",
    "BakeSeconds": "5",
    "SavedQueries": "false",
}
"""Ordinary parameters of the template. Runtime is given to `sam build` alone: it chooses the interpreter that packs.
The emulator knows no AWS::Logs::QueryDefinition (ministack 1.5.33)."""

_BUILT = "built"
_LOCAL = "local"
_SOURCES = ("template.yaml", "operations.yaml", "functions", "statemachine")
_TOOL_TIMEOUT_SECONDS = 600


@dataclass(frozen=True)
class Stack:
    """What was deployed, and the values of the template's Outputs."""

    stack_id: str
    outputs: Mapping[str, str]

    def output(self, name: str) -> str:
        """One output; DeployError if the template has none of that name."""
        if name not in self.outputs:
            raise DeployError(f"template.yaml has no output {name!r}; it has {', '.join(sorted(self.outputs))}.")
        return self.outputs[name]


def build(settings: LocalSettings, progress: Progress) -> Path:
    """Run `sam build` and the local deploy step, unless nothing that they read has changed since the last time.

    Returns:
        The template to deploy.

    Raises:
        DeployError: `sam build` failed.
    """
    key = source_key(settings)
    folder = settings.build_dir / key
    template = folder / _LOCAL / TEMPLATE_NAME
    if template.is_file():
        progress.note("  ✓ The functions are packed already")
        return template
    scratch = settings.build_dir / f"{key}.{os.getpid()}.tmp"
    shutil.rmtree(scratch, ignore_errors=True)
    with progress.step("Packing the functions with `sam build`"):
        _sam_build(settings, scratch / _BUILT)
        make_local_package(scratch / _BUILT, scratch / _LOCAL, lambda_python=settings.lambda_python)
    _forget_other_builds(settings.build_dir, keep=scratch)
    scratch.replace(folder)
    return template


def deploy(settings: LocalSettings, template: Path, *, emulator_url: str, progress: Progress) -> Stack:
    """Run `sam deploy`, unless this very template stands already in an emulator that kept its state.

    Raises:
        DeployError: `sam deploy` failed.
    """
    key = hashlib.sha256(json.dumps([str(template), dict(PARAMETERS)]).encode()).hexdigest()
    stack = find_stack(emulator_url)
    if stack is not None and _read_deployed(settings) == {"key": key, "stack_id": stack.stack_id}:
        progress.note("  ✓ The stack is deployed already")
        return stack
    # Killed from here on, the emulator begins again with the last whole stack it had
    deployed_file(settings).unlink(missing_ok=True)
    with progress.step("Deploying template.yaml with `sam deploy`"):
        _sam_deploy(settings, template, emulator_url)
    stack = find_stack(emulator_url)
    if stack is None:
        raise DeployError(f"`sam deploy` ended well, yet there is no stack {STACK_NAME}.")
    write_private(deployed_file(settings), json.dumps({"key": key, "stack_id": stack.stack_id}))
    return stack


def find_stack(emulator_url: str) -> Stack | None:
    """The stack, if it stands whole."""
    client = isolated_session().client("cloudformation", **client_arguments(emulator_url))
    try:
        found = client.describe_stacks(StackName=STACK_NAME)["Stacks"]
    except ClientError:
        return None
    whole = [stack for stack in found if stack["StackStatus"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE")]
    if not whole:
        return None
    outputs = {output["OutputKey"]: output["OutputValue"] for output in whole[0].get("Outputs", [])}
    return Stack(stack_id=whole[0]["StackId"], outputs=outputs)


def source_key(settings: LocalSettings) -> str:
    """A hash of everything that the package is made of: the same sources give the same key."""
    digest = hashlib.sha256()
    for path in _source_files(settings.checkout):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(settings.checkout)}\0{len(content)}\0".encode() + content)
    digest.update(f"{settings.sam}\0{settings.lambda_python}\0{_runtime(settings)}".encode())
    return digest.hexdigest()[:16]


def _source_files(checkout: Path) -> Iterator[Path]:
    for name in _SOURCES:
        root = checkout / name
        candidates = [root] if root.is_file() else sorted(root.rglob("*"))
        yield from (path for path in candidates if path.is_file() and "__pycache__" not in path.parts)


def _runtime(settings: LocalSettings) -> str:
    """The Runtime that names the interpreter at hand, for example `python3.11`."""
    process = subprocess.run(
        [str(settings.lambda_python), "-c", "import sys; print('python%d.%d' % sys.version_info[:2])"],
        capture_output=True,
        text=True,
        check=True,
    )
    return process.stdout.strip()


def _sam_build(settings: LocalSettings, build_dir: Path) -> None:
    """Pack once for all functions.

    The package index, proxies and certificates are the user's, so this tool sees their environment. Without
    SAM_CLI_BETA_BUILD_PERFORMANCE sam copies the package to every function: 46 MB each.
    """
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        **ACCESS_KEY,
        MARKER: str(settings.state_dir),
        "TMPDIR": str(settings.temporary_dir),  # sam leaves empty folders behind
        "AWS_DEFAULT_REGION": REGION,
        "PATH": f"{settings.python.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "SAM_CLI_TELEMETRY": "0",
        "SAM_CLI_BETA_BUILD_PERFORMANCE": "1",
    }
    overrides = {**PARAMETERS, "Runtime": _runtime(settings)}
    _run_tool(
        "sam build",
        [
            str(settings.sam),
            "build",
            "--template-file",
            str(settings.checkout / "template.yaml"),
            "--build-dir",
            str(build_dir),
            "--no-cached",
            "--parameter-overrides",
            *(f"{name}={value}" for name, value in overrides.items()),
        ],
        directory=settings.checkout,
        environment=environment,
        log_file=settings.logs_dir / "sam-build.log",
    )


def _sam_deploy(settings: LocalSettings, template: Path, emulator_url: str) -> None:
    """Deploy into the emulator. Run in the template's folder, where no samconfig.toml is."""
    environment = {
        **base_environment(settings),
        "AWS_ENDPOINT_URL": emulator_url,
        "SAM_CLI_TELEMETRY": "0",
        "SAM_CLI_POLL_DELAY": "0.5",  # seconds between looks at the stack; 5 by default
    }
    _run_tool(
        "sam deploy",
        [
            str(settings.sam),
            "deploy",
            "--template-file",
            str(template),
            "--stack-name",
            STACK_NAME,
            "--resolve-s3",
            "--capabilities",
            "CAPABILITY_IAM",
            "CAPABILITY_AUTO_EXPAND",
            "--no-confirm-changeset",
            "--no-fail-on-empty-changeset",
            "--no-progressbar",
            "--parameter-overrides",
            *(f"{name}={value}" for name, value in PARAMETERS.items()),
        ],
        directory=template.parent,
        environment=environment,
        log_file=settings.logs_dir / "sam-deploy.log",
    )


def _run_tool(
    name: str, command: list[str], *, directory: Path, environment: Mapping[str, str], log_file: Path
) -> None:
    log_file.parent.mkdir(parents=True, exist_ok=True)
    with log_file.open("wb") as log:
        try:
            # Not in a session of its own: Ctrl-C reaches it as it reaches us.
            finished = subprocess.run(
                command,
                cwd=directory,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                timeout=_TOOL_TIMEOUT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise DeployError(f"`{name}` took longer than {_TOOL_TIMEOUT_SECONDS} s.\n{log_tail(log_file)}") from error
    if finished.returncode != 0:
        raise DeployError(
            f"`{name}` failed.\n{log_tail(log_file, lines=40)}\n"
            "If the state of an earlier cloud is in the way, `gamedojo local up --fresh` starts without it."
        )


def _read_deployed(settings: LocalSettings) -> object:
    try:
        return json.loads(deployed_file(settings).read_text())
    except (FileNotFoundError, ValueError):
        return None


def _forget_other_builds(build_dir: Path, *, keep: Path) -> None:
    for folder in build_dir.iterdir():
        if folder != keep:
            shutil.rmtree(folder, ignore_errors=True)
