"""The body of a proxy event, as bytes and within a limit."""

from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from pipeline.errors import InvalidRequestError


class BodyTooLargeError(Exception):
    """The body is above the route's published limit."""

    def __init__(self, size_bytes: int, limit_bytes: int) -> None:
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes
        super().__init__(f"{size_bytes} bytes, at most {limit_bytes}")


def body_of(event: Mapping[str, Any], limit_bytes: int) -> bytes:
    """What the caller sent; API Gateway hands binary media types on in base64.

    Raises:
        BodyTooLargeError: above the limit.
        InvalidRequestError: not what base64 or UTF-8 can hold.
    """
    text: str = event.get("body") or ""
    try:
        body = b64decode(text, validate=True) if event.get("isBase64Encoded") else text.encode()
    except ValueError as error:
        raise InvalidRequestError("not JSON: the body is no text") from error
    if len(body) > limit_bytes:
        raise BodyTooLargeError(len(body), limit_bytes)
    return body
