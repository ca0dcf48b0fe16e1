"""What CreateTrainingJob checks beyond botocore's model, and what of it is not here."""

from collections.abc import Mapping
from typing import Any

from local.sagemaker.errors import NotImplementedLocallyError, ValidationError
from local.sagemaker.job_folder import CONTAINER_BASE_DIR

_MAX_RUNTIME_SECONDS = 28 * 86_400
_MAX_HYPERPARAMETERS = 100

_IMPLEMENTED = {
    "TrainingJobName",
    "HyperParameters",
    "AlgorithmSpecification",
    "RoleArn",
    "InputDataConfig",
    "OutputDataConfig",
    "ResourceConfig",
    "StoppingCondition",
    "Tags",
    "EnableNetworkIsolation",
    "EnableInterContainerTrafficEncryption",
    "CheckpointConfig",
    "Environment",
    "EnableManagedSpotTraining",
}
"""Members of CreateTrainingJob that have their effect here; any other is refused unless it asks for nothing."""


def check_rules(request: Mapping[str, Any]) -> None:
    """What SageMaker checks beyond its model.

    Raises:
        ValidationError: one of these does not hold.
    """
    for name in ("AlgorithmSpecification", "ResourceConfig", "StoppingCondition"):
        if name not in request:
            raise ValidationError(f"{name} is required for a training job.")
    if "TrainingImage" not in request["AlgorithmSpecification"]:
        raise ValidationError("You must specify a TrainingImage or an AlgorithmName.")
    for name in ("InstanceType", "InstanceCount", "VolumeSizeInGB"):
        if name not in request["ResourceConfig"]:
            raise ValidationError(f"ResourceConfig lacks {name}.")
    if request["ResourceConfig"]["InstanceCount"] < 1:
        raise ValidationError("ResourceConfig.InstanceCount must be at least 1.")
    if len(request.get("HyperParameters", {})) > _MAX_HYPERPARAMETERS:
        raise ValidationError(f"A training job takes at most {_MAX_HYPERPARAMETERS} hyperparameters.")
    runtime_seconds = request["StoppingCondition"].get("MaxRuntimeInSeconds", 0)
    if runtime_seconds > _MAX_RUNTIME_SECONDS:
        raise ValidationError(f"MaxRuntimeInSeconds must be at most {_MAX_RUNTIME_SECONDS} (28 days).")
    _check_wait(request)
    names = [channel["ChannelName"] for channel in request.get("InputDataConfig", [])]
    if len(names) != len(set(names)):
        raise ValidationError("Channel names must be unique within InputDataConfig.")


def _check_wait(request: Mapping[str, Any]) -> None:
    condition = request["StoppingCondition"]
    wait_seconds = condition.get("MaxWaitTimeInSeconds")
    if not request.get("EnableManagedSpotTraining"):
        if wait_seconds:
            raise ValidationError("MaxWaitTimeInSeconds above 0 is only allowed for Managed Spot Training.")
        return
    if not wait_seconds:
        raise ValidationError("MaxWaitTimeInSeconds is required when EnableManagedSpotTraining is true.")
    if wait_seconds < condition.get("MaxRuntimeInSeconds", 86_400):
        raise ValidationError("MaxWaitTimeInSeconds must be greater than or equal to MaxRuntimeInSeconds.")


def check_supported(request: Mapping[str, Any]) -> None:
    """Refuse what would be accepted and then not done.

    Raises:
        NotImplementedLocallyError: the request asks for such a thing.
    """
    for name, value in request.items():
        if name not in _IMPLEMENTED and value:
            raise NotImplementedLocallyError(f"CreateTrainingJob with {name}")
    algorithm, resources = request.get("AlgorithmSpecification", {}), request.get("ResourceConfig", {})
    refused = {
        "AlgorithmSpecification.AlgorithmName": "AlgorithmName" in algorithm,
        "TrainingInputMode Pipe": algorithm.get("TrainingInputMode") == "Pipe",
        "ResourceConfig.InstanceGroups": bool(resources.get("InstanceGroups")),
        "ResourceConfig.KeepAlivePeriodInSeconds": bool(resources.get("KeepAlivePeriodInSeconds")),
        "OutputDataConfig.CompressionType NONE": request["OutputDataConfig"].get("CompressionType") == "NONE",
        "OutputDataConfig on https": not request["OutputDataConfig"]["S3OutputPath"].startswith("s3://"),
    }
    for channel in request.get("InputDataConfig", []):
        source = channel["DataSource"].get("S3DataSource", {})
        refused |= {
            "a channel that is not in S3": not source,
            "S3DataType other than S3Prefix": source.get("S3DataType") != "S3Prefix",
            "a channel of InputMode Pipe": channel.get("InputMode") == "Pipe",
            "a channel with a RecordWrapper": channel.get("RecordWrapperType", "None") != "None",
            "ShuffleConfig": "ShuffleConfig" in channel,
        }
        if any(refused.values()):
            break
    local_path = request.get("CheckpointConfig", {}).get("LocalPath", str(CONTAINER_BASE_DIR))
    refused["CheckpointConfig.LocalPath outside /opt/ml"] = not local_path.startswith(f"{CONTAINER_BASE_DIR}")
    for what, is_asked in refused.items():
        if is_asked:
            raise NotImplementedLocallyError(f"CreateTrainingJob with {what}")
