"""Reading a JSON document into a dataclass, tolerant of what a newer API adds.

Unknown fields are passed over. A field that is missing takes its default. A value whose type does not fit is an error
that names the field: better than a surprise far from its cause.
"""

import types
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from gamedojo.errors import UnexpectedAnswerError

T = TypeVar("T")


def read(model: type[T], document: Any) -> T:
    """Read a parsed JSON document as `model`.

    Raises:
        UnexpectedAnswerError: a required field is missing, or a value has another type; the message names the field.
    """
    try:
        return _value(model, document, "")  # type: ignore[no-any-return]
    except _MismatchError as error:
        raise UnexpectedAnswerError(
            f"The answer does not fit: {error}.",
            "Check that the URL is a gamedojo API, and that this client is current.",
        ) from None


class _MismatchError(Exception):
    pass


def _value(kind: Any, value: Any, path: str) -> Any:
    origin = get_origin(kind)
    if kind is Any:
        return value
    if origin in (Union, types.UnionType):
        return _union(get_args(kind), value, path)
    if origin is tuple:
        (item, *_) = get_args(kind)
        return tuple(_value(item, entry, f"{path}[{i}]") for i, entry in enumerate(_expect(list, value, path)))
    if origin is dict:
        item = get_args(kind)[1]
        return {name: _value(item, entry, f"{path}.{name}") for name, entry in _expect(dict, value, path).items()}
    if is_dataclass(kind):
        return _record(kind, _expect(dict, value, path), path)
    return _scalar(kind, value, path)


def _union(kinds: tuple[Any, ...], value: Any, path: str) -> Any:
    """`X | None`, or with a list beside a scalar: the kind whose JSON form the value has."""
    if value is None and types.NoneType in kinds:
        return None
    kinds = tuple(kind for kind in kinds if kind is not types.NoneType)
    fitting = [kind for kind in kinds if (get_origin(kind) is tuple) == isinstance(value, list)]
    return _value((fitting or kinds)[0], value, path)


def _record(model: Any, document: dict[str, Any], path: str) -> Any:
    values = {}
    hints = _hints(model)
    for field in fields(model):
        if not field.init:
            continue
        here = f"{path}.{field.name}".lstrip(".")
        if field.name in document:
            values[field.name] = _value(hints[field.name], document[field.name], here)
        elif field.default is MISSING and field.default_factory is MISSING:
            raise _MismatchError(f"{here} is missing")
    return model(**values)


def _scalar(kind: Any, value: Any, path: str) -> Any:
    if kind is datetime:
        try:
            return datetime.fromisoformat(_expect(str, value, path))
        except ValueError as error:
            raise _MismatchError(f"{path} is no time: {value!r}") from error
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)  # DynamoDB knows one kind of number
    return _expect(kind, value, path)


def _expect(kind: Any, value: Any, path: str) -> Any:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise _MismatchError(f"{path or 'the document'} is {type(value).__name__}, not {kind.__name__}")
    return value


@cache
def _hints(model: Any) -> dict[str, Any]:
    return get_type_hints(model)
