"""How new versions of the APIs' functions, and of the state machine with its functions, come into service.

At once, or bit by bit. Predict starts from snapshots of itself, or is kept warm, where a stage says so.

Settings of a stage, [<stage>.release.parameters] in samconfig.toml:

    traffic = "Canary10Percent5Minutes"   # a type of CodeDeploy's; without it all traffic and runs move at once
    predict_snap_start = true             # the Predict function starts from a snapshot of itself
    predict_provisioned = 2               # or so many of its instances are kept warm, which costs by the hour

They are put into what `sam build` wrote. template.yaml cannot hold them by its parameters: SAM publishes versions and
aliases of a function under no condition, and does not publish a new version where only a parameter's value is new.

A version of the machine names versions of its states' functions, which never change: its alias shifts the code of
states with it, and a run ends with the code that it began with, however long it trains.
"""

import copy
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from deploy.errors import DeploymentError
from local.local_package import read_template

ALIAS = "live"
FUNCTIONS = ("PredictFunction", "ControlReadFunction", "ControlWriteFunction")
"""API Gateway asks them, so that there is traffic to shift; the functions of states shift with their machine."""
MACHINE, STARTER = "TrainAndDeploy", "ControlWriteFunction"
"""New runs are shared between two versions of the machine; a run stays with the one that it began with."""
TRAFFIC = (
    *(f"Canary10Percent{minutes}Minutes" for minutes in (5, 10, 15, 30)),
    "Linear10PercentEvery1Minute",
    *(f"Linear10PercentEvery{minutes}Minutes" for minutes in (2, 3, 10)),
)

_WORD = re.compile(r"(Canary|Linear)(\d+)Percent(?:Every)?(\d+)Minutes?")

_VERSION_CHARACTERS = 10
_WORDS = {str: "a text", bool: "true or false", int: "a number"}


@dataclass(frozen=True)
class Release:
    """Settings of a stage. `traffic`: one of TRAFFIC, or "" for all at once."""

    traffic: str = ""
    predict_snap_start: bool = False
    predict_provisioned: int = 0


def read_release(document: Mapping[str, Any], parameters: Mapping[str, str]) -> Release:
    """The settings, checked.

    Args:
        document: the table of samconfig.toml; empty for a stage that has none.
        parameters: of template.yaml, all of them.

    Raises:
        DeploymentError: a setting is unknown, of another type, or excludes another.
    """
    known = {field.name: type(field.default) for field in fields(Release)}
    for name, value in document.items():
        if name not in known:
            raise DeploymentError(f"samconfig.toml: a release has no {name!r}; it has {', '.join(known)}.")
        if type(value) is not known[name]:
            raise DeploymentError(f"samconfig.toml: {name} of a release is {_WORDS[known[name]]}, not {value!r}.")
    release = Release(**document)
    if release.traffic and release.traffic not in TRAFFIC:
        raise DeploymentError(f"samconfig.toml: traffic is one of {', '.join(TRAFFIC)}, not {release.traffic!r}.")
    if release.predict_provisioned < 0:
        raise DeploymentError("samconfig.toml: predict_provisioned is a number of instances, 0 or more.")
    if release.predict_snap_start and release.predict_provisioned:
        raise DeploymentError("samconfig.toml: Lambda takes predict_snap_start or predict_provisioned, not both.")
    if release.predict_snap_start and parameters["Runtime"] == "python3.11":
        raise DeploymentError("samconfig.toml: predict_snap_start wants Runtime=python3.12, not python3.11.")
    return release


def release_built(folder: Path, release: Release, parameters: Mapping[str, str]) -> None:
    """Put the settings into the template that `sam build` wrote; without any it stays as it is.

    Args:
        folder: what `sam build` filled.
        release: the settings.
        parameters: of template.yaml, with which it is deployed: new ones are a new version too.
    """
    if release == Release():
        return
    path = folder / "template.yaml"
    template = read_template(path)
    versioned = {name: template["Resources"][name] for name in (*FUNCTIONS, *state_functions(template))}
    packages = {one["Properties"]["CodeUri"] for one in versioned.values()}
    content = {name: _digest(folder / name) for name in sorted(packages)}
    sources = json.dumps([content, versioned, template.get("Globals"), dict(parameters)], sort_keys=True)
    made = released(template, release, hashlib.sha256(sources.encode()).hexdigest())
    path.write_text(yaml.safe_dump(made, sort_keys=False, width=120), encoding="utf-8")


def released(template: Mapping[str, Any], release: Release, version: str) -> dict[str, Any]:
    """The template with versions, aliases and what a release needs beside them.

    Args:
        template: for SAM, its intrinsics in their long form.
        release: the settings.
        version: a SHA-256 of code, settings and parameters; another one is published as another version.
    """
    made: dict[str, Any] = copy.deepcopy(dict(template))
    resources = made["Resources"]
    predict = resources["PredictFunction"]["Properties"]
    if release.predict_snap_start:
        predict["SnapStart"] = {"ApplyOn": "PublishedVersions"}
    if release.predict_provisioned:
        predict["ProvisionedConcurrencyConfig"] = {"ProvisionedConcurrentExecutions": release.predict_provisioned}
    for name in FUNCTIONS if release.traffic else ("PredictFunction",):
        properties = resources[name]["Properties"]
        _mark(properties, version)
        properties |= {
            "AutoPublishAlias": ALIAS,
            "AutoPublishCodeSha256": version,
            "AutoPublishAliasAllProperties": True,
        }
        if release.traffic:
            resources[f"{name}ReleaseFails"] = _alarm_of_function(name)
            properties["DeploymentPreference"] = {
                "Type": release.traffic,
                "Alarms": [{"Ref": f"{name}ReleaseFails"}],
                "Role": {"Fn::GetAtt": ["ReleaseRole", "Arn"]},
            }
    if release.traffic:
        resources["ReleaseRole"] = _role()
        resources[f"{MACHINE}ReleaseFails"] = _alarm_of_runs()
        resources[MACHINE]["Properties"] |= {
            "AutoPublishAlias": ALIAS,
            "UseAliasAsEventTarget": True,
            "DeploymentPreference": _shift(release.traffic) | {"Alarms": [{"Ref": f"{MACHINE}ReleaseFails"}]},
        }
        _start_by_alias(resources[STARTER]["Properties"])
        _pin_states(made, version)
    return made


def state_functions(template: Mapping[str, Any]) -> tuple[str, ...]:
    """The functions that the machine's states call, by their names in the template."""
    substitutions = template["Resources"][MACHINE]["Properties"]["DefinitionSubstitutions"]
    return tuple(one["Fn::GetAtt"][0] for one in substitutions.values())


def _mark(properties: dict[str, Any], version: str) -> None:
    """Make the function another than the last version's, which a parameter that it does not use would not.

    Of a function that is as its last version Lambda publishes none (API reference, PublishVersion), and CloudFormation
    fails on that.
    """
    said = properties.get("Description", "")
    properties["Description"] = f"{said} Release {version[:_VERSION_CHARACTERS]}".strip()


def _pin_states(template: dict[str, Any], version: str) -> None:
    """To versions that CloudFormation never deletes, for the sake of runs that go on."""
    resources = template["Resources"]
    machine = resources[MACHINE]["Properties"]
    states = state_functions(template)
    for name in states:
        _mark(resources[name]["Properties"], version)
        resources[_pinned(name, version)] = {
            "Type": "AWS::Lambda::Version",
            "DeletionPolicy": "Retain",
            "UpdateReplacePolicy": "Retain",
            "Properties": {"FunctionName": {"Ref": name}},
        }
    machine["DefinitionSubstitutions"] = {
        word: {"Ref": _pinned(one["Fn::GetAtt"][0], version)}
        for word, one in machine["DefinitionSubstitutions"].items()
    }
    for policy in machine["Policies"]:
        for statement in policy["Statement"]:
            if statement["Action"] == "lambda:InvokeFunction":
                # all versions: runs that began with an earlier one go on under the same role
                statement["Resource"] += [{"Fn::Sub": f"${{{name}.Arn}}:*"} for name in states]


def _pinned(function: str, version: str) -> str:
    return f"{function}Version{version[:_VERSION_CHARACTERS]}"


def _shift(traffic: str) -> dict[str, Any]:
    """What CodeDeploy has as one word, as Step Functions has it: percent, and minutes between two steps."""
    kind, percent, minutes = _WORD.fullmatch(traffic).groups()  # type: ignore[union-attr]
    return {"Type": kind.upper(), "Percentage": int(percent), "Interval": int(minutes)}


def _start_by_alias(starter: dict[str, Any]) -> None:
    """The API's runs, as SAM does it for those of dropped builds."""
    alias = {"Ref": f"{MACHINE}Alias{ALIAS}"}
    starter["Environment"]["Variables"]["STATE_MACHINE_ARN"] = alias
    for policy in starter["Policies"]:
        for statement in policy.get("Statement", ()):
            if statement["Action"] == "states:StartExecution":
                statement["Resource"] = alias


def _alarm_of_runs() -> dict[str, Any]:
    """Of failures that only operators can mend (operations.yaml counts them): a bad build fails an execution, too."""
    return _alarm(
        MACHINE,
        "Runs fail while a new version of the machine comes into service; it goes back.",
        Namespace={"Fn::Sub": "gamedojo/${Stage}"},
        MetricName="RunsFailedForOperators",
    )


def _alarm_of_function(name: str) -> dict[str, Any]:
    """Of the alias: both versions' errors, so that an old one's end a release too."""
    return _alarm(
        name,
        "A new version fails while it comes into service; CodeDeploy goes back.",
        Namespace="AWS/Lambda",
        MetricName="Errors",
        Dimensions=[
            {"Name": "FunctionName", "Value": {"Ref": name}},
            {"Name": "Resource", "Value": {"Fn::Sub": f"${{{name}}}:{ALIAS}"}},
        ],
    )


def _alarm(released: str, description: str, **metric: Any) -> dict[str, Any]:
    """Rings at the first one within a minute."""
    return {
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {
            "AlarmName": {"Fn::Sub": f"gamedojo/${{Stage}}/release-{released}"},
            "AlarmDescription": description,
            **metric,
            "Statistic": "Sum",
            "Period": 60,
            "EvaluationPeriods": 1,
            "Threshold": 1,
            "ComparisonOperator": "GreaterThanOrEqualToThreshold",
            "TreatMissingData": "notBreaching",
        },
    }


def _role() -> dict[str, Any]:
    """Rather than the one that SAM makes, which has no boundary and reaches every function of the account."""
    arns = [{"Fn::GetAtt": [name, "Arn"]} for name in FUNCTIONS]
    aliases = [{"Fn::Sub": f"${{{name}.Arn}}:*"} for name in FUNCTIONS]
    statements = [
        {
            "Effect": "Allow",
            "Action": ["lambda:GetAlias", "lambda:GetProvisionedConcurrencyConfig", "lambda:UpdateAlias"],
            "Resource": [*arns, *aliases],
        },
        {"Effect": "Allow", "Action": "cloudwatch:DescribeAlarms", "Resource": "*"},
    ]
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "PermissionsBoundary": {
                "Fn::If": ["HasBoundary", {"Ref": "PermissionsBoundaryArn"}, {"Ref": "AWS::NoValue"}]
            },
            "AssumeRolePolicyDocument": {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Principal": {"Service": "codedeploy.amazonaws.com"},
                        "Action": "sts:AssumeRole",
                        "Condition": {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}},
                    }
                ],
            },
            "Policies": [
                {
                    "PolicyName": "shift-traffic",
                    "PolicyDocument": {"Version": "2012-10-17", "Statement": statements},
                }
            ],
        },
    }


def _digest(package: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(one for one in package.rglob("*") if one.is_file() and one.suffix != ".pyc"):
        digest.update(f"{path.relative_to(package)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
