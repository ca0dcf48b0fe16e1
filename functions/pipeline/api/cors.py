"""What lets a page in a browser ask: the headers of answers, and the answer to a preflight.

API Gateway could answer preflights itself, by a MOCK integration for each path; the emulator passes over its headers
(ministack 1.5.33), and a page must work with the local cloud as well.
"""

from typing import Any

NO_ORIGIN = "none"
"""The template's word for: no page of a browser may ask."""

MAX_AGE_SECONDS = 7200
"""How long a browser need not ask again; Chrome's own limit."""


def answer_headers(allowed_origin: str) -> dict[str, str]:
    """On every answer; none, if no page may ask."""
    if allowed_origin == NO_ORIGIN:
        return {}
    return {
        "Access-Control-Allow-Origin": allowed_origin,
        "Access-Control-Expose-Headers": "Allow,Retry-After",
    }


def preflight(allowed_origin: str, methods: tuple[str, ...]) -> dict[str, Any]:
    """The answer to OPTIONS of a path that takes these methods. A browser lets nobody in that it does not name."""
    allowed = ",".join((*methods, "OPTIONS"))
    headers = {"Allow": allowed, "Cache-Control": "no-store"} | answer_headers(allowed_origin)
    if allowed_origin != NO_ORIGIN:
        headers |= {
            "Access-Control-Allow-Methods": allowed,
            "Access-Control-Allow-Headers": "content-type,accept,x-api-key,idempotency-key",
            "Access-Control-Max-Age": str(MAX_AGE_SECONDS),
        }
    return {"statusCode": 204, "headers": headers, "body": ""}
