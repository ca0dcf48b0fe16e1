"""SageMaker models, endpoint configs and endpoints."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from pipeline.aws import alarms, scaling
from pipeline.aws.clients import HostingClients
from pipeline.aws.translation import error_code, translate
from pipeline.contracts.base import Contract
from pipeline.contracts.request import EndpointRequest
from pipeline.errors import NotYetConsistentError
from pipeline.rules import names
from pipeline.rules.rollouts import EXECUTION_SECONDS, Rollout

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

_REFUSED = {"ValidationException", "ResourceNotFound", "ResourceInUse"}
"""Not found, exists already, is changing, is invalid: SageMaker tells these apart by its message only."""


class EndpointDescription(Contract):
    """What SageMaker says of an endpoint.

    `pending_config_name`: what it is changing to. `instance_count`: how many it wants; None of a serverless one.
    """

    name: str
    status: str
    config_name: str
    pending_config_name: str | None = None
    instance_count: int | None = None
    failure_reason: str = ""


class Resource(Contract):
    """A model, config or endpoint in a list of them."""

    name: str
    arn: str
    created_at: datetime


class Served(Contract):
    """What an endpoint is to serve: names, artifact and machine.

    `kms_key_arn`: for the machine's volume, and for the image of a serverless one; None: SageMaker's own key.
    """

    model_name: str
    config_name: str
    image_uri: str
    artifact_uri: str
    role_arn: str
    tags: dict[str, str]
    hosting: EndpointRequest
    kms_key_arn: str | None = None


def create_config(client: "SageMakerClient", served: Served) -> str:
    """Create model and endpoint config; those that exist already are ours, their names are made from the version.

    Returns:
        What SageMaker refused, in its words; empty if nothing. "Cannot create already existing model" is the same plain
        ValidationException there as an invalid request, which the endpoint's creation then brings to light.

    Raises:
        CapacityError, ThrottledError, ServiceUnavailableError, PipelineError: see `translation.translate`.
    """
    tags: Any = _tags(served.tags)
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
    variant: Any = {"VariantName": names.VARIANT, "ModelName": served.model_name} | _machine(served.hosting)
    key: Any = {} if served.kms_key_arn is None else {"KmsKeyId": served.kms_key_arn}
    try:
        client.create_endpoint_config(
            EndpointConfigName=served.config_name, ProductionVariants=[variant], Tags=tags, **key
        )
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
        client.create_endpoint(EndpointName=name, EndpointConfigName=served.config_name, Tags=_tags(served.tags))


def update(
    client: "SageMakerClient",
    name: str,
    config_name: str,
    rollout: Rollout | None = None,
    *,
    keep_count: bool = True,
) -> None:
    """Move the endpoint to another config; the old instances serve until the new ones do.

    Args:
        client: SageMaker.
        name: the endpoint's.
        config_name: what it is to serve.
        rollout: how; None: all at once, as soon as the new ones answer.
        keep_count: with as many instances as the endpoint has now, instead of the config's own number.

    Raises:
        NotYetConsistentError: SageMaker does not take it; see `create`. An endpoint that is changing takes no update.
        CapacityError, ThrottledError, ServiceUnavailableError, PipelineError: see `translation.translate`.
    """
    how: Any = {} if rollout is None else {"DeploymentConfig": _deployment(rollout)}
    if not keep_count:
        how["ExcludeRetainedVariantProperties"] = [{"VariantPropertyType": "DesiredInstanceCount"}]
    with _not_yet(name):
        client.update_endpoint(
            EndpointName=name, EndpointConfigName=config_name, RetainAllVariantProperties=True, **how
        )


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
    variants = answer.get("ProductionVariants", [])
    return EndpointDescription(
        name=name,
        status=answer["EndpointStatus"],
        config_name=answer.get("EndpointConfigName", ""),
        pending_config_name=answer.get("PendingDeploymentSummary", {}).get("EndpointConfigName"),
        instance_count=variants[0].get("DesiredInstanceCount") if variants else None,
        failure_reason=answer.get("FailureReason", ""),
    )


def instance_type(client: "SageMakerClient", config_name: str) -> str | None:
    """The machine that a config names; None of a serverless one, or of one that is not there.

    Raises:
        ThrottledError, ServiceUnavailableError: SageMaker could not answer.
    """
    try:
        answer = client.describe_endpoint_config(EndpointConfigName=config_name)
    except (ClientError, BotoCoreError) as error:
        if error_code(error) in _REFUSED:
            return None
        raise translate("SageMaker", error) from error
    return answer["ProductionVariants"][0].get("InstanceType")


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


def take_down(hosting: HostingClients, name: str) -> None:
    """Delete the endpoint with its alarms and its scaling; what is not there is fine.

    Raises:
        NotYetConsistentError: it cannot be deleted while it is changing.
        ThrottledError, ServiceUnavailableError, PipelineError: see `translation.translate`.
    """
    scaling.deregister(hosting.autoscaling, name)  # first, lest it begins to change just now
    delete(hosting.sagemaker, name)
    alarms.delete(hosting.cloudwatch, name)


def delete_config(client: "SageMakerClient", name: str) -> None:
    """Delete an endpoint config and its model, which has its name; what is not there is fine.

    Raises:
        ThrottledError, ServiceUnavailableError: SageMaker could not answer.
    """
    with _if_there():
        client.delete_endpoint_config(EndpointConfigName=name)
    with _if_there():
        client.delete_model(ModelName=name)


def endpoints_of(client: "SageMakerClient", prefix: str) -> tuple[Resource, ...]:
    """Every endpoint whose name begins so.

    Raises:
        ThrottledError, ServiceUnavailableError: SageMaker could not answer.
    """
    return _listed(client, "list_endpoints", "Endpoints", "Endpoint", prefix)


def versions_of(client: "SageMakerClient", prefix: str) -> tuple[Resource, ...]:
    """Every endpoint config and model whose name begins so; config and model of a version have one name.

    Raises:
        ThrottledError, ServiceUnavailableError: SageMaker could not answer.
    """
    configs = _listed(client, "list_endpoint_configs", "EndpointConfigs", "EndpointConfig", prefix)
    return (*configs, *_listed(client, "list_models", "Models", "Model", prefix))


def policy_of(client: "SageMakerClient", resource: Resource) -> str | None:
    """The policy that its tags name; None of one that is none of ours, or gone.

    Raises:
        ThrottledError, ServiceUnavailableError: SageMaker could not answer.
    """
    try:
        found = {tag["Key"]: tag["Value"] for tag in client.list_tags(ResourceArn=resource.arn)["Tags"]}
    except (ClientError, BotoCoreError) as error:
        if error_code(error) in _REFUSED:
            return None
        raise translate("SageMaker", error) from error
    return found.get("policy") if found.get("project") == names.PROJECT else None


def _listed(client: Any, operation: str, member: str, kind: str, prefix: str) -> tuple[Resource, ...]:
    pages = client.get_paginator(operation).paginate(NameContains=f"{prefix}-")
    try:
        found = [one for page in pages for one in page[member]]
    except (ClientError, BotoCoreError) as error:
        raise translate("SageMaker", error) from error
    resources = (
        Resource(name=one[f"{kind}Name"], arn=one[f"{kind}Arn"], created_at=one["CreationTime"]) for one in found
    )
    return tuple(one for one in resources if one.name.startswith(f"{prefix}-"))


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


def _deployment(rollout: Rollout) -> dict[str, Any]:
    routing: dict[str, Any] = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": rollout.bake_seconds}
    if rollout.canary_instances:
        routing |= {"Type": "CANARY", "CanarySize": {"Type": "INSTANCE_COUNT", "Value": rollout.canary_instances}}
    document: dict[str, Any] = {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": routing,
            "TerminationWaitInSeconds": rollout.termination_seconds,
            "MaximumExecutionTimeoutInSeconds": EXECUTION_SECONDS,
        }
    }
    if rollout.alarms:
        document["AutoRollbackConfiguration"] = {"Alarms": [{"AlarmName": name} for name in rollout.alarms]}
    return document


def _tags(tags: dict[str, str]) -> Any:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
