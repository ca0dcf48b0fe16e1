"""SageMaker models, endpoint configs and endpoints."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from pipeline.aws.translation import error_code, translate
from pipeline.contracts.base import Contract
from pipeline.contracts.request import EndpointRequest
from pipeline.errors import NotYetConsistentError

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

VARIANT = "AllTraffic"

_REFUSED = {"ValidationException", "ResourceNotFound", "ResourceInUse"}
"""Not found, exists already, is changing, is invalid: SageMaker tells these apart by its message only."""


class EndpointDescription(Contract):
    """What SageMaker says of an endpoint."""

    name: str
    status: str
    config_name: str
    failure_reason: str = ""


class Served(Contract):
    """What an endpoint is to serve: names, artifact and machine."""

    model_name: str
    config_name: str
    image_uri: str
    artifact_uri: str
    role_arn: str
    run_id: str
    policy: str
    hosting: EndpointRequest


def create_config(client: "SageMakerClient", served: Served) -> str:
    """Create model and endpoint config; those that exist already are ours, their names are made from the version.

    Returns:
        What SageMaker refused, in its words; empty if nothing. "Cannot create already existing model" is the same plain
        ValidationException there as an invalid request, which the endpoint's creation then brings to light.

    Raises:
        CapacityError, ThrottledError, ServiceUnavailableError, PipelineError: see `translation.translate`.
    """
    tags: Any = _tags(served)
    refusals = []
    try:
        client.create_model(
            ModelName=served.model_name,
            PrimaryContainer={"Image": served.image_uri, "ModelDataUrl": served.artifact_uri},
            ExecutionRoleArn=served.role_arn,
            # serverless endpoints take no isolated model (SageMaker guide, "Serverless Inference": feature exclusions)
            EnableNetworkIsolation=served.hosting.mode == "realtime",
            Tags=tags,
        )
    except (ClientError, BotoCoreError) as error:
        refusals.append(_unless_it_may_exist(error))
    variant: Any = {"VariantName": VARIANT, "ModelName": served.model_name} | _machine(served.hosting)
    try:
        client.create_endpoint_config(EndpointConfigName=served.config_name, ProductionVariants=[variant], Tags=tags)
    except (ClientError, BotoCoreError) as error:
        refusals.append(_unless_it_may_exist(error))
    return "; ".join(refusals)


def create(client: "SageMakerClient", name: str, served: Served) -> None:
    """Create the endpoint.

    Raises:
        NotYetConsistentError: SageMaker does not take it: CreateEndpoint is eventually consistent with
            CreateEndpointConfig and with DeleteEndpoint, and says so as it says that a request is invalid.
        CapacityError, ThrottledError, ServiceUnavailableError, PipelineError: see `translation.translate`.
    """
    with _not_yet(name):
        client.create_endpoint(EndpointName=name, EndpointConfigName=served.config_name, Tags=_tags(served))


def update(client: "SageMakerClient", name: str, config_name: str) -> None:
    """Move the endpoint to another config.

    Raises:
        NotYetConsistentError: SageMaker does not take it; see `create`. An endpoint that is changing takes no update.
        CapacityError, ThrottledError, ServiceUnavailableError, PipelineError: see `translation.translate`.
    """
    with _not_yet(name):
        client.update_endpoint(EndpointName=name, EndpointConfigName=config_name, RetainAllVariantProperties=True)


def describe(client: "SageMakerClient", name: str) -> EndpointDescription | None:
    """The endpoint as it is now; None when there is none.

    Raises:
        ThrottledError, ServiceUnavailableError: SageMaker could not answer.
    """
    try:
        answer = client.describe_endpoint(EndpointName=name)
    except (ClientError, BotoCoreError) as error:
        # "Could not find endpoint" is a plain ValidationException in SageMaker.
        if error_code(error) in _REFUSED:
            return None
        raise translate("SageMaker", error) from error
    return EndpointDescription(
        name=name,
        status=answer["EndpointStatus"],
        config_name=answer.get("EndpointConfigName", ""),
        failure_reason=answer.get("FailureReason", ""),
    )


def delete(client: "SageMakerClient", name: str) -> None:
    """Delete the endpoint; one that is not there is fine.

    Raises:
        NotYetConsistentError: it cannot be deleted while it is changing.
        ThrottledError, ServiceUnavailableError: SageMaker could not answer.
    """
    try:
        client.delete_endpoint(EndpointName=name)
    except (ClientError, BotoCoreError) as error:
        if error_code(error) not in _REFUSED:
            raise translate("SageMaker", error) from error
        left = describe(client, name)
        if left is not None and left.status != "Deleting":
            raise NotYetConsistentError(f"The endpoint {name} is {left.status} and cannot be deleted yet.") from error


def delete_config(client: "SageMakerClient", name: str) -> None:
    """Delete an endpoint config and its model, which has its name; what is not there is fine.

    Raises:
        ThrottledError, ServiceUnavailableError: SageMaker could not answer.
    """
    with _if_there():
        client.delete_endpoint_config(EndpointConfigName=name)
    with _if_there():
        client.delete_model(ModelName=name)


@contextmanager
def _if_there() -> Iterator[None]:
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        if error_code(error) not in _REFUSED:
            raise translate("SageMaker", error) from error


@contextmanager
def _not_yet(name: str) -> Iterator[None]:
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        if error_code(error) in _REFUSED:
            raise NotYetConsistentError(f"SageMaker does not take the endpoint {name}: {error}") from error
        raise translate("SageMaker", error) from error


def _unless_it_may_exist(error: ClientError | BotoCoreError) -> str:
    if error_code(error) not in {"ValidationException", "ResourceInUse"}:
        raise translate("SageMaker", error) from error
    return str(error)


def _machine(hosting: EndpointRequest) -> dict[str, Any]:
    if hosting.mode == "serverless":
        return {
            "ServerlessConfig": {"MemorySizeInMB": hosting.memory_size_mb, "MaxConcurrency": hosting.max_concurrency}
        }
    return {
        "InstanceType": hosting.instance_type,
        "InitialInstanceCount": hosting.instance_count,
        "InitialVariantWeight": 1.0,
    }


def _tags(served: Served) -> Any:
    return [
        {"Key": "project", "Value": "gamedojo"},
        {"Key": "run_id", "Value": served.run_id},
        {"Key": "policy", "Value": served.policy},
    ]
