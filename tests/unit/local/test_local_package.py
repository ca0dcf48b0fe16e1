"""The local deploy step: what it changes, what it leaves, what it refuses."""

import copy
import subprocess
import zipfile
from pathlib import Path

import pytest
import yaml

from local.errors import DeployError
from local.local_package import (
    BOOTSTRAP_NAME,
    RUNTIME,
    bootstrap,
    localize,
    make_local_package,
    package_names,
    read_template,
)

PYTHON = Path("/opt/lambda/bin/python")


def a_template() -> dict:
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Parameters": {"Runtime": {"Type": "String", "Default": "python3.12"}},
        "Globals": {"Function": {"Runtime": {"Ref": "Runtime"}, "Timeout": 30}},
        "Resources": {
            "OneFunction": {
                "Type": "AWS::Serverless::Function",
                "Properties": {"CodeUri": "OneFunction-Shared", "Handler": "one.app.handler"},
            },
            "TwoFunction": {
                "Type": "AWS::Serverless::Function",
                "Properties": {"CodeUri": "OneFunction-Shared", "Handler": "two.app.handler", "Runtime": "python3.12"},
            },
            "Role": {"Type": "AWS::IAM::Role", "Properties": {"Runtime": "not a function's"}},
        },
    }


def a_build(folder: Path) -> Path:
    package = folder / "built" / "OneFunction-Shared"
    (package / "one").mkdir(parents=True)
    (package / "one" / "app.py").write_text("def handler(event, context): ...\n")
    (package / "tool").write_text("#!/bin/sh\n")
    (package / "tool").chmod(0o755)
    (folder / "built" / "template.yaml").write_text(yaml.safe_dump(a_template(), sort_keys=False))
    return folder / "built"


def test_only_the_runtimes_of_functions_change():
    before = a_template()
    expected = copy.deepcopy(before)
    expected["Globals"]["Function"]["Runtime"] = RUNTIME
    expected["Resources"]["TwoFunction"]["Properties"]["Runtime"] = RUNTIME

    assert localize(before) == expected
    assert before == a_template(), "the template given must not change"


@pytest.mark.parametrize("place", ["globals", "function"])
def test_layers_are_refused_by_name(place: str):
    template = a_template()
    section = (
        template["Globals"]["Function"] if place == "globals" else template["Resources"]["OneFunction"]["Properties"]
    )
    section["Layers"] = [{"Ref": "SomeLayer"}]
    with pytest.raises(DeployError, match="layers"):
        localize(template)


def test_the_package_is_a_zip_under_the_name_that_the_template_gives(tmp_path: Path):
    built = a_build(tmp_path)
    template_path = make_local_package(built, tmp_path / "local", lambda_python=PYTHON)

    (name,) = package_names(read_template(template_path))
    with zipfile.ZipFile(template_path.parent / name) as archive:
        assert sorted(archive.namelist()) == ["bootstrap", "one/app.py", "tool"]
        assert archive.read("one/app.py") == (built / name / "one" / "app.py").read_bytes()
        modes = {info.filename: (info.external_attr >> 16) & 0o777 for info in archive.infolist()}
    assert modes == {"bootstrap": 0o755, "one/app.py": 0o644, "tool": 0o755}


def test_the_same_content_gives_the_same_bytes(tmp_path: Path):
    packages = []
    for run in ("first", "second"):
        built = a_build(tmp_path / run)
        make_local_package(built, tmp_path / run / "local", lambda_python=PYTHON)
        packages.append((tmp_path / run / "local" / "OneFunction-Shared").read_bytes())
    assert packages[0] == packages[1]


def test_dates_of_policy_languages_stay_strings(tmp_path: Path):
    path = tmp_path / "template.yaml"
    path.write_text("AWSTemplateFormatVersion: 2010-09-09\nResources:\n  P: {Version: 2012-10-17, Days: 30}\n")
    template = read_template(path)
    assert template["AWSTemplateFormatVersion"] == "2010-09-09"
    assert template["Resources"]["P"] == {"Version": "2012-10-17", "Days": 30}


def test_the_bootstrap_starts_the_runtime_client_with_the_package_alone():
    text = bootstrap(PYTHON)
    assert text.startswith("#!/bin/sh\n")
    assert 'PYTHONPATH="$LAMBDA_TASK_ROOT"\n' in text
    assert text.rstrip().endswith(f'exec {PYTHON} -m awslambdaric "$_HANDLER"')


def test_the_bootstrap_runs_whatever_the_path_is_called(tmp_path: Path):
    python = tmp_path / "my tools; 'x' $(false)" / "python"
    python.parent.mkdir()
    python.write_text('#!/bin/sh\necho "$@ $PYTHONPATH"\n')
    python.chmod(0o755)
    started = subprocess.run(
        ["/bin/sh", "-c", bootstrap(python)],
        env={"LAMBDA_TASK_ROOT": "/package", "_HANDLER": "one.app.handler"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert started.stdout == "-m awslambdaric one.app.handler /package\n"


def test_the_bootstrap_is_added_and_never_replaced(tmp_path: Path):
    built = a_build(tmp_path)
    (built / "OneFunction-Shared" / BOOTSTRAP_NAME).write_text("mine\n")
    with pytest.raises(DeployError, match=BOOTSTRAP_NAME):
        make_local_package(built, tmp_path / "local", lambda_python=PYTHON)


def test_a_stack_within_the_stack_is_taken_along_as_it_is(tmp_path: Path):
    built = tmp_path / "built"
    (built / "Inner").mkdir(parents=True)
    (built / "Inner" / "template.yaml").write_text("Resources: {}\n")
    nested = {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": "Inner/template.yaml"}}
    (built / "template.yaml").write_text(yaml.safe_dump({"Resources": {"Inner": nested}}))
    make_local_package(built, tmp_path / "local", lambda_python=PYTHON)
    assert (tmp_path / "local" / "Inner" / "template.yaml").read_text() == "Resources: {}\n"
    assert read_template(tmp_path / "local" / "template.yaml")["Resources"]["Inner"] == nested
