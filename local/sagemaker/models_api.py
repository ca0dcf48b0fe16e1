"""Models and endpoint configs: they are only remembered, so create, describe, list and delete is all there is."""

from collections.abc import Mapping
from typing import Any

from local.sagemaker.errors import NotImplementedLocallyError, ValidationError
from local.sagemaker.listing import page
from local.sagemaker.platform import Platform
from local.sagemaker.resources import EndpointConfig, Model
from local.sagemaker.tags_api import new_tags

_MODEL_MEMBERS = {"ModelName", "PrimaryContainer", "Containers", "ExecutionRoleArn", "Tags", "EnableNetworkIsolation"}
_CONTAINER_MEMBERS = {"Image", "ModelDataUrl", "ModelDataSource", "Environment", "Mode", "ContainerHostname"}
_CONFIG_MEMBERS = {"EndpointConfigName", "ProductionVariants", "Tags"}
_VARIANT_MEMBERS = {
    "VariantName",
    "ModelName",
    "InitialInstanceCount",
    "InstanceType",
    "InitialVariantWeight",
    "ServerlessConfig",
    "VolumeSizeInGB",
    "ModelDataDownloadTimeoutInSeconds",
    "ContainerStartupHealthCheckTimeoutInSeconds",
    "RoutingConfig",
}
_SERVERLESS_MEMORY_MB = (1024, 2048, 3072, 4096, 5120, 6144)


class Models:
    """CreateModel, DescribeModel, ListModels, DeleteModel."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._store = platform.store

    def create(self, request: dict[str, Any]) -> dict[str, Any]:
        """CreateModel."""
        _refuse_others("CreateModel", request, _MODEL_MEMBERS)
        if "ExecutionRoleArn" not in request:
            raise ValidationError("ExecutionRoleArn is required to create a model.")
        self._platform.image(container_of(request)["Image"])
        name = request["ModelName"]
        model = Model(name, self._platform.config.arn("model", name), request, self._platform.clock.now())
        with self._store.change():
            if name in self._store.models:
                raise ValidationError(f'Cannot create already existing model "{model.arn}".')
            tags = new_tags(request)
            self._store.models[name] = model
            self._store.tags[model.arn] = tags
        return {"ModelArn": model.arn}

    def describe(self, request: dict[str, Any]) -> dict[str, Any]:
        """DescribeModel."""
        with self._store.lock:
            model = self._find(request["ModelName"])
            return {
                "EnableNetworkIsolation": False,
                **_without_tags(model.request),
                "ModelArn": model.arn,
                "CreationTime": model.created_at,
            }

    def list(self, request: dict[str, Any]) -> dict[str, Any]:
        """ListModels."""
        with self._store.lock:
            summaries = [
                {"ModelName": each.name, "ModelArn": each.arn, "CreationTime": each.created_at}
                for each in self._store.models.values()
            ]
        found, token = page(request, summaries, resource="Model", default_order="Descending")
        return {"Models": found} | ({"NextToken": token} if token else {})

    def delete(self, request: dict[str, Any]) -> dict[str, Any]:
        """DeleteModel; endpoints that use it keep what they have."""
        with self._store.change():
            model = self._find(request["ModelName"])
            del self._store.models[model.name]
            self._store.tags.pop(model.arn, None)
        return {}

    def _find(self, name: str) -> Model:
        model = self._store.models.get(name)
        if model is None:
            raise ValidationError(f'Could not find model "{self._platform.config.arn("model", name)}".')
        return model


class EndpointConfigs:
    """CreateEndpointConfig, DescribeEndpointConfig, ListEndpointConfigs, DeleteEndpointConfig."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._store = platform.store

    def create(self, request: dict[str, Any]) -> dict[str, Any]:
        """CreateEndpointConfig."""
        _refuse_others("CreateEndpointConfig", request, _CONFIG_MEMBERS)
        if len(request["ProductionVariants"]) != 1:
            raise NotImplementedLocallyError("An endpoint config of more than one production variant")
        variant = request["ProductionVariants"][0]
        _refuse_others("A production variant", variant, _VARIANT_MEMBERS)
        name = request["EndpointConfigName"]
        config = EndpointConfig(
            name, self._platform.config.arn("endpoint-config", name), request, self._platform.clock.now()
        )
        with self._store.change():
            model = self._store.models.get(variant.get("ModelName", ""))
            if model is None:
                arn = self._platform.config.arn("model", variant.get("ModelName", ""))
                raise ValidationError(f'Could not find model "{arn}".')
            _check_variant(variant, model)
            if name in self._store.endpoint_configs:
                raise ValidationError(f'Cannot create already existing endpoint configuration "{config.arn}".')
            tags = new_tags(request)
            self._store.endpoint_configs[name] = config
            self._store.tags[config.arn] = tags
        return {"EndpointConfigArn": config.arn}

    def describe(self, request: dict[str, Any]) -> dict[str, Any]:
        """DescribeEndpointConfig."""
        with self._store.lock:
            config = self.find(request["EndpointConfigName"])
            return {
                **_without_tags(config.request),
                "EndpointConfigArn": config.arn,
                "CreationTime": config.created_at,
            }

    def list(self, request: dict[str, Any]) -> dict[str, Any]:
        """ListEndpointConfigs."""
        with self._store.lock:
            summaries = [
                {"EndpointConfigName": each.name, "EndpointConfigArn": each.arn, "CreationTime": each.created_at}
                for each in self._store.endpoint_configs.values()
            ]
        found, token = page(request, summaries, resource="EndpointConfig", default_order="Descending")
        return {"EndpointConfigs": found} | ({"NextToken": token} if token else {})

    def delete(self, request: dict[str, Any]) -> dict[str, Any]:
        """DeleteEndpointConfig; SageMaker does not refuse one that is in use, although it warns against that."""
        with self._store.change():
            config = self.find(request["EndpointConfigName"])
            del self._store.endpoint_configs[config.name]
            self._store.tags.pop(config.arn, None)
        return {}

    def find(self, name: str) -> EndpointConfig:
        """The config of this name.

        Raises:
            ValidationError: there is none.
        """
        config = self._store.endpoint_configs.get(name)
        if config is None:
            arn = self._platform.config.arn("endpoint-config", name)
            raise ValidationError(f'Could not find endpoint configuration "{arn}".')
        return config


def container_of(request: Mapping[str, Any]) -> dict[str, Any]:
    """The one container of a CreateModel request.

    Raises:
        ValidationError: it has none.
        NotImplementedLocallyError: it has several, or one of another kind than an image with a model.tar.gz in S3.
    """
    containers = [request["PrimaryContainer"]] if "PrimaryContainer" in request else request.get("Containers", [])
    if len(containers) > 1:
        raise NotImplementedLocallyError("A model of more than one container")
    if not containers:
        raise ValidationError("A model needs a PrimaryContainer.")
    container: dict[str, Any] = containers[0]
    _refuse_others("A container", container, _CONTAINER_MEMBERS)
    if "Image" not in container:
        raise ValidationError("The container needs an Image.")
    if container.get("Mode", "SingleModel") != "SingleModel":
        raise NotImplementedLocallyError("A MultiModel container")
    source = container.get("ModelDataSource", {}).get("S3DataSource")
    if source is not None and (source["S3DataType"], source["CompressionType"]) != ("S3Object", "Gzip"):
        raise NotImplementedLocallyError("A ModelDataSource other than one gzipped S3 object")
    return container


def _check_variant(variant: Mapping[str, Any], model: Model) -> None:
    serverless = variant.get("ServerlessConfig")
    if serverless is None:
        for name in ("InstanceType", "InitialInstanceCount"):
            if name not in variant:
                raise ValidationError(f"Production variant {variant['VariantName']!r} lacks {name}.")
        return
    for name in ("InstanceType", "InitialInstanceCount", "VolumeSizeInGB"):
        if name in variant:
            raise ValidationError(f"{name} cannot be specified for a variant with ServerlessConfig.")
    if serverless["MemorySizeInMB"] not in _SERVERLESS_MEMORY_MB:
        raise ValidationError(f"MemorySizeInMB must be one of {', '.join(map(str, _SERVERLESS_MEMORY_MB))}.")
    if "ProvisionedConcurrency" in serverless:
        raise NotImplementedLocallyError("ProvisionedConcurrency")
    if model.request.get("EnableNetworkIsolation"):
        raise ValidationError("Serverless endpoints do not support models with network isolation.")


def _refuse_others(what: str, document: Mapping[str, Any], implemented: set[str]) -> None:
    for name, value in document.items():
        if name not in implemented and value:
            raise NotImplementedLocallyError(f"{what} with {name}")


def _without_tags(request: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in request.items() if name != "Tags"}
