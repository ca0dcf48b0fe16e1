"""POST /policies/{policy}/predict: observations in, actions out."""

from functools import cache, partial
from typing import Any

from aws_lambda_powertools.logging import Logger

from pipeline.api import problems
from pipeline.api.bodies import BodyTooLargeError, body_of
from pipeline.api.predictor import MAX_REQUEST_BYTES, Predictor
from pipeline.aws import clients, inference
from pipeline.aws.served_policies import ServedPolicies
from pipeline.contracts.predict import PredictRequest
from pipeline.contracts.validation import InvalidDocumentError, read_document
from pipeline.errors import InputError, PipelineError
from pipeline.settings import PredictSettings

ROUTE = "/policies/{policy}/predict"

logger = Logger()


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answer one request of API Gateway (proxy event of a REST API). Every error is an answer, never an exception."""
    if event["resource"] != ROUTE:
        return problems.to_proxy_response(problems.no_such_route(event["httpMethod"], event["path"]))
    try:
        request = read_document(PredictRequest, body_of(event, MAX_REQUEST_BYTES))
        response = _predictor().predict(event["pathParameters"]["policy"], request)
    except BodyTooLargeError as error:
        problem = problems.too_large(error.size_bytes, error.limit_bytes)
    except InvalidDocumentError as error:
        problem = problems.of_invalid_document(error)
    except PipelineError as error:
        log = logger.info if isinstance(error, InputError) else logger.warning
        log("not answered", extra={"code": error.code(), "cause": error.cause})
        problem = problems.of_error(error)
    except Exception:
        request_id = str(event["requestContext"].get("requestId", ""))
        logger.exception("unforeseen error", extra={"api_request_id": request_id})
        problem = problems.internal(request_id)
    else:
        headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
        return {"statusCode": 200, "headers": headers, "body": response.model_dump_json(exclude_none=True)}
    return problems.to_proxy_response(problem)


@cache
def _predictor() -> Predictor:
    """One for the life of the process: it keeps what it has read, and its clients keep their connections."""
    policies = ServedPolicies(clients.s3(), PredictSettings.from_environment().bucket_name)
    return Predictor(policies.current, policies.spec, partial(inference.invoke, clients.sagemaker_runtime()))
