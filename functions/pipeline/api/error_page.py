"""docs/errors.md: every code of an error answer, made from the table of codes and the table of routes."""

from collections.abc import Iterable

from pipeline.api import codes
from pipeline.api.codes import ErrorCode
from pipeline.api.routes import CONTROL, PREDICT, Route

_HEAD = """# Errors

<!-- Written by `make openapi` from functions/pipeline/api/codes.py and routes.py. -->

Every error of both APIs is an answer of the type `application/problem+json` (RFC 9457). `code` is stable: programs go
by it. `detail` says what is wrong in this case, `remedy` what would be right, `errors` names each field that is wrong.

```json
{"type": "about:blank", "title": "Bad Request", "status": 400, "code": "InvalidRequest",
 "detail": "sede: unknown field; did you mean 'seed'?",
 "remedy": "Correct the named fields and send the request again.",
 "errors": [{"field": "sede", "message": "unknown field; did you mean 'seed'?"}]}
```

`Throttled` and answers with 503 have the header `Retry-After`, in seconds. A code with a * comes from API Gateway
itself, before a function of ours is asked; `Throttled` may come from both.
"""


def error_page() -> str:
    """The page as Markdown."""
    control, predict = _codes(CONTROL), _codes(PREDICT)
    answered = control | predict | {codes.ROUTE_NOT_FOUND.code, codes.METHOD_NOT_ALLOWED.code}
    lines = [
        _HEAD,
        "| status | code | means | what to do | where |",
        "|---|---|---|---|---|",
        *(_row(one, control, predict) for one in codes.all_codes() if one.code in answered),
    ]
    return "\n".join(lines) + "\n"


def _codes(table: Iterable[Route]) -> set[str]:
    return {one.code for route in table for one in route.all_failures}


def _row(one: ErrorCode, control: set[str], predict: set[str]) -> str:
    everywhere = one.code not in control | predict or one.code in control & predict
    where = "both" if everywhere else "control" if one.code in control else "predict"
    code = f"`{one.code}`{'*' if one.by_gateway else ''}"
    return f"| {int(one.status)} | {code} | {one.meaning} | {one.remedy} | {where} |"
