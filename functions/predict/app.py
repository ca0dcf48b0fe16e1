"""POST /policies/{policy}/predict: observations in, actions out. Beside it, what the API says of itself.

A cold start waits for every import: what only a few requests need is imported by those.
"""

import os
from functools import cache, partial
from typing import Any

from pipeline.api import cors, prediction
from pipeline.api.predictor import Predictor
from pipeline.aws import clients, inference
from pipeline.aws.policy_documents import PolicyDocuments
from pipeline.settings import PredictSettings

ROUTE = "/policies/{policy}/predict"


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answer one request of API Gateway (proxy event of a REST API). Every error is an answer, never an exception."""
    try:
        answer = _predict(event) if event["resource"] == ROUTE else _other(event)
    except Exception as error:
        answer = _refuse(event, error)
    answer["headers"] |= _browser_headers()
    return answer


def _predict(event: dict[str, Any]) -> dict[str, Any]:
    return prediction.answer(event, _predictor(), _ask())


def _ask() -> prediction.Send:
    ask = partial(inference.ask, clients.sagemaker_runtime())
    if "Sampled=1" not in os.environ.get("_X_AMZN_TRACE_ID", ""):
        return ask
    from pipeline.aws import traces

    return traces.traced(ask)


def _refuse(event: dict[str, Any], error: Exception) -> dict[str, Any]:
    from pipeline.api import refusals

    return refusals.answer(error, event)


def _other(event: dict[str, Any]) -> dict[str, Any]:
    from pipeline.api import description

    return description.answer_predict(event, _settings())


@cache
def _browser_headers() -> dict[str, str]:
    return cors.answer_headers(_settings().allowed_origin)


@cache
def _settings() -> PredictSettings:
    return PredictSettings.from_environment()


@cache
def _predictor() -> Predictor:
    """One for the life of the process: it keeps what it has read, and its clients keep their connections."""
    documents = PolicyDocuments(clients.s3(), _settings().bucket_name)
    return Predictor(documents.current, documents.spec)
