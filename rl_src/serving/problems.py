"""Refusals and failures, as RFC 9457 writes them."""

import json
from http import HTTPStatus

from rl_src.serving.http_connection import Response

PROBLEM = "application/problem+json"


def problem(status: int, code: str, detail: str, headers: bytes = b"") -> Response:
    """`code` is for programs and stays what it is; `detail` is for people."""
    document = {"title": HTTPStatus(status).phrase, "status": status, "code": code, "detail": detail}
    return Response(status, PROBLEM, json.dumps(document).encode(), headers)
