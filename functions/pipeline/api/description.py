"""What an API says of itself: `GET /health`, `GET /openapi.json`. And what the predict API has not."""

import json
from collections.abc import Mapping
from typing import Any, Literal

from pipeline import __version__
from pipeline.api import cors, openapi, problems
from pipeline.api.routes import PREDICT, allowed_methods
from pipeline.contracts.api import Health
from pipeline.settings import ApiSettings


def health(api: Literal["control", "predict"], stage: str) -> Health:
    """The code that answers, and where it is deployed. It asks nothing else: the answer is quick, and costs nothing."""
    return Health(api=api, version=__version__, stage=stage)


def document(api: Literal["control", "predict"]) -> str:
    """The API's OpenAPI document as JSON."""
    described = openapi.control_document() if api == "control" else openapi.predict_document()
    return json.dumps(described, separators=(",", ":"))


def answer_predict(event: Mapping[str, Any], settings: ApiSettings) -> dict[str, Any]:
    """Every route of the predict API but the one that predicts, and what is none."""
    method, path = event["httpMethod"], event["path"]
    if (method, path) == ("GET", "/health"):
        return _answer(health("predict", settings.stage).model_dump_json())
    if (method, path) == ("GET", "/openapi.json"):
        return _answer(document("predict"))
    methods = allowed_methods(PREDICT, path)
    if methods and method == "OPTIONS":
        return cors.preflight(settings.allowed_origin, methods)
    if methods and method not in methods:
        allow = {"Allow": ", ".join(methods)}
        return problems.to_proxy_response(problems.wrong_method(method, path, methods), allow)
    return problems.to_proxy_response(problems.no_such_route(method, path))


def _answer(body: str) -> dict[str, Any]:
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return {"statusCode": 200, "headers": headers, "body": body}
