"""SageMaker models, endpoint configs and endpoints."""

from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import BotoCoreError, ClientError

from pipeline.aws.translation import error_code, translate
from pipeline.contracts.base import Contract
from pipeline.contracts.request import EndpointRequest

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

VARIANT = "AllTraffic"


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


def create_config(client: "SageMakerClient", served: Served) -> None:
    """Create model and endpoint config; those that exist already are ours, their names are made from the version.

    Raises:
        CapacityError, ThrottledError, ServiceUnavailableError, PipelineError: see `translation.translate`.
    """
    tags: Any = _tags(served)
    _create(
        lambda: client.create_model(
            ModelName=served.model_name,
            PrimaryContainer={"Image": served.image_uri, "ModelDataUrl": served.artifact_uri},
            ExecutionRoleArn=served.role_arn,
            Tags=tags,
        )
    )
    variant: Any = {"VariantName": VARIANT, "ModelName": served.model_name} | _machine(served.hosting)
    _create(
        lambda: client.create_endpoint_config(
            EndpointConfigName=served.config_name, ProductionVariants=[variant], Tags=tags
        )
    )


def bring_into_service(
    client: "SageMakerClient", name: str, served: Served
) -> tuple[Literal["created", "updated", "unchanged"], EndpointDescription | None]:
    """Create the endpoint, or update it to the served config; with it, what it was before.

    An endpoint that Failed cannot be updated (SageMaker): it is deleted and made anew.

    Raises:
        CapacityError, ThrottledError, ServiceUnavailableError, PipelineError: see `translation.translate`.
    """
    before = describe(client, name)
    if before is not None and before.status == "Failed":
        delete(client, name)
        before = None
    try:
        if before is None:
            client.create_endpoint(EndpointName=name, EndpointConfigName=served.config_name, Tags=_tags(served))
            return "created", None
        if before.config_name == served.config_name:
            return "unchanged", before
        client.update_endpoint(
            EndpointName=name, EndpointConfigName=served.config_name, RetainAllVariantProperties=True
        )
    except (ClientError, BotoCoreError) as error:
        raise translate("SageMaker", error) from error
    return "updated", before


def update(client: "SageMakerClient", name: str, config_name: str) -> None:
    """Move the endpoint to another config.

    Raises:
        ThrottledError, ServiceUnavailableError, PipelineError: see `translation.translate`.
    """
    try:
        client.update_endpoint(EndpointName=name, EndpointConfigName=config_name, RetainAllVariantProperties=True)
    except (ClientError, BotoCoreError) as error:
        raise translate("SageMaker", error) from error


def describe(client: "SageMakerClient", name: str) -> EndpointDescription | None:
    """The endpoint as it is now; None when there is none.

    Raises:
        ThrottledError, ServiceUnavailableError: SageMaker could not answer.
    """
    try:
        answer = client.describe_endpoint(EndpointName=name)
    except (ClientError, BotoCoreError) as error:
        # "Could not find endpoint" is a plain ValidationException in SageMaker.
        if error_code(error) in {"ValidationException", "ResourceNotFound"}:
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
        ThrottledError, ServiceUnavailableError: SageMaker could not answer.
    """
    try:
        client.delete_endpoint(EndpointName=name)
    except (ClientError, BotoCoreError) as error:
        if error_code(error) not in {"ValidationException", "ResourceNotFound"}:
            raise translate("SageMaker", error) from error


def _create(call: Any) -> None:
    try:
        call()
    except (ClientError, BotoCoreError) as error:
        # "Cannot create already existing model/endpoint configuration" is a plain ValidationException in SageMaker. A
        # request that is invalid for another reason is found out by the next call, which names the missing resource.
        if error_code(error) not in {"ValidationException", "ResourceInUse"}:
            raise translate("SageMaker", error) from error


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
