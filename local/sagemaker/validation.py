"""Checks requests against botocore's own model of the service.

Unknown and required members, types, lengths, ranges, enumerations and patterns. (botocore's ParamValidator, which every
client runs, knows no patterns, enumerations or maximum lengths.)
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import botocore.session
from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StructureShape

from local.sagemaker.errors import (
    NotImplementedLocallyError,
    SerializationError,
    UnknownOperationError,
    ValidationError,
)

_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "structure": (dict,),
    "map": (dict,),
    "list": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "timestamp": (int, float),  # JSON 1.1: seconds since 1970
}
_CLASSES = (
    ("\\uD800\\uDC00-\\uDBFF\\uDFFF", "\U00010000-\U0010ffff"),
    ("\\p{L}", "\\w"),
    ("\\p{N}", "\\d"),
    ("\\p{Z}", " \u00a0"),
    ("\\p{Alnum}", "a-zA-Z0-9"),
    ("\\p{Print}", "[ -~]"),
)
_SHOWN_CHARACTERS = 256


@cache
def service_model(name: str) -> ServiceModel:
    """Model of a service by botocore, "sagemaker" or "sagemaker-runtime"."""
    return botocore.session.Session().get_service_model(name)


def operation_model(operation: str, service: str = "sagemaker") -> OperationModel:
    """The model of a control plane operation.

    Raises:
        UnknownOperationError: the service has none of this name.
    """
    model = service_model(service)
    if operation not in model.operation_names:
        raise UnknownOperationError(f"{model.service_name} has no operation {operation!r}.")
    return model.operation_model(operation)


def check_request(operation: OperationModel, document: Any) -> None:
    """Check a request's JSON document.

    Raises:
        SerializationError: a member of the wrong type.
        ValidationError: anything else; all violations in one message, worded as AWS does.
    """
    shape = operation.input_shape
    if shape is not None:
        _raise_if_any(list(violations(shape, document)))


def check_value(shape: Shape, value: Any, path: str) -> None:
    """Check one value, such as a name that came in a URL.

    Raises:
        ValidationError: it breaks its shape.
    """
    _raise_if_any(list(violations(shape, value, path)))


def violations(shape: Shape, value: Any, path: str = "") -> Iterator[str]:
    """Everything that is wrong with a value, in AWS's words.

    Raises:
        SerializationError: a value of the wrong JSON type.
    """
    if not _has_type(shape, value):
        raise SerializationError(f"{_shown(value)} at '{path}' cannot be read as {shape.type_name}.")
    if isinstance(shape, StructureShape):
        yield from _structure(shape, value, path)
    elif isinstance(shape, ListShape):
        yield from _sized(shape, value, path)
        for number, element in enumerate(value, 1):
            yield from violations(shape.member, element, f"{path}.{number}.member")
    elif isinstance(shape, MapShape):
        yield from _sized(shape, value, path)
        for key, element in value.items():
            yield from violations(shape.key, key, f"{path}.key")
            yield from violations(shape.value, element, f"{path}.{key}.member")
    elif shape.type_name == "string":
        yield from _sized(shape, value, path)
        yield from _worded(shape, value, path)
    elif shape.type_name in {"integer", "long", "float", "double"}:
        yield from _ranged(shape, value, path)


def _has_type(shape: Shape, value: Any) -> bool:
    expected = _PYTHON_TYPES.get(shape.type_name, ())
    return isinstance(value, expected) and (bool in expected or not isinstance(value, bool))


def _structure(shape: StructureShape, value: Mapping[str, Any], path: str) -> Iterator[str]:
    for name in shape.required_members:
        if value.get(name) is None:
            yield _violation(None, _join(path, name), "not be null")
    for name, element in value.items():
        if name not in shape.members:
            known = ", ".join(sorted(shape.members))
            yield f"Unknown member '{_join(path, name)}'; the members of {shape.name} are: {known}"
        elif element is not None:
            yield from violations(shape.members[name], element, _join(path, name))


def _sized(shape: Shape, value: Any, path: str) -> Iterator[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and len(value) < low:
        yield _violation(value, path, f"have length greater than or equal to {low}")
    if high is not None and len(value) > high:
        yield _violation(value, path, f"have length less than or equal to {high}")


def _worded(shape: Shape, value: str, path: str) -> Iterator[str]:
    choices = shape.metadata.get("enum")
    if choices and value not in choices:
        yield _violation(value, path, f"satisfy enum value set: [{', '.join(choices)}]")
    pattern = shape.metadata.get("pattern")
    if pattern and not compiled(pattern).fullmatch(value):
        yield _violation(value, path, f"satisfy regular expression pattern: {pattern}")


def _ranged(shape: Shape, value: float, path: str) -> Iterator[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and value < low:
        yield _violation(value, path, f"have value greater than or equal to {low}")
    if high is not None and value > high:
        yield _violation(value, path, f"have value less than or equal to {high}")


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    r"""A pattern of the model, which is Java's; Python lacks classes such as `\p{L}` (letters)."""
    python = pattern
    for java, ours in _CLASSES:
        python = python.replace(java, ours)
    try:
        return re.compile(python)
    except re.error as error:
        raise NotImplementedLocallyError(f"Checking a value against the pattern {pattern!r}") from error


def _raise_if_any(found: list[str]) -> None:
    if found:
        errors = "error" if len(found) == 1 else "errors"
        raise ValidationError(f"{len(found)} validation {errors} detected: {'; '.join(found)}")


def _violation(value: Any, path: str, constraint: str) -> str:
    shown = "null" if value is None else f"'{_shown(value)}'"
    return f"Value {shown} at '{path}' failed to satisfy constraint: Member must {constraint}"


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def _join(path: str, name: str) -> str:
    lower = name[:1].lower() + name[1:]
    return f"{path}.{lower}" if path else lower
