"""What the expanded template lets each Lambda do, and whether a call is within it."""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from tests.fakes.aws_needs import Need
from tests.fakes.expanded_template import as_list, resources

# What the template's intrinsic functions stand for in tests. A resource of the template is "${Its logical id}".
_PSEUDO = {
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::AccountId": "123456789012",
    "Stage": "test",
}
_ARNS = {
    "AWS::S3::Bucket": "arn:aws:s3:::${%s}",
    "AWS::DynamoDB::Table": "arn:aws:dynamodb:us-east-1:123456789012:table/${%s}",
}

# What the Lambda service does in the function's name, not its code.
BY_THE_SERVICE = {"sqs:SendMessage"}


class Grant(NamedTuple):
    """One action on one pattern of resources, as one statement allows it."""

    action: str
    pattern: str
    conditions: str = "{}"
    """JSON of the statement's conditions."""

    def covers(self, need: Need) -> bool:
        """Whether IAM would find the need in this grant."""
        return (
            self.action == need.action
            and matches(self.pattern, need.resource)
            and _fulfilled(json.loads(self.conditions), dict(need.context))
        )


def matches(pattern: str, value: str) -> bool:
    """By IAM's rules: `*` and `?` stand for anything, slashes and colons too."""
    return _expression(pattern).fullmatch(value) is not None


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    return re.compile("".join({"*": ".*", "?": "."}.get(one, re.escape(one)) for one in pattern), re.DOTALL)


def _fulfilled(conditions: Mapping[str, Mapping[str, Any]], context: Mapping[str, str]) -> bool:
    for operator, wanted in conditions.items():
        for key, values in wanted.items():
            same = {"StringEquals": str.__eq__, "StringLike": matches}[operator]
            if key not in context or not any(same(value, context[key]) for value in as_list(values)):
                return False
    return True


@cache
def functions() -> tuple[str, ...]:
    """Logical ids of all Lambdas."""
    return tuple(sorted(resources("AWS::Lambda::Function")))


@cache
def grants(function: str) -> frozenset[Grant]:
    """What the function's role allows its code. AWS's own policies for logs and traces are not looked at."""
    return frozenset(grant for statement in _statements(function) for grant in _grants(statement))


@cache
def statements(function: str) -> tuple[frozenset[Grant], ...]:
    """The same, by statement."""
    return tuple(frozenset(_grants(statement)) for statement in _statements(function))


def _statements(function: str) -> Iterator[dict[str, Any]]:
    role = resources("AWS::IAM::Role")[resources("AWS::Lambda::Function")[function]["Role"]["Fn::GetAtt"][0]]
    documents = [policy["PolicyDocument"] for policy in role.get("Policies", [])]
    ours = [one["Ref"] for one in role.get("ManagedPolicyArns", []) if isinstance(one, dict) and "Ref" in one]
    documents += [resources("AWS::IAM::ManagedPolicy")[name]["PolicyDocument"] for name in ours]
    for document in documents:
        yield from as_list(document["Statement"])


def _grants(statement: Mapping[str, Any]) -> Iterator[Grant]:
    assert statement["Effect"] == "Allow"
    conditions = json.dumps(statement.get("Condition", {}), sort_keys=True)
    for action in as_list(statement["Action"]):
        for resource in as_list(statement["Resource"]):
            if action not in BY_THE_SERVICE and (pattern := resolved(resource)) is not None:
                yield Grant(action, pattern, conditions)


def resolved(value: Any) -> str | None:
    """The string that CloudFormation makes of the value; None for AWS::NoValue."""
    if isinstance(value, str):
        return value
    ((function, argument),) = value.items()
    if function == "Ref":
        return None if argument == "AWS::NoValue" else _PSEUDO.get(argument, f"${{{argument}}}")
    if function == "Fn::GetAtt":
        return _attribute(*as_list(argument))
    assert function == "Fn::Sub", value
    return re.sub(r"\$\{([\w:.]+)\}", lambda found: _substituted(found[1]), argument)


def _substituted(name: str) -> str:
    return _attribute(*name.split(".")) if "." in name else str(resolved({"Ref": name}))


def _attribute(name: str, attribute: str) -> str:
    for kind, arn in _ARNS.items():
        if attribute == "Arn" and name in resources(kind):
            return arn % name
    return f"${{{name}.{attribute}}}"
