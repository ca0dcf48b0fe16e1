"""AddTags, ListTags, DeleteTags, and the Tags member of Create* requests."""

from collections.abc import Mapping
from typing import Any

from local.sagemaker.errors import ValidationError
from local.sagemaker.store import Store

_MAX_TAGS = 50


def new_tags(request: Mapping[str, Any]) -> dict[str, str]:
    """The tags of a Create* request.

    Raises:
        ValidationError: a key twice, a reserved key, too many.
    """
    return _merged({}, request.get("Tags", []))


class Tags:
    """The operations."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, request: dict[str, Any]) -> dict[str, Any]:
        """AddTags; answers all tags of the resource."""
        with self._store.change():
            arn = self._find(request["ResourceArn"])
            tags = _merged(self._store.tags[arn], request["Tags"])
            self._store.tags[arn] = tags
            return {"Tags": _documents(tags)}

    def list(self, request: dict[str, Any]) -> dict[str, Any]:
        """ListTags; a resource has at most 50, the smallest page, so there is one page."""
        with self._store.lock:
            return {"Tags": _documents(self._store.tags[self._find(request["ResourceArn"])])}

    def delete(self, request: dict[str, Any]) -> dict[str, Any]:
        """DeleteTags; keys that are not there are fine."""
        with self._store.change():
            tags = self._store.tags[self._find(request["ResourceArn"])]
            for key in request["TagKeys"]:
                tags.pop(key, None)
            return {}

    def _find(self, arn: str) -> str:
        if arn not in self._store.tags:
            raise ValidationError(f'Could not find resource "{arn}".')
        return arn


def _merged(present: Mapping[str, str], added: list[dict[str, str]]) -> dict[str, str]:
    keys = [tag["Key"] for tag in added]
    if len(keys) != len(set(keys)):
        raise ValidationError("Duplicate tag keys found. Please note that tag keys are case insensitive.")
    if any(key.lower().startswith("aws:") for key in keys):
        raise ValidationError('Tag keys must not begin with "aws:", which is reserved.')
    tags = {**present, **{tag["Key"]: tag["Value"] for tag in added}}
    if len(tags) > _MAX_TAGS:
        raise ValidationError(f"A resource takes at most {_MAX_TAGS} tags.")
    return tags


def _documents(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
