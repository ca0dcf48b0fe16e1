"""CreateEndpoint, DescribeEndpoint, ListEndpoints, UpdateEndpoint, DeleteEndpoint."""

import threading
from collections import Counter
from collections.abc import Mapping
from typing import Any

from local.sagemaker.config import repository_name
from local.sagemaker.endpoint_life import SERVING, EndpointLife
from local.sagemaker.errors import NotImplementedLocallyError, ResourceLimitExceededError, ValidationError
from local.sagemaker.listing import page
from local.sagemaker.models_api import EndpointConfigs, container_of
from local.sagemaker.platform import Platform
from local.sagemaker.resources import Endpoint, Served
from local.sagemaker.tags_api import new_tags
from local.sagemaker.training_api import quota_message

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
        _check_deployment_config(request)
        name = request["EndpointName"]
        arn = self._platform.config.arn("endpoint", name)
        with self._store.change():
            if name in self._store.endpoints:
                raise ValidationError(f'Cannot create already existing endpoint "{arn}".')
            served = self._served(request["EndpointConfigName"])
            self._check_quota(served)
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
        """UpdateEndpoint. There is one instance to a variant, so RetainAllVariantProperties has nothing to retain."""
        _check_deployment_config(request)
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
            endpoint.pending, endpoint.pending_since = served, self._platform.clock.now()
            endpoint.failure_reason = ""
            endpoint.deployment_config = request.get("DeploymentConfig", endpoint.deployment_config)
            endpoint.move("Updating", now=self._platform.clock.now())
            life = self._lives[endpoint.name]
        life.update(served)
        return {"EndpointArn": endpoint.arn}

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
        return Served(config_name, variant, container_of(model.request), isolate)

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
            self._lives.pop(endpoint.name, None)

    def _resume(self) -> None:
        """Endpoints of an earlier service: started again, one that was being deleted is gone."""
        with self._store.change():
            endpoints = list(self._store.endpoints.values())
            for endpoint in endpoints:
                if endpoint.status == "Deleting":
                    self._forget(endpoint)
                    continue
                life = self._lives[endpoint.name] = EndpointLife(endpoint, self._platform)
                served = endpoint.served or endpoint.pending
                if endpoint.status != "Failed" and served is not None:
                    endpoint.pending = None
                    status = "SystemUpdating" if endpoint.served is not None else "Creating"
                    endpoint.move(status, now=self._platform.clock.now())
                    life.create(served)

    def _check_quota(self, served: Served) -> None:
        instance_type = served.variant.get("InstanceType")
        quota = f"{instance_type} for endpoint usage"
        limit = self._platform.config.quotas.get(quota)
        variants = [(each.served or each.pending) for each in self._store.endpoints.values() if each.status != "Failed"]
        used = Counter(each.variant.get("InstanceType") for each in variants if each is not None)[instance_type]
        if limit is not None and used + 1 > limit:
            raise ResourceLimitExceededError(quota_message(quota, limit, used, 1))

    def _variant_summary(self, endpoint: Endpoint, served: Served) -> dict[str, Any]:
        life = self._lives.get(endpoint.name)
        running = int(life is not None and life.current is not None and life.current.is_healthy)
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
        "CurrentWeight": served.variant.get("InitialVariantWeight", 1.0),
        "DesiredWeight": served.variant.get("InitialVariantWeight", 1.0),
    }
    if served.is_serverless:
        config = served.variant["ServerlessConfig"]
        # a serverless variant has no instances that could be counted
        return summary | {"CurrentServerlessConfig": config, "DesiredServerlessConfig": config}
    return summary | {"CurrentInstanceCount": running, "DesiredInstanceCount": 1}


def _pending_summary(endpoint: Endpoint, pending: Served) -> dict[str, Any]:
    since = endpoint.pending_since or endpoint.modified_at
    variant = _summary(pending, 0, since)
    if "InstanceType" in pending.variant:
        variant["InstanceType"] = pending.variant["InstanceType"]
    variant["VariantStatus"] = [{"Status": "Creating", "StartTime": since}]
    return {"EndpointConfigName": pending.config_name, "ProductionVariants": [variant], "StartTime": since}


def _check_deployment_config(request: Mapping[str, Any]) -> None:
    for name in ("ExcludeRetainedVariantProperties", "RetainDeploymentConfig"):
        if request.get(name):
            raise NotImplementedLocallyError(f"UpdateEndpoint with {name}")
    config = request.get("DeploymentConfig")
    if config is None:
        return
    routing = config.get("BlueGreenUpdatePolicy", {}).get("TrafficRoutingConfiguration", {})
    if "RollingUpdatePolicy" in config or routing.get("Type") != "ALL_AT_ONCE":
        raise NotImplementedLocallyError("A DeploymentConfig other than blue/green, ALL_AT_ONCE")
