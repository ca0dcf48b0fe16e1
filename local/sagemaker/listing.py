"""List* operations: filter, sort, pages. The members are the same for all resources."""

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from local.sagemaker.errors import NotImplementedLocallyError, ValidationError

_DEFAULT_PAGE = 10
"""SageMaker's default of MaxResults."""

_TIME_FILTERS = {
    "CreationTimeAfter": ("CreationTime", 1),
    "CreationTimeBefore": ("CreationTime", -1),
    "LastModifiedTimeAfter": ("LastModifiedTime", 1),
    "LastModifiedTimeBefore": ("LastModifiedTime", -1),
}
_OTHERS = {"NextToken", "MaxResults", "SortBy", "SortOrder", "NameContains", "StatusEquals"}


def page(
    request: Mapping[str, Any], summaries: Iterable[dict[str, Any]], *, resource: str, default_order: str
) -> tuple[list[dict[str, Any]], str | None]:
    """The page that was asked for, and the token of the next.

    Args:
        request: the List* request, checked against the model.
        summaries: all summaries, with members such as `<resource>Name`, CreationTime, `<resource>Status`.
        resource: the beginning of the members' names, such as "Endpoint".
        default_order: "Ascending" or "Descending".

    Raises:
        ValidationError: a NextToken that we did not give.
        NotImplementedLocallyError: a filter that is not here.
    """
    unknown = sorted(name for name in request if name not in _OTHERS and name not in _TIME_FILTERS)
    if unknown:
        raise NotImplementedLocallyError(f"Listing by {unknown[0]}")
    found = [each for each in summaries if _matches(request, each, resource)]
    found.sort(key=_sort_key(request.get("SortBy", "CreationTime"), resource))
    if request.get("SortOrder", default_order) == "Descending":
        found.reverse()
    start = _read_token(request.get("NextToken"))
    end = start + request.get("MaxResults", _DEFAULT_PAGE)
    token = base64.urlsafe_b64encode(f"from:{end}".encode()).decode() if end < len(found) else None
    return found[start:end], token


def _matches(request: Mapping[str, Any], summary: Mapping[str, Any], resource: str) -> bool:
    for name, (member, sign) in _TIME_FILTERS.items():
        if name in request and sign * (summary[member] - request[name]) <= 0:
            return False
    if request.get("NameContains", "").lower() not in summary[f"{resource}Name"].lower():
        return False
    return "StatusEquals" not in request or summary[f"{resource}Status"] == request["StatusEquals"]


def _sort_key(sort_by: str, resource: str) -> Callable[[dict[str, Any]], tuple[Any, ...]]:
    member = {"Name": f"{resource}Name", "Status": f"{resource}Status"}.get(sort_by, "CreationTime")
    return lambda summary: (summary[member], summary["CreationTime"], summary[f"{resource}Name"])


def _read_token(token: str | None) -> int:
    if token is None:
        return 0
    try:
        word, _, number = base64.urlsafe_b64decode(token).decode().partition(":")
        if word != "from":
            raise ValueError(word)
        return int(number)
    except (binascii.Error, ValueError, UnicodeDecodeError) as error:
        raise ValidationError("Invalid NextToken.") from error
