"""The local deploy step: what `sam build` packed, made runnable without AWS's Python runtime.

Between `sam build` and `sam deploy` exactly this is changed:

- `Runtime` becomes `provided.al2023`,
- a file `bootstrap` is added to the package. It starts AWS's runtime interface client in an environment that has
  nothing else, so that a function sees only what was packed, and its errors keep their own names. (The emulator's stock
  Python worker runs functions inside the emulator's environment and reports every exception as `Runtime.HandlerError`,
  which breaks Retry and Catch by name.)

The package becomes a zip file under the very name that the template already gives, because `sam deploy` zips a folder
once for each function that shares it (1.5 s each, sam 1.170), and uploads a zip file as it is.
"""

import copy
import os
import shlex
import shutil
import zipfile
from pathlib import Path
from typing import Any

import yaml

from local.errors import DeployError

RUNTIME = "provided.al2023"
TEMPLATE_NAME = "template.yaml"
BOOTSTRAP_NAME = "bootstrap"

_FUNCTION_TYPES = ("AWS::Serverless::Function", "AWS::Lambda::Function")
_EARLIEST_ZIP_DATE = (1980, 1, 1, 0, 0, 0)

_BOOTSTRAP = """\
#!/bin/sh
# Stands in for AWS's managed Python runtime. PYTHONPATH is the package and nothing else.
export PYTHONPATH="$LAMBDA_TASK_ROOT"
export AWS_LAMBDA_LOG_GROUP_NAME="${{AWS_LAMBDA_LOG_GROUP_NAME:-/aws/lambda/$AWS_LAMBDA_FUNCTION_NAME}}"
exec {python} -m awslambdaric "$_HANDLER"
"""


class _StringDates(yaml.SafeLoader):
    """Leaves dates as they are written: `Version: 2012-10-17` is a name, not a day."""


_StringDates.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def make_local_package(built_dir: Path, local_dir: Path, *, lambda_python: Path) -> Path:
    """Write the local template and package beside what `sam build` made.

    Args:
        built_dir: what `sam build --build-dir` filled.
        local_dir: a folder beside it, so that paths in the template that lead out of it stay right.
        lambda_python: the interpreter that the bootstrap starts.

    Returns:
        The local template's path.

    Raises:
        DeployError: the template uses something that the local cloud cannot run.
    """
    built = read_template(built_dir / TEMPLATE_NAME)
    local_dir.mkdir(parents=True, exist_ok=True)
    for name in sorted(package_names(built)):
        _write_package(built_dir / name, local_dir / name, lambda_python)
    for name in nested_templates(built):
        (local_dir / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(built_dir / name, local_dir / name)
    template_path = local_dir / TEMPLATE_NAME
    template_path.write_text(yaml.safe_dump(localize(built), sort_keys=False, width=120))
    return template_path


def localize(template: dict[str, Any]) -> dict[str, Any]:
    """The template with every function's Runtime replaced and nothing else.

    Raises:
        DeployError: a function has layers.
    """
    local = copy.deepcopy(template)
    shared = local.get("Globals", {}).get("Function", {})
    sections = [shared, *(resource.get("Properties", {}) for resource in _functions(local).values())]
    for properties in sections:
        if properties.get("Layers"):
            raise DeployError(
                "The template gives functions layers, which the local cloud does not run. Put what they need into "
                "functions/requirements.txt."
            )
        if "Runtime" in properties:
            properties["Runtime"] = RUNTIME
    return local


def package_names(template: dict[str, Any]) -> set[str]:
    """The packages that the built template's functions name, relative to it."""
    return {
        code_uri
        for resource in _functions(template).values()
        if isinstance(code_uri := resource.get("Properties", {}).get("CodeUri"), str)
    }


def nested_templates(template: dict[str, Any]) -> list[str]:
    """The templates of stacks within the stack, relative to the built template."""
    stacks = [one for one in template.get("Resources", {}).values() if one.get("Type") == "AWS::CloudFormation::Stack"]
    return [one["Properties"]["TemplateURL"] for one in stacks]


def read_template(path: Path) -> dict[str, Any]:
    """Read a template that `sam build` wrote: intrinsics are in their long form, so it is plain YAML."""
    document = yaml.load(path.read_text(), Loader=_StringDates)  # noqa: S506 - a SafeLoader that knows fewer tags
    if not isinstance(document, dict):
        raise DeployError(f"{path} holds no template.")
    return document


def bootstrap(lambda_python: Path) -> str:
    """The text of the bootstrap file."""
    return _BOOTSTRAP.format(python=shlex.quote(str(lambda_python)))


def _functions(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    resources = template.get("Resources", {})
    return {name: resource for name, resource in resources.items() if resource.get("Type") in _FUNCTION_TYPES}


def _write_package(folder: Path, package: Path, lambda_python: Path) -> None:
    """Zip a folder, bootstrap included. Names are sorted and dates fixed: the same content gives the same bytes."""
    if (folder / BOOTSTRAP_NAME).exists():
        raise DeployError(f"{folder} holds a file {BOOTSTRAP_NAME!r}, which the local cloud has to add. Rename yours.")
    with zipfile.ZipFile(package, "w") as archive:
        for directory, subdirectories, names in os.walk(folder, followlinks=True):
            subdirectories.sort()
            for path in (Path(directory, name) for name in sorted(names)):
                _add(archive, str(path.relative_to(folder)), path.read_bytes(), executable=os.access(path, os.X_OK))
        _add(archive, BOOTSTRAP_NAME, bootstrap(lambda_python).encode(), executable=True)


def _add(archive: zipfile.ZipFile, name: str, content: bytes, *, executable: bool) -> None:
    info = zipfile.ZipInfo(name, _EARLIEST_ZIP_DATE)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = (0o100755 if executable else 0o100644) << 16
    archive.writestr(info, content, compresslevel=1)  # it travels within this machine only
