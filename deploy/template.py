"""The defaults of template.yaml's parameters."""

from pathlib import Path
from typing import Any

import yaml


class _WithoutIntrinsics(yaml.SafeLoader):
    """Parameters hold no intrinsic; elsewhere `!Ref …` may be anything."""


_WithoutIntrinsics.add_multi_constructor("!", lambda *_: None)


def parameter_defaults(checkout: Path) -> dict[str, str]:
    """By name; those without a default are left out."""
    written = (checkout / "template.yaml").read_text(encoding="utf-8")
    document: dict[str, Any] = yaml.load(written, Loader=_WithoutIntrinsics)  # noqa: S506 - a SafeLoader that knows fewer tags
    return {name: str(one["Default"]) for name, one in document["Parameters"].items() if "Default" in one}
