"""CreateEndpoint, DescribeEndpoint, ListEndpoints, UpdateEndpoint, DeleteEndpoint."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from local.sagemaker.config import repository_name
from local.sagemaker.endpoint_life import SERVING, EndpointLife
from local.sagemaker.errors import NotImplementedLocallyError, ResourceLimitExceededError, ValidationError
from local.sagemaker.listing import page
from local.sagemaker.models_api import EndpointConfigs, container_of
from local.sagemaker.platform import Platform
from local.sagemaker.resources import Endpoint, Served
from local.sagemaker.tags_api import new_tags
from local.sagemaker.traffic import DeploymentPlan
from local.sagemaker.training_api import quota_message

_UPDATE_LOST = "InternalServerError: The local service ended during the update, which was rolled back."
_DELETABLE = frozenset({"InService", "Failed", "OutOfService", "UpdateRollbackFailed"})


class Endpoints:
    """The operations, and the endpoints at work."""

    def __init__(self, platform: Platform, configs: EndpointConfigs) -> None:
        self._platform = platform
        self._store = platform.store
        self._configs = configs
        self._lives: dict[str, EndpointLife] = {}
        self._resume()

    def create(self, request: dict[str, Any]) -> dict[str, Any]:
        """CreateEndpoint."""
        if request.get("DeploymentConfig"):
            raise NotImplementedLocallyError("CreateEndpoint with DeploymentConfig")
        name = request["EndpointName"]
        arn = self._platform.config.arn("endpoint", name)
        with self._store.change():
            if name in self._store.endpoints:
                raise ValidationError(f'Cannot create already existing endpoint "{arn}".')
            served = self._served(request["EndpointConfigName"])
            self._check_quota(served, served.instance_count)
            now = self._platform.clock.now()
            endpoint = Endpoint(name, arn, now, now, served.config_name, pending=served, pending_since=now)
            tags = new_tags(request)
            self._store.endpoints[name] = endpoint
            self._store.tags[arn] = tags
            life = self._lives[name] = EndpointLife(endpoint, self._platform)
        life.create(served)
        return {"EndpointArn": arn}

    def describe(self, request: dict[str, Any]) -> dict[str, Any]:
        """DescribeEndpoint."""
        with self._store.lock:
            endpoint = self._find(request["EndpointName"])
            answer = {
                "EndpointName": endpoint.name,
                "EndpointArn": endpoint.arn,
                "EndpointConfigName": endpoint.config_name,
                "EndpointStatus": endpoint.status,
                "CreationTime": endpoint.created_at,
                "LastModifiedTime": endpoint.modified_at,
            }
            if endpoint.failure_reason:
                answer["FailureReason"] = endpoint.failure_reason
            if endpoint.served is not None:
                answer["ProductionVariants"] = [self._variant_summary(endpoint, endpoint.served)]
            if endpoint.deployment_config is not None:
                answer["LastDeploymentConfig"] = endpoint.deployment_config
            if endpoint.status == "Updating" and endpoint.pending is not None:
                answer["PendingDeploymentSummary"] = _pending_summary(endpoint, endpoint.pending)
            return answer

    def list(self, request: dict[str, Any]) -> dict[str, Any]:
        """ListEndpoints."""
        with self._store.lock:
            summaries = [
                {
                    "EndpointName": each.name,
                    "EndpointArn": each.arn,
                    "CreationTime": each.created_at,
                    "LastModifiedTime": each.modified_at,
                    "EndpointStatus": each.status,
                }
                for each in self._store.endpoints.values()
            ]
        found, token = page(request, summaries, resource="Endpoint", default_order="Descending")
        return {"Endpoints": found} | ({"NextToken": token} if token else {})

    def update(self, request: dict[str, Any]) -> dict[str, Any]:
        """UpdateEndpoint."""
        with self._store.change():
            endpoint = self._find(request["EndpointName"])
            if endpoint.status == "Failed":
                raise ValidationError(
                    f'Cannot update endpoint "{endpoint.arn}" in status Failed; it can only be deleted.'
                )
            self._refuse_in_progress(endpoint)
            served = self._served(request["EndpointConfigName"])
            if endpoint.served is not None and served.is_serverless and not endpoint.served.is_serverless:
                raise ValidationError("An instance-based endpoint cannot be updated to a serverless one.")
            if request.get("RetainAllVariantProperties") and endpoint.served is not None:
                _retain(endpoint.served, served, request.get("ExcludeRetainedVariantProperties", []))
            retained = endpoint.deployment_config if request.get("RetainDeploymentConfig") else None
            deployment_config = request.get("DeploymentConfig", retained)
            plan = DeploymentPlan.of(deployment_config, served.instance_count)
            endpoint.pending, endpoint.pending_since = served, self._platform.clock.now()
            endpoint.pending_phase = "Creating"
            endpoint.failure_reason = ""
            endpoint.deployment_config = deployment_config or endpoint.deployment_config
            endpoint.move("Updating", now=self._platform.clock.now())
            life = self._lives[endpoint.name]
        life.update(served, plan)
        return {"EndpointArn": endpoint.arn}

    def update_weights_and_capacities(self, request: dict[str, Any]) -> dict[str, Any]:
        """UpdateEndpointWeightsAndCapacities."""
        wanted = request["DesiredWeightsAndCapacities"][0]
        if "ServerlessUpdateConfig" in wanted:
            raise NotImplementedLocallyError("UpdateEndpointWeightsAndCapacities with ServerlessUpdateConfig")
        with self._store.change():
            endpoint = self._find(request["EndpointName"])
            served = self.variant(endpoint.name, wanted["VariantName"])
            self._refuse_in_progress(endpoint)
            count = wanted.get("DesiredInstanceCount", served.instance_count)
            if count < 1 or served.is_serverless:
                raise ValidationError("DesiredInstanceCount must be at least 1, of a variant that has instances.")
            self._check_quota(served, count - served.instance_count)
            endpoint.move("Updating", now=self._platform.clock.now())
            life = self._lives[endpoint.name]
        life.resize(count, float(wanted.get("DesiredWeight", served.weight)))
        return {"EndpointArn": endpoint.arn}

    def variant(self, endpoint_name: str, variant_name: str) -> Served:
        """What an endpoint serves under this name.

        Raises:
            ValidationError: it serves nothing, or another variant.
        """
        served = self._find(endpoint_name).served
        if served is None or served.variant["VariantName"] != variant_name:
            raise ValidationError(f'Could not find variant "{variant_name}" of endpoint "{endpoint_name}".')
        return served

    def delete(self, request: dict[str, Any]) -> dict[str, Any]:
        """DeleteEndpoint."""
        with self._store.change():
            endpoint = self._find(request["EndpointName"])
            self._refuse_in_progress(endpoint)
            life = self._lives[endpoint.name]
            if life.current is None:  # nothing runs: gone at once
                self._forget(endpoint)
                return {}
            endpoint.move("Deleting", now=self._platform.clock.now())
        life.delete(on_gone=lambda: self._forget(endpoint))
        return {}

    def life(self, name: str) -> EndpointLife | None:
        """The endpoint of this name, if it can be invoked."""
        life = self._lives.get(name)
        return life if life is not None and life.endpoint.status in SERVING else None

    def close(self) -> None:
        """Stop what serves; what is remembered comes back with the next service."""
        closing = [threading.Thread(target=life.close) for life in list(self._lives.values())]
        for thread in closing:
            thread.start()
        for thread in closing:
            thread.join()

    def _served(self, config_name: str) -> Served:
        """The config and its model as they are now; either may be deleted later."""
        variant = self._configs.find(config_name).request["ProductionVariants"][0]
        model = self._store.models.get(variant["ModelName"])
        if model is None:
            arn = self._platform.config.arn("model", variant["ModelName"])
            raise ValidationError(f'Could not find model "{arn}".')
        isolate = bool(model.request.get("EnableNetworkIsolation"))
        return Served(
            config_name,
            variant,
            container_of(model.request),
            isolate,
            instance_count=variant.get("InitialInstanceCount", 1),
            weight=float(variant.get("InitialVariantWeight", 1.0)),
        )

    def _find(self, name: str) -> Endpoint:
        endpoint = self._store.endpoints.get(name)
        if endpoint is None:
            raise ValidationError(f'Could not find endpoint "{self._platform.config.arn("endpoint", name)}".')
        return endpoint

    def _refuse_in_progress(self, endpoint: Endpoint) -> None:
        if endpoint.status not in _DELETABLE:
            raise ValidationError(f'Cannot update in-progress endpoint "{endpoint.arn}".')

    def _forget(self, endpoint: Endpoint) -> None:
        with self._store.change():
            self._store.endpoints.pop(endpoint.name, None)
            self._store.tags.pop(endpoint.arn, None)
            self._store.forget_scaling(f"endpoint/{endpoint.name}/")
            self._lives.pop(endpoint.name, None)

    def _resume(self) -> None:
        """Endpoints of an earlier service: started again as they last served; one that was being deleted is gone."""
        with self._store.change():
            endpoints = list(self._store.endpoints.values())
            for endpoint in endpoints:
                if endpoint.status == "Deleting":
                    self._forget(endpoint)
                    continue
                life = self._lives[endpoint.name] = EndpointLife(endpoint, self._platform)
                served = endpoint.served or endpoint.pending
                if endpoint.status != "Failed" and served is not None:
                    note = _UPDATE_LOST if endpoint.served is not None and endpoint.pending is not None else ""
                    endpoint.pending = None
                    status = "SystemUpdating" if endpoint.served is not None else "Creating"
                    endpoint.move(status, now=self._platform.clock.now())
                    life.create(served, note)

    def _check_quota(self, served: Served, wanted: int) -> None:
        instance_type = served.variant.get("InstanceType")
        quota = f"{instance_type} for endpoint usage"
        limit = self._platform.config.quotas.get(quota)
        variants = [(each.served or each.pending) for each in self._store.endpoints.values() if each.status != "Failed"]
        used = sum(
            each.instance_count
            for each in variants
            if each is not None and each.variant.get("InstanceType") == instance_type
        )
        if limit is not None and used + wanted > limit:
            raise ResourceLimitExceededError(quota_message(quota, limit, used, wanted))

    def _variant_summary(self, endpoint: Endpoint, served: Served) -> dict[str, Any]:
        life = self._lives.get(endpoint.name)
        running = life.current.healthy_count if life is not None and life.current is not None else 0
        return _summary(served, running, endpoint.created_at)


def _summary(served: Served, running: int, resolved_at: float) -> dict[str, Any]:
    image = served.container["Image"]
    summary: dict[str, Any] = {
        "VariantName": served.variant["VariantName"],
        "DeployedImages": [
            {
                "SpecifiedImage": image,
                "ResolvedImage": f"{repository_name(image)}@local",
                "ResolutionTime": resolved_at,
            }
        ],
        "CurrentWeight": served.weight,
        "DesiredWeight": served.weight,
    }
    if served.is_serverless:
        config = served.variant["ServerlessConfig"]
        # a serverless variant has no instances that could be counted
        return summary | {"CurrentServerlessConfig": config, "DesiredServerlessConfig": config}
    return summary | {"CurrentInstanceCount": running, "DesiredInstanceCount": served.instance_count}


def _pending_summary(endpoint: Endpoint, pending: Served) -> dict[str, Any]:
    since = endpoint.pending_since or endpoint.modified_at
    variant = _summary(pending, 0, since)
    if "InstanceType" in pending.variant:
        variant["InstanceType"] = pending.variant["InstanceType"]
    variant["VariantStatus"] = [{"Status": endpoint.pending_phase, "StartTime": since}]
    return {"EndpointConfigName": pending.config_name, "ProductionVariants": [variant], "StartTime": since}


def _retain(old: Served, new: Served, excluded: Sequence[Mapping[str, str]]) -> None:
    """What autoscaling or a person has set stays, where the variant is the same."""
    names = {each["VariantPropertyType"] for each in excluded}
    if old.variant["VariantName"] != new.variant["VariantName"] or old.is_serverless != new.is_serverless:
        return
    if "DesiredInstanceCount" not in names:
        new.instance_count = old.instance_count
    if "DesiredWeight" not in names:
        new.weight = old.weight
