"""The OpenAPI 3.1 documents of both APIs, made from the table of routes, the contracts and the table of error codes.

`make openapi` writes them to docs/, each API serves its own at `/openapi.json`.
"""

import json
import re
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from pipeline import __version__
from pipeline.api import codes, problems
from pipeline.api.codes import ErrorCode
from pipeline.api.error_page import error_page
from pipeline.api.routes import CONTROL, PREDICT, AnyDocument, Route
from pipeline.contracts.constants import JSON, MSGPACK
from pipeline.contracts.problem import Problem
from pipeline.contracts.request import TrainingRequest
from pipeline.contracts.schema import with_flat_hyperparameters

Document = dict[str, Any]

_REFERENCE = "#/components/schemas/{model}"
_PATH_PARAMETERS: dict[str, tuple[str, str]] = {
    "run_id": ("a run's id, as the answer to its start has it", "mygame-3f9c0a1b2c3d"),
    "policy": ("a policy's name", "mygame"),
    "build_id": ("a build's id, as the answer to its upload has it", "4f1c2d3e4f5061728394a5b6c7d8e9f0"),
    "environment": ("a mirrored environment's id", "3DBall"),
}
_IDEMPOTENCY_KEY: Document = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "any text of one's own for this one request, a UUID for example: sent again, it is the same run",
    "schema": {"type": "string", "pattern": "^[\\x21-\\x7e]{1,255}$"},
}
_SERVER: Document = {
    "url": ".",
    "description": "The stage, relative to where it serves this document: what the stack's outputs ControlApiUrl and "
    "PredictApiUrl say.",
}


@cache
def control_document() -> Document:
    """Of the control API."""
    return _document(
        "gamedojo control API",
        "For tools: upload builds, start training runs and follow them, see to the policies in service.",
        CONTROL,
    )


@cache
def predict_document() -> Document:
    """Of the predict API."""
    return _document(
        "gamedojo predict API",
        "For games: observations in, actions out. Its keys are its own: one that ships in a game starts no training.",
        PREDICT,
    )


def _document(title: str, description: str, table: tuple[Route, ...]) -> Document:
    paths: dict[str, Document] = {}
    shared: dict[str, Document] = {}
    for route in table:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, shared)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": __version__, "description": description},
        "servers": [_SERVER],
        "paths": paths,
        "components": {
            "schemas": _schemas(table),
            "responses": dict(sorted(shared.items())),
            "securitySchemes": {"api_key": {"type": "apiKey", "in": "header", "name": "x-api-key"}},
        },
    }


def _operation(route: Route, shared: dict[str, Document]) -> Document:
    operation: Document = {
        "operationId": route.name,
        "summary": route.summary,
        "security": [{"api_key": []}] if route.needs_key else [],
        "parameters": _parameters(route),
        "responses": _responses(route, shared),
    }
    if route.details:
        operation["description"] = route.details
    if route.body is not None:
        operation["requestBody"] = _body(route, route.body)
    return operation


def _parameters(route: Route) -> list[Document]:
    found = [_path_parameter(name) for name in re.findall(r"{(\w+)}", route.path)]
    if route.query is not None:
        found += [_query_parameter(name, schema) for name, schema in _properties(route.query).items()]
    return [*found, _IDEMPOTENCY_KEY] if route.takes_idempotency_key else found


def _path_parameter(name: str) -> Document:
    description, example = _PATH_PARAMETERS[name]
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": {"type": "string"},
        "example": example,
    }


def _properties(model: type[BaseModel]) -> dict[str, Document]:
    """Of a model whose properties refer to no other but enumerations, which are put in their place."""
    schema = model.model_json_schema()
    definitions = schema.get("$defs", {})
    return {name: _put_in_place(one, definitions) for name, one in schema["properties"].items()}


def _put_in_place(schema: Document, definitions: Mapping[str, Document]) -> Document:
    """A query parameter is left out rather than null."""
    forms = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    found = {name: value for name, value in schema.items() if name not in ("anyOf", "title")}
    if found.get("default", "") is None:
        del found["default"]
    for one in forms:
        found |= definitions[one["$ref"].rsplit("/", 1)[-1]] if "$ref" in one else one
    found.pop("title", None)
    return found | ({"description": schema["description"]} if "description" in schema else {})


def _query_parameter(name: str, schema: Document) -> Document:
    description = schema.pop("description", "")
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


def _body(route: Route, model: type[BaseModel]) -> Document:
    content: Document = {JSON: {"schema": _reference(model)}}
    if route.example is not None:
        content[JSON]["example"] = route.example
    if route.takes_msgpack:
        content[MSGPACK] = {"schema": {"type": "string", "format": "binary"}}
    return {"required": not route.body_optional, "content": content}


def _responses(route: Route, shared: dict[str, Document]) -> Document:
    """What the route answers; errors of the same status and codes are `shared` by all routes that have them."""
    found: Document = {}
    for status, models in sorted(route.answers.items()):
        forms = [{"type": "object"} if model is AnyDocument else _reference(model) for model in models]
        content: Document = {JSON: {"schema": forms[0] if len(forms) == 1 else {"oneOf": forms}}}
        if route.takes_msgpack:
            content[MSGPACK] = {"schema": {"type": "string", "format": "binary"}}
        found[str(int(status))] = {"description": status.phrase, "content": content}
    by_status: dict[HTTPStatus, list[ErrorCode]] = {}
    for one in route.all_failures:
        by_status.setdefault(one.status, []).append(one)
    for status, listed in by_status.items():
        name = "_".join(one.code for one in listed)
        shared.setdefault(name, _problem_response(status, listed))
        found[str(int(status))] = {"$ref": f"#/components/responses/{name}"}
    return found


def _problem_response(status: HTTPStatus, listed: Iterable[ErrorCode]) -> Document:
    """The codes that this status may have here, with an example of each."""
    known = tuple(listed)
    schema = {
        "allOf": [
            _reference(Problem),
            {"properties": {"status": {"const": int(status)}, "code": {"enum": [one.code for one in known]}}},
        ]
    }
    response: Document = {
        "description": " ".join(f"{one.code}: {one.meaning}" for one in known),
        "content": {
            problems.PROBLEM_CONTENT_TYPE: {
                "schema": schema,
                "examples": {one.code: {"summary": one.meaning, "value": _example(one)} for one in known},
            }
        },
    }
    if status in codes.RETRY_AFTER_SECONDS:
        wanted = {"description": "seconds after which another try may help", "schema": {"type": "integer"}}
        response["headers"] = {"Retry-After": wanted}
    return response


def _example(one: ErrorCode) -> Document:
    return Problem(
        title=one.status.phrase, status=one.status, code=one.code, detail=one.meaning, remedy=one.remedy
    ).model_dump(mode="json")


def _schemas(table: Iterable[Route]) -> dict[str, Document]:
    models: dict[type[BaseModel], None] = {Problem: None}
    for route in table:
        answered = [model for forms in route.answers.values() for model in forms if model is not AnyDocument]
        models |= dict.fromkeys([*([route.body] if route.body else []), *answered])
    _, document = models_json_schema([(model, "validation") for model in models], ref_template=_REFERENCE)
    found: dict[str, Document] = dict(sorted(document["$defs"].items()))
    if TrainingRequest.__name__ in found:
        with_flat_hyperparameters(found[TrainingRequest.__name__])
    for schema in found.values():
        _let_nulls_out(schema)
    return found


def _let_nulls_out(schema: Document) -> None:
    """An answer leaves out what is null, though the contract, which reads it back, has no default for it."""
    required = [name for name in schema.get("required", ()) if not _may_be_null(schema["properties"][name])]
    if "required" in schema:
        schema["required"] = required


def _may_be_null(schema: Document) -> bool:
    return {"type": "null"} in schema.get("anyOf", ())


def _reference(model: type[BaseModel]) -> Document:
    return {"$ref": _REFERENCE.format(model=model.__name__)}


def written() -> dict[str, str]:
    """What lies in docs/, by file name."""
    documents = {"openapi.control.json": control_document(), "openapi.predict.json": predict_document()}
    texts = {name: json.dumps(one, indent=2, ensure_ascii=False) + "\n" for name, one in documents.items()}
    return texts | {"errors.md": error_page()}


if __name__ == "__main__":
    for file_name, text in written().items():
        (Path(sys.argv[1]) / file_name).write_text(text, encoding="utf-8")
