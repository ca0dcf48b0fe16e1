"""operations.yaml as CloudFormation sees it, and what CloudWatch Logs makes of its metric filters."""

import json
import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from cfnlint.decode import decode

from tests.fakes.expanded_template import ROOT

Line = dict[str, Any]
_TOKEN = re.compile(r'\s*(\(|\)|\|\||&&|>=|<=|!=|=|>|<|\$[\w.\[\]]+|"[^"]*"|-?\d+(?:\.\d+)?|\w+)')


@cache
def operations() -> dict[str, Any]:
    """The template, its short intrinsic forms (!Ref) in their long form."""
    template, faults = decode(str(ROOT / "operations.yaml"))
    assert not faults, faults
    document: dict[str, Any] = json.loads(json.dumps(template))
    return document


def of_type(kind: str) -> dict[str, dict[str, Any]]:
    """Properties of the resources of one type, by logical id."""
    return {name: one["Properties"] for name, one in operations()["Resources"].items() if one["Type"] == kind}


def text_of(value: Any) -> str:
    """What Ref and Sub make of the value: `${Name}` stands for a parameter or resource."""
    if isinstance(value, dict):
        ((function, argument),) = value.items()
        return f"${{{argument}}}" if function == "Ref" else str(argument)
    return str(value)


def counted(log_group: str, lines: Iterable[Line]) -> dict[tuple[str, ...], float]:
    """What the filters of the log group add up to: metric name and values of its dimensions → the sum."""
    found: dict[tuple[str, ...], float] = {}
    for line in lines:
        for name, value in _values(log_group, line):
            found[name] = found.get(name, 0.0) + value
    return found


def _values(log_group: str, line: Line) -> Iterator[tuple[tuple[str, ...], float]]:
    for one in of_type("AWS::Logs::MetricFilter").values():
        if one["LogGroupName"] == {"Ref": log_group} and matches(one["FilterPattern"], line):
            for made in one["MetricTransformations"]:
                dimensions = [str(_field(line, each["Value"])) for each in made.get("Dimensions", [])]
                value = made["MetricValue"]
                number = _field(line, value) if value.startswith("$") else value
                yield (made["MetricName"], *dimensions), float(number)


def matches(pattern: str, line: Line) -> bool:
    """Whether a JSON line is one of the pattern's (CloudWatch Logs guide, "Filter pattern syntax", JSON)."""
    braced = re.fullmatch(r"\{(.*)\}", pattern.strip(), re.DOTALL)
    assert braced is not None, pattern
    tokens = _TOKEN.findall(braced[1])
    assert "".join(tokens) == re.sub(r'("[^"]*")|\s+', lambda found: found[1] or "", braced[1]), "all is understood"
    result = _any(tokens, line)
    assert not tokens, tokens
    return result


def _any(tokens: list[str], line: Line) -> bool:
    found = _all(tokens, line)
    while tokens and tokens[0] == "||":
        tokens.pop(0)
        found = _all(tokens, line) or found
    return found


def _all(tokens: list[str], line: Line) -> bool:
    found = _one(tokens, line)
    while tokens and tokens[0] == "&&":
        tokens.pop(0)
        found = _one(tokens, line) and found
    return found


def _one(tokens: list[str], line: Line) -> bool:
    if tokens[0] == "(":
        tokens.pop(0)
        found = _any(tokens, line)
        assert tokens.pop(0) == ")"
        return found
    value, operator, wanted = _field(line, tokens.pop(0)), tokens.pop(0), tokens.pop(0)
    if operator == "IS":
        return value is {"TRUE": True, "FALSE": False}[wanted]
    if wanted.startswith('"'):
        same = isinstance(value, str) and fnmatchcase(value, wanted.strip('"'))
        return same if operator == "=" else value is not None and not same
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    number = float(wanted)
    return {">": value > number, ">=": value >= number, "=": value == number}[operator]


def _field(line: Line, selector: str) -> Any:
    value: Any = line
    for name in selector.removeprefix("$.").split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value
