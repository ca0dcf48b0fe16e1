"""Application Auto Scaling: an endpoint's instances come and go by how much it is asked."""

from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError

from pipeline.aws.translation import error_code, translate
from pipeline.contracts.request import EndpointRequest
from pipeline.errors import NotYetConsistentError
from pipeline.rules import names

if TYPE_CHECKING:
    from mypy_boto3_application_autoscaling import ApplicationAutoScalingClient

_NAMESPACE: Final = "sagemaker"
_DIMENSION: Final = "sagemaker:variant:DesiredInstanceCount"
_POLICY = "invocations"
_SCALE_OUT_SECONDS = 60
_SCALE_IN_SECONDS = 300
"""After a change: instances come sooner than they go, for a game waits for the one and nobody for the other."""


def register(client: "ApplicationAutoScalingClient", endpoint: str, hosting: EndpointRequest) -> None:
    """Let the endpoint's instances follow `hosting.invocations_per_minute`; called again, it brings this up to date.

    Without `hosting.max_instance_count` their number stays what it is.

    Raises:
        NotYetConsistentError: the endpoint is not there, or is changing.
        ThrottledError, ServiceUnavailableError, PipelineError: see `translation.translate`.
    """
    resource = names.scalable_resource(endpoint)
    try:
        client.register_scalable_target(
            ServiceNamespace=_NAMESPACE,
            ScalableDimension=_DIMENSION,
            ResourceId=resource,
            MinCapacity=hosting.instance_count,
            MaxCapacity=hosting.max_instance_count or hosting.instance_count,
        )
        client.put_scaling_policy(
            ServiceNamespace=_NAMESPACE,
            ScalableDimension=_DIMENSION,
            ResourceId=resource,
            PolicyName=_POLICY,
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration={
                "TargetValue": float(hosting.invocations_per_minute),
                "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
                "ScaleOutCooldown": _SCALE_OUT_SECONDS,
                "ScaleInCooldown": _SCALE_IN_SECONDS,
            },
        )
    except (ClientError, BotoCoreError) as error:
        if error_code(error) in {"ValidationException", "ObjectNotFoundException", "ConcurrentUpdateException"}:
            raise NotYetConsistentError(f"The endpoint {endpoint} cannot be scaled yet: {error}") from error
        raise translate("Application Auto Scaling", error) from error


def deregister(client: "ApplicationAutoScalingClient", endpoint: str) -> None:
    """The number of instances stays from now on; an endpoint that was never scaled is fine.

    Raises:
        NotYetConsistentError: somebody else is at it.
        ThrottledError, ServiceUnavailableError, PipelineError: see `translation.translate`.
    """
    try:
        client.deregister_scalable_target(
            ServiceNamespace=_NAMESPACE, ScalableDimension=_DIMENSION, ResourceId=names.scalable_resource(endpoint)
        )
    except (ClientError, BotoCoreError) as error:
        code = error_code(error)
        if code == "ConcurrentUpdateException":
            raise NotYetConsistentError(f"The endpoint {endpoint} is being scaled: {error}") from error
        if code not in {"ObjectNotFoundException", "ValidationException"}:  # of an endpoint that is gone
            raise translate("Application Auto Scaling", error) from error


def scaled_endpoints(client: "ApplicationAutoScalingClient", prefix: str) -> frozenset[str]:
    """Names of our endpoints that are scaled, whether they are there or not.

    Raises:
        ThrottledError, ServiceUnavailableError, PipelineError: see `translation.translate`.
    """
    pages = client.get_paginator("describe_scalable_targets").paginate(ServiceNamespace=_NAMESPACE)
    try:
        resources = [target["ResourceId"].split("/") for page in pages for target in page["ScalableTargets"]]
    except (ClientError, BotoCoreError) as error:
        raise translate("Application Auto Scaling", error) from error
    return frozenset(parts[1] for parts in resources if len(parts) > 1 and parts[1].startswith(f"{prefix}-"))
