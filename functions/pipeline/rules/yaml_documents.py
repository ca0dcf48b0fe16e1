"""YAML from someone we do not know, as plain JSON values."""

from typing import Any, Final

MAX_BYTES: Final = 64 * 1024
"""PyYAML reads some 60 KB a second; our largest example of a trainer file has 3."""


class UnreadableYamlError(ValueError):
    """The text is no YAML that we read; the message says where and why."""


def load_yaml(text: str | bytes) -> Any:
    """One document of mappings, lists, texts, numbers, booleans and nulls; keys are texts.

    Raises:
        UnreadableYamlError: broken, too large, recursive, with a key twice, or with values that JSON does not have.
    """
    if len(text) > MAX_BYTES:
        raise UnreadableYamlError(f"it has {len(text):,} bytes; at most {MAX_BYTES:,} are read")
    # Here, for PyYAML takes 30 ms to import, and most requests hold no YAML.
    from pipeline.rules import yaml_loader

    return yaml_loader.load(text)
