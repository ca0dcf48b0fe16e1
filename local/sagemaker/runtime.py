"""InvokeEndpoint: limits, the way to the container and back, errors, metrics."""

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from botocore.model import Shape, StructureShape

from local.sagemaker.endpoint_life import EndpointLife
from local.sagemaker.endpoints_api import Endpoints
from local.sagemaker.errors import (
    ApiError,
    ContentTooLargeError,
    InternalError,
    LostConnectionError,
    ModelError,
    NotImplementedLocallyError,
    ValidationError,
)
from local.sagemaker.logs import ENDPOINTS_GROUP
from local.sagemaker.metrics import ENDPOINT_NAMESPACE, Measurement
from local.sagemaker.platform import Platform
from local.sagemaker.resources import Served
from local.sagemaker.upstream import Answer
from local.sagemaker.validation import check_value, service_model

REALTIME_LIMIT_BYTES = 6_291_456
SERVERLESS_LIMIT_BYTES = 4 * 1024 * 1024
CUSTOM_ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"
TARGET_VARIANT = "x-amzn-sagemaker-target-variant"

_FORWARDED = ("content-type", "accept", CUSTOM_ATTRIBUTES, "x-amzn-sagemaker-inference-id")
_NOT_HERE = (
    "x-amzn-sagemaker-target-model",
    "x-amzn-sagemaker-target-container-hostname",
    "x-amzn-sagemaker-enable-explanations",
    "x-amzn-sagemaker-inference-component",
    "x-amzn-sagemaker-session-id",
)


@dataclass(frozen=True)
class Invocation:
    """One request; header names in lower case."""

    endpoint_name: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Response:
    """What the client gets."""

    body: bytes
    headers: Mapping[str, str]


class Runtime:
    """The operation InvokeEndpoint."""

    def __init__(self, platform: Platform, endpoints: Endpoints) -> None:
        self._platform = platform
        self._endpoints = endpoints

    def limit_bytes(self, endpoint_name: str) -> int:
        """The largest body that an endpoint takes."""
        life = self._endpoints.life(endpoint_name)
        served = life.endpoint.served if life is not None else None
        return SERVERLESS_LIMIT_BYTES if served is not None and served.is_serverless else REALTIME_LIMIT_BYTES

    def refuse_oversize(self, endpoint_name: str) -> ApiError:
        """How SageMaker refuses a body beyond the limit: otherwise for serverless than for real-time endpoints."""
        if self.limit_bytes(endpoint_name) == SERVERLESS_LIMIT_BYTES:
            return ValidationError(f"Request {uuid.uuid4()} has oversize body.")
        return ContentTooLargeError(f"HTTP content length exceeded {REALTIME_LIMIT_BYTES} bytes.")

    def invoke(self, invocation: Invocation) -> Response:
        """Ask the endpoint's container.

        Raises:
            ApiError: as SageMaker answers it.
            LostConnectionError: the fault plan wants no answer.
        """
        name = invocation.endpoint_name
        check_value(_endpoint_name_shape(), name, "endpointName")
        for header in _NOT_HERE:
            if header in invocation.headers:
                raise NotImplementedLocallyError(f"InvokeEndpoint with {header}")
        life = self._endpoints.life(name)
        if life is None:
            raise ValidationError(f"Endpoint {name} of account {self._platform.config.account_id} not found.")
        fault = self._platform.faults.call("InvokeEndpoint", name)
        if fault is not None and (refusal := fault.refusal()) is not None:
            raise refusal
        if fault is not None and fault.kind == "lost_request":
            raise LostConnectionError
        if len(invocation.body) > self.limit_bytes(name):
            raise self.refuse_oversize(name)
        response = self._ask(life, invocation)
        if fault is not None and fault.kind == "lost_answer":
            raise LostConnectionError
        return response

    def _ask(self, life: EndpointLife, invocation: Invocation) -> Response:
        headers = {header: invocation.headers[header] for header in _FORWARDED if header in invocation.headers}
        began = time.perf_counter()
        served = life.endpoint.served
        try:
            deployment, answer = life.invoke("/invocations", headers, invocation.body)
            served = deployment.served
            _check_variant(invocation, served)
        except ApiError as error:
            self._measure(life.endpoint.name, served, began, error.status)
            raise
        self._measure(life.endpoint.name, served, began, answer.status)
        if not 200 <= answer.status < 300:
            raise self._model_error(life.endpoint.name, answer)
        return _response(served, answer)

    def _model_error(self, name: str, answer: Answer) -> ModelError:
        """The container's error in SageMaker's words; its own status and text are members beside them."""
        said = answer.body.decode(errors="replace")
        kind = "client" if 400 <= answer.status < 500 else "server"
        region, account = self._platform.config.region, self._platform.config.account_id
        group = f"{ENDPOINTS_GROUP}/{name}"
        return ModelError(
            f'Received {kind} error ({answer.status}) from primary with message "{said}". See '
            f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#logEventViewer:group={group} "
            f"in account {account} for more information.",
            OriginalStatusCode=answer.status,
            OriginalMessage=said,
            LogStreamArn=f"arn:aws:logs:{region}:{account}:log-group:{group}",
        )

    def _measure(self, name: str, served: Served | None, began: float, status: int) -> None:
        """Invocations, ModelLatency in microseconds, and the two error counts, which are 0 for a success."""
        if served is None:
            return
        dimensions = (("EndpointName", name), ("VariantName", served.variant["VariantName"]))
        now = time.time()
        self._platform.demand.count(name)
        # a ModelError travels as 424; what counts is the container's own status, and 5xx when it gave none
        values = (
            ("Invocations", 1.0, "None"),
            ("ModelLatency", round((time.perf_counter() - began) * 1e6), "Microseconds"),
            ("Invocation4XXErrors", float(400 <= status < 500 and status != ModelError.status), "None"),
            ("Invocation5XXErrors", float(status >= 500 or status == ModelError.status), "None"),
        )
        for metric, value, unit in values:
            self._platform.metrics.add(Measurement(ENDPOINT_NAMESPACE, metric, dimensions, value, unit, now))


def _response(served: Served | None, answer: Answer) -> Response:
    if served is None:
        raise InternalError("an answer came from an endpoint that serves nothing")
    headers = {
        "Content-Type": answer.headers.get("content-type", "application/octet-stream"),
        "x-Amzn-Invoked-Production-Variant": served.variant["VariantName"],
    }
    if CUSTOM_ATTRIBUTES in answer.headers:
        headers["X-Amzn-SageMaker-Custom-Attributes"] = answer.headers[CUSTOM_ATTRIBUTES]
    return Response(answer.body, headers)


def _check_variant(invocation: Invocation, served: Served) -> None:
    wanted = invocation.headers.get(TARGET_VARIANT)
    if wanted is not None and wanted != served.variant["VariantName"]:
        raise ValidationError(f"Variant {wanted} of endpoint {invocation.endpoint_name} not found.")


@cache
def _endpoint_name_shape() -> Shape:
    shape = service_model("sagemaker-runtime").operation_model("InvokeEndpoint").input_shape
    if not isinstance(shape, StructureShape):
        raise TypeError("botocore's model of InvokeEndpoint has no input")
    return shape.members["EndpointName"]
