"""The dashboard's static files, as a Lambda answers them: a flat folder of text, served without a key.

The page asks the control API, which is its own origin, with the key that its reader enters. Nothing in these files is
secret; that they need no key is what lets the page ask for one.
"""

import hashlib
import json
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

from pipeline.api import problems

INDEX = "index.html"
SETTINGS = "settings.json"
"""Not a file: what the page must know of its deployment."""

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


def answer(event: Mapping[str, Any], folder: Path, *, predict_api_id: str, connect_origins: str) -> dict[str, Any]:
    """Answer `GET /dashboard` and `GET /dashboard/{file}`.

    Args:
        event: API Gateway's proxy event.
        folder: where the files lie.
        predict_api_id: of the API that the page's *try it* asks.
        connect_origins: by spaces, where the page may send requests beside its own origin.
    """
    name = (event.get("pathParameters") or {}).get("file")
    if not name:
        return {"statusCode": int(HTTPStatus.FOUND), "headers": {"Location": f"dashboard/{INDEX}"}, "body": ""}
    if name == SETTINGS:
        ids = {"control_api_id": event["requestContext"]["apiId"], "predict_api_id": predict_api_id}
        return _answer(json.dumps(ids), "application/json", event, connect_origins)
    path = folder / name
    if path.suffix not in _TYPES or path.parent != folder or not path.is_file():
        return problems.to_proxy_response(problems.no_such_route(event["httpMethod"], event["path"]))
    return _answer(path.read_text(encoding="utf-8"), _TYPES[path.suffix], event, connect_origins)


def security_headers(connect_origins: str) -> dict[str, str]:
    """What keeps a page that knows a key to itself: own scripts alone, in no frame, no word to other sites."""
    policy = (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        f"img-src 'self' data: {connect_origins}".rstrip(),
        f"connect-src 'self' {connect_origins}".rstrip(),
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
    return {
        "Content-Security-Policy": "; ".join(policy),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }


def _answer(text: str, content_type: str, event: Mapping[str, Any], connect_origins: str) -> dict[str, Any]:
    tag = f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'
    asked = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    unchanged = asked.get("if-none-match") == tag
    # no-cache: kept, and asked for again each time, so that modules of two deployments never meet in one page
    headers = {"Content-Type": content_type, "Cache-Control": "no-cache", "ETag": tag}
    return {
        "statusCode": int(HTTPStatus.NOT_MODIFIED if unchanged else HTTPStatus.OK),
        "headers": headers | security_headers(connect_origins),
        "body": "" if unchanged else text,
    }
