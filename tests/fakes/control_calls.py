"""Calling the control API as API Gateway does, and reading what it answers."""

import json
import re
from typing import Any

from control_read.app import handler as read_handler
from control_write.app import handler as write_handler
from pipeline.contracts.problem import Problem
from tests.fakes.control_stack import LambdaContext, sample_event

_WRITING = re.compile(
    "POST /training-runs(/[^/]+/redrive)?|POST /builds(/[^/]+/(parts|complete))?|POST /policies/[^/]+/(rollback|wake)"
    "|POST /registry"
    "|DELETE /[^/]+/[^/]+"
)


def call(method: str, path: str, body: Any = None, query: dict[str, str] | None = None, **more: Any) -> Any:
    """As API Gateway calls: the write function has the routes that change something, the read function all else."""
    event = sample_event("control/get_policies") | {
        "httpMethod": method,
        "path": path,
        "body": body if body is None or isinstance(body, str) else json.dumps(body),
        "queryStringParameters": query,
        "multiValueQueryStringParameters": {name: [text] for name, text in query.items()} if query else None,
        "pathParameters": None,
    }
    handler = write_handler if _WRITING.fullmatch(f"{method} {path}") else read_handler
    return handler(event | more, LambdaContext())


def document(answer: Any, model: Any, status: int = 200) -> Any:
    assert answer["statusCode"] == status, answer["body"]
    assert answer["multiValueHeaders"]["Content-Type"] == ["application/json"]
    return model.model_validate_json(answer["body"])


def problem(answer: Any, status: int) -> Problem:
    assert answer["statusCode"] == status, answer["body"]
    assert answer["multiValueHeaders"]["Content-Type"] == ["application/problem+json"]
    found = Problem.model_validate_json(answer["body"], strict=True)
    assert found.status == status
    assert found.code
    assert found.remedy
    return found
