"""The reader behind `yaml_documents`, apart from it because of what it imports.

PyYAML (6.0) reads YAML 1.1 and trusts its input in two ways: a few lines of aliases may stand for billions of values,
and of a key that is written twice the first is dropped without a word.
"""

import re
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.resolver import Resolver

from pipeline.rules.yaml_documents import UnreadableYamlError

_MAX_VALUES = 50_000
"""All aliases written out; our largest example has some 200."""

_MERGE_KEY = "<<"


class _Loader(yaml.SafeLoader):
    """Dates stay text, as JSON has none."""

    yaml_implicit_resolvers = {  # noqa: RUF012  # as PyYAML declares it
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in Resolver.yaml_implicit_resolvers.items()
    }


def load(text: str | bytes) -> Any:
    """As `load_yaml`, whatever the size."""
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _check(node, {}, set())
        return _plain(loader.construct_document(node))
    except yaml.MarkedYAMLError as error:
        raise UnreadableYamlError(_place(error)) from error
    except (yaml.YAMLError, ValueError, UnicodeDecodeError) as error:
        raise UnreadableYamlError(str(error)) from error
    except RecursionError as error:
        raise UnreadableYamlError("it is nested too deeply") from error
    finally:
        if loader is not None:
            loader.dispose()


def _check(node: Node, sizes: dict[int, int], above: set[int]) -> int:
    """How many values the node stands for, aliases written out.

    Args:
        node: an alias is the very node that it names.
        sizes: what is known, by the node's identity.
        above: the nodes that this one lies in.
    """
    identity = id(node)
    if identity in above:
        raise UnreadableYamlError(f"an alias stands for what it lies in ({_line(node)})")
    if identity not in sizes:
        if isinstance(node, MappingNode):
            _check_keys(node)
        size = 1 + sum(_check(child, sizes, above | {identity}) for child in _children(node))
        if size > _MAX_VALUES:
            raise UnreadableYamlError(f"it stands for more than {_MAX_VALUES:,} values, aliases written out")
        sizes[identity] = size
    return sizes[identity]


def _children(node: Node) -> list[Node]:
    if isinstance(node, SequenceNode):
        return list(node.value)
    return [part for pair in node.value for part in pair] if isinstance(node, MappingNode) else []


def _check_keys(node: MappingNode) -> None:
    keys: set[str] = set()
    for key, _ in node.value:
        if not isinstance(key, ScalarNode):
            raise UnreadableYamlError(f"a key must be a text ({_line(key)})")
        if key.value in keys and key.value != _MERGE_KEY:
            raise UnreadableYamlError(f"{key.value!r} is written twice ({_line(key)})")
        keys.add(key.value)


def _plain(value: object) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise UnreadableYamlError(f"it holds a {type(value).__name__}, which is no text, number, list or mapping")


def _line(node: Node) -> str:
    return f"line {node.start_mark.line + 1}"


def _place(error: yaml.MarkedYAMLError) -> str:
    what = " ".join(part for part in (error.context, error.problem) if part) or "not readable"
    mark = error.problem_mark or error.context_mark
    return f"{what} (line {mark.line + 1})" if mark else what


# YAML 1.2 and JSON take `3e-4` for a number; YAML 1.1 wants a point in it.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"),
    list("-+0123456789"),
)
