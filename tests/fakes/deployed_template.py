"""template.yaml as one set of parameters has it deployed: conditions decided, what they leave out left out."""

from functools import cache
from typing import Any

from tests.fakes.expanded_template import as_list, expanded, source

_LEFT_OUT = object()


@cache
def deployed(**parameters: str) -> dict[str, dict[str, Any]]:
    """Resources by logical id, whole (`Type`, `Properties`, `DeletionPolicy`).

    Args:
        parameters: those that differ from their defaults.
    """
    values = {name: str(one.get("Default", "")) for name, one in source()["Parameters"].items()} | parameters
    holds = {name: _holds(one, values) for name, one in expanded()["Conditions"].items()}
    resources = expanded()["Resources"].items()
    return {name: _decided(one, holds) for name, one in resources if holds.get(one.get("Condition", ""), True)}


def of_type(kind: str, **parameters: str) -> dict[str, dict[str, Any]]:
    """Properties of the resources of one type, by logical id."""
    return {name: one.get("Properties", {}) for name, one in deployed(**parameters).items() if one["Type"] == kind}


def statements_of_role(role: str, **parameters: str) -> list[dict[str, Any]]:
    """Every statement of a role's own, attached and inline policies; AWS's managed ones are not looked at."""
    properties = deployed(**parameters)[role]["Properties"]
    documents = [one["PolicyDocument"] for one in properties.get("Policies", [])]
    attached = [one["Ref"] for one in properties.get("ManagedPolicyArns", []) if isinstance(one, dict) and "Ref" in one]
    documents += [of_type("AWS::IAM::ManagedPolicy", **parameters)[name]["PolicyDocument"] for name in attached]
    documents += [
        one["PolicyDocument"]
        for one in of_type("AWS::IAM::Policy", **parameters).values()
        if {"Ref": role} in one["Roles"]
    ]
    return [statement for document in documents for statement in as_list(document["Statement"])]


def _holds(condition: Any, values: dict[str, str]) -> bool:
    ((function, arguments),) = condition.items()
    if function == "Fn::Not":
        return not _holds(arguments[0], values)
    if function in {"Fn::And", "Fn::Or"}:
        found = [_holds(one, values) for one in arguments]
        return all(found) if function == "Fn::And" else any(found)
    assert function == "Fn::Equals", function
    one, other = (str(values[side["Ref"]] if isinstance(side, dict) else side) for side in arguments)
    return one == other


def _decided(value: Any, holds: dict[str, bool]) -> Any:
    if isinstance(value, list):
        found = [_decided(one, holds) for one in value]
        return [one for one in found if one is not _LEFT_OUT]
    if not isinstance(value, dict):
        return value
    if value == {"Ref": "AWS::NoValue"}:
        return _LEFT_OUT
    if set(value) == {"Fn::If"}:
        condition, then, otherwise = value["Fn::If"]
        return _decided(then if holds[condition] else otherwise, holds)
    found = {name: _decided(one, holds) for name, one in value.items()}
    return {name: one for name, one in found.items() if one is not _LEFT_OUT}
