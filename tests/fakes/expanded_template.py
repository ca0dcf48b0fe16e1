"""template.yaml as CloudFormation sees it: expanded by SAM's own translator, with stand-ins for what is uploaded."""

import json
import os
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

from cfnlint.decode import decode
from samtranslator.translator.transform import transform

ROOT = Path(__file__).parents[2]
STATE_MACHINE = ROOT / "statemachine" / "train_and_deploy.asl.json"


class _NoManagedPolicies:
    """The template names managed policies by ARN or not at all; nothing needs to be looked up in an account."""

    def load(self) -> dict[str, str]:
        return {}


@cache
def source() -> dict[str, Any]:
    """template.yaml, its short intrinsic forms (!Ref) in their long form."""
    template, faults = decode(str(ROOT / "template.yaml"))
    assert not faults, faults
    document: dict[str, Any] = json.loads(json.dumps(template))
    return document


@cache
def expanded() -> dict[str, Any]:
    return expand(source())


def expand(written: dict[str, Any]) -> dict[str, Any]:
    """What SAM's translator makes of a template such as `source()`."""
    template = json.loads(json.dumps(written))
    template["Globals"]["Function"]["CodeUri"] = "s3://packaged/functions.zip"
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::StateMachine":
            resource["Properties"]["DefinitionUri"] = "s3://packaged/machine.json"
        if resource["Type"] == "AWS::CloudFormation::Stack":
            resource["Properties"]["TemplateURL"] = "https://packaged.s3.amazonaws.com/operations.yaml"
    required = {"TrainingImageUri": "gamedojo-training:1", "InferenceImageUri": "gamedojo-inference:1"}
    with patch.dict(os.environ, AWS_DEFAULT_REGION="us-east-1"):  # the translator will not work without a region
        document: dict[str, Any] = transform(template, required, _NoManagedPolicies())
    return document


def resources(kind: str) -> dict[str, dict[str, Any]]:
    """Properties of the expanded template's resources of one type, by logical id."""
    return {
        name: resource.get("Properties", {})
        for name, resource in expanded()["Resources"].items()
        if resource["Type"] == kind
    }


def statements() -> list[tuple[str, dict[str, Any]]]:
    """Every statement of every identity policy, with the logical id of where it stands."""
    found = []
    for kind in ("AWS::IAM::Role", "AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"):
        for name, properties in resources(kind).items():
            documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
            documents += [properties["PolicyDocument"]] if "PolicyDocument" in properties else []
            for document in documents:
                listed = document["Statement"]
                found += [(name, one) for one in (listed if isinstance(listed, list) else [listed])]
    return found


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


if __name__ == "__main__":  # for linters of plain CloudFormation
    print(json.dumps(expanded(), indent=1))
