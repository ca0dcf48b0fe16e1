"""POST /policies/{policy}/predict: observations in, actions out. Beside it, what the API says of itself."""

from functools import cache, partial
from typing import TYPE_CHECKING, Any

from pipeline.api import cors, prediction, problems
from pipeline.api.bodies import BodyTooLargeError
from pipeline.api.predictor import Predictor
from pipeline.aws import clients, inference
from pipeline.aws.served_policies import ServedPolicies
from pipeline.contracts.validation import InvalidDocumentError
from pipeline.errors import InputError, PipelineError
from pipeline.settings import PredictSettings

if TYPE_CHECKING:
    from aws_lambda_powertools.logging import Logger

ROUTE = "/policies/{policy}/predict"


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answer one request of API Gateway (proxy event of a REST API). Every error is an answer, never an exception."""
    try:
        answer = _predict(event) if event["resource"] == ROUTE else _other(event)
    except BodyTooLargeError as error:
        answer = problems.to_proxy_response(problems.too_large(error.size_bytes, error.limit_bytes))
    except InvalidDocumentError as error:
        answer = problems.to_proxy_response(problems.of_invalid_document(error))
    except PipelineError as error:
        log = _logger().info if isinstance(error, InputError) else _logger().warning
        log("not answered", extra={"code": error.code(), "cause": error.cause})
        answer = problems.to_proxy_response(problems.of_error(error))
    except Exception:
        request_id = str(event["requestContext"].get("requestId", ""))
        _logger().exception("unforeseen error", extra={"api_request_id": request_id})
        answer = problems.to_proxy_response(problems.internal(request_id))
    answer["headers"] |= _browser_headers()
    return answer


def _predict(event: dict[str, Any]) -> dict[str, Any]:
    return prediction.answer(event, _predictor(), partial(inference.ask, clients.sagemaker_runtime()))


def _other(event: dict[str, Any]) -> dict[str, Any]:
    from pipeline.api import description  # asked for once in a while: no prediction waits for its import

    return description.answer_predict(event, _settings())


@cache
def _logger() -> "Logger":
    from aws_lambda_powertools.logging import Logger  # a prediction that succeeds is not logged, nor waits for this

    return Logger()


@cache
def _browser_headers() -> dict[str, str]:
    return cors.answer_headers(_settings().allowed_origin)


@cache
def _settings() -> PredictSettings:
    return PredictSettings.from_environment()


@cache
def _predictor() -> Predictor:
    """One for the life of the process: it keeps what it has read, and its clients keep their connections."""
    policies = ServedPolicies(clients.s3(), _settings().bucket_name)
    return Predictor(policies.current, policies.spec, partial(inference.invoke, clients.sagemaker_runtime()))
