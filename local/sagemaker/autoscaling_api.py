"""Application Auto Scaling for endpoints: scalable targets and scaling policies.

Registered limits have their effect at once, as in AWS: a variant that has fewer or more instances than its target
allows is resized. What follows from policies is the autoscaler's.
"""

import time
from typing import Any

from local.sagemaker.endpoints_api import Endpoints
from local.sagemaker.errors import NotImplementedLocallyError, ObjectNotFoundError, ValidationError
from local.sagemaker.platform import Platform
from local.sagemaker.validation import check_request, operation_model

SERVICE = "application-autoscaling"
NAMESPACE = "sagemaker"
DIMENSION = "sagemaker:variant:DesiredInstanceCount"
_RESOURCE_FORM = "endpoint/<endpoint>/variant/<variant>"


class AutoScaling:
    """The operations, by name."""

    def __init__(self, platform: Platform, endpoints: Endpoints) -> None:
        self._platform = platform
        self._store = platform.store
        self._endpoints = endpoints
        self.operations = {
            "RegisterScalableTarget": self.register,
            "DescribeScalableTargets": self.describe_targets,
            "DeregisterScalableTarget": self.deregister,
            "PutScalingPolicy": self.put_policy,
            "DescribeScalingPolicies": self.describe_policies,
            "DeleteScalingPolicy": self.delete_policy,
        }

    def call(self, operation: str, document: Any) -> dict[str, Any]:
        """Run one operation.

        Raises:
            ApiError: as the service answers it; NotImplementedLocallyError for what is not here.
        """
        model = operation_model(operation, SERVICE)
        implementation = self.operations.get(operation)
        if implementation is None:
            raise NotImplementedLocallyError(operation)
        check_request(model, document)
        if document["ServiceNamespace"] != NAMESPACE:
            raise NotImplementedLocallyError(f"{operation} for {document['ServiceNamespace']}")
        if document.get("ScalableDimension", DIMENSION) != DIMENSION:
            raise NotImplementedLocallyError(f"{operation} for {document['ScalableDimension']}")
        return implementation(document)

    def register(self, request: dict[str, Any]) -> dict[str, Any]:
        """RegisterScalableTarget: make one, or change one."""
        resource = request["ResourceId"]
        endpoint, variant = _names(resource)
        with self._store.change():
            served = self._endpoints.variant(endpoint, variant)
            before = self._store.scalable_targets.get(resource)
            given: dict[str, Any] = {
                name: request[name] for name in ("MinCapacity", "MaxCapacity", "RoleARN") if name in request
            }
            if before is None and not {"MinCapacity", "MaxCapacity"} <= set(given):
                raise ValidationError("MinCapacity and MaxCapacity are required for a new scalable target.")
            target: dict[str, Any] = {**(before or self._new_target(resource)), **given}
            if target["MinCapacity"] > target["MaxCapacity"]:
                raise ValidationError("MinCapacity must not be greater than MaxCapacity.")
            self._store.scalable_targets[resource] = target
            count = min(max(served.instance_count, target["MinCapacity"]), target["MaxCapacity"])
        if count != served.instance_count:
            wanted = {"VariantName": variant, "DesiredInstanceCount": count}
            self._endpoints.update_weights_and_capacities(
                {"EndpointName": endpoint, "DesiredWeightsAndCapacities": [wanted]}
            )
        return {"ScalableTargetARN": target["ScalableTargetARN"]}

    def describe_targets(self, request: dict[str, Any]) -> dict[str, Any]:
        """DescribeScalableTargets."""
        wanted = request.get("ResourceIds")
        with self._store.lock:
            targets = self._store.scalable_targets
            return {"ScalableTargets": [dict(targets[each]) for each in targets if wanted is None or each in wanted]}

    def deregister(self, request: dict[str, Any]) -> dict[str, Any]:
        """DeregisterScalableTarget, with its policies."""
        resource = request["ResourceId"]
        with self._store.change():
            self._find(resource)
            del self._store.scalable_targets[resource]
            policies = self._store.scaling_policies
            self._store.scaling_policies = [each for each in policies if each["ResourceId"] != resource]
        return {}

    def put_policy(self, request: dict[str, Any]) -> dict[str, Any]:
        """PutScalingPolicy: make one, or replace one."""
        with self._store.change():
            self._find(request["ResourceId"])
            arn = self._arn(f"scalingPolicy:policyName/{request['PolicyName']}", request["ResourceId"])
            policy = {
                "PolicyType": "StepScaling",
                **request,
                "PolicyARN": arn,
                "CreationTime": self._platform.clock.now(),
            }
            others = [each for each in self._store.scaling_policies if not _same(each, request)]
            self._store.scaling_policies = [*others, policy]
        return {"PolicyARN": arn, "Alarms": []}

    def describe_policies(self, request: dict[str, Any]) -> dict[str, Any]:
        """DescribeScalingPolicies."""
        names, resource = request.get("PolicyNames"), request.get("ResourceId")
        with self._store.lock:
            found = [
                dict(each)
                for each in self._store.scaling_policies
                if (names is None or each["PolicyName"] in names) and resource in (None, each["ResourceId"])
            ]
        return {"ScalingPolicies": found}

    def delete_policy(self, request: dict[str, Any]) -> dict[str, Any]:
        """DeleteScalingPolicy."""
        with self._store.change():
            left = [each for each in self._store.scaling_policies if not _same(each, request)]
            if len(left) == len(self._store.scaling_policies):
                raise ObjectNotFoundError(f"No scaling policy found for resource ID: {request['ResourceId']}")
            self._store.scaling_policies = left
        return {}

    def _find(self, resource: str) -> dict[str, Any]:
        target = self._store.scalable_targets.get(resource)
        if target is None:
            raise ObjectNotFoundError(
                f"No scalable target registered for service namespace: {NAMESPACE}, resource ID: {resource}, scalable "
                f"dimension: {DIMENSION}"
            )
        return target

    def _new_target(self, resource: str) -> dict[str, Any]:
        role = (
            "role/aws-service-role/sagemaker.application-autoscaling.amazonaws.com/AWSServiceRoleForSageMakerEndpoint"
        )
        return {
            "ServiceNamespace": NAMESPACE,
            "ResourceId": resource,
            "ScalableDimension": DIMENSION,
            "RoleARN": f"arn:aws:iam::{self._platform.config.account_id}:{role}",
            "CreationTime": self._platform.clock.now(),
            "ScalableTargetARN": self._arn(f"scalable-target/{time.time_ns():x}", ""),
        }

    def _arn(self, kind: str, resource: str) -> str:
        config = self._platform.config
        rest = f":resource/{NAMESPACE}/{resource}" if resource else ""
        return f"arn:aws:application-autoscaling:{config.region}:{config.account_id}:{kind}{rest}"


def _same(policy: dict[str, Any], request: dict[str, Any]) -> bool:
    return (policy["PolicyName"], policy["ResourceId"]) == (request["PolicyName"], request["ResourceId"])


def _names(resource: str) -> tuple[str, str]:
    """Endpoint and variant of a resource id.

    Raises:
        ValidationError: it is no endpoint's.
    """
    match resource.split("/"):
        case ["endpoint", endpoint, "variant", variant]:
            return endpoint, variant
    raise ValidationError(f"Unsupported resource ID {resource!r}: it must be {_RESOURCE_FORM}.")
