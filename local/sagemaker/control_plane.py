"""The control plane: an operation's name and JSON document in, a JSON document out."""

from collections.abc import Callable
from typing import Any

from local.sagemaker.autoscaler import Autoscaler
from local.sagemaker.autoscaling_api import AutoScaling
from local.sagemaker.endpoints_api import Endpoints
from local.sagemaker.errors import LostConnectionError, NotImplementedLocallyError, ServiceUnavailableError
from local.sagemaker.models_api import EndpointConfigs, Models
from local.sagemaker.platform import Platform
from local.sagemaker.rates import Rates
from local.sagemaker.tags_api import Tags
from local.sagemaker.training_api import TrainingJobs
from local.sagemaker.validation import check_request, operation_model

_NAME_MEMBERS = ("TrainingJobName", "EndpointName", "EndpointConfigName", "ModelName", "ResourceArn", "ResourceId")

Operation = Callable[[dict[str, Any]], dict[str, Any]]


class ControlPlane:
    """All operations that are implemented, by name."""

    def __init__(self, platform: Platform) -> None:
        self._closing = False
        self._faults = platform.faults
        self._rates = Rates(platform.config.rates)
        self._jobs = TrainingJobs(platform)
        models, configs, tags = Models(platform), EndpointConfigs(platform), Tags(platform.store)
        self.endpoints = Endpoints(platform, configs)
        self._autoscaling = AutoScaling(platform, self.endpoints)
        self._autoscaler = Autoscaler(platform, self.endpoints)
        self.operations: dict[str, Operation] = {
            "CreateTrainingJob": self._jobs.create,
            "DescribeTrainingJob": self._jobs.describe,
            "ListTrainingJobs": self._jobs.list,
            "StopTrainingJob": self._jobs.stop,
            "DeleteTrainingJob": self._jobs.delete,
            "CreateModel": models.create,
            "DescribeModel": models.describe,
            "ListModels": models.list,
            "DeleteModel": models.delete,
            "CreateEndpointConfig": configs.create,
            "DescribeEndpointConfig": configs.describe,
            "ListEndpointConfigs": configs.list,
            "DeleteEndpointConfig": configs.delete,
            "CreateEndpoint": self.endpoints.create,
            "DescribeEndpoint": self.endpoints.describe,
            "ListEndpoints": self.endpoints.list,
            "UpdateEndpoint": self.endpoints.update,
            "DeleteEndpoint": self.endpoints.delete,
            "UpdateEndpointWeightsAndCapacities": self.endpoints.update_weights_and_capacities,
            "AddTags": tags.add,
            "ListTags": tags.list,
            "DeleteTags": tags.delete,
        }

    def call(self, operation: str, document: Any) -> dict[str, Any]:
        """Run one operation.

        Raises:
            ApiError: as SageMaker answers it; NotImplementedLocallyError for what is not here.
            LostConnectionError: the fault plan wants no answer.
        """
        model = operation_model(operation)
        implementation = self.operations.get(operation)
        if implementation is None:
            raise NotImplementedLocallyError(operation)

        def run() -> dict[str, Any]:
            check_request(model, document)
            return implementation({name: value for name, value in document.items() if value is not None})

        return self._with_faults(operation, document, run)

    def call_autoscaling(self, operation: str, document: Any) -> dict[str, Any]:
        """Run one operation of Application Auto Scaling; raises as `call` does."""
        return self._with_faults(operation, document, lambda: self._autoscaling.call(operation, document))

    def _with_faults(self, operation: str, document: Any, run: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        if self._closing:
            raise ServiceUnavailableError("The local service is ending.")
        self._rates.take(operation)
        fault = self._faults.call(operation, resource_name(document))
        if fault is not None and (refusal := fault.refusal()) is not None:
            raise refusal
        if fault is not None and fault.kind == "lost_request":
            raise LostConnectionError
        answer = run()
        if fault is not None and fault.kind == "lost_answer":
            raise LostConnectionError
        return answer

    def close(self) -> None:
        """End every job and endpoint; from now on every operation is refused."""
        self._closing = True
        self._autoscaler.close()
        self._jobs.end_all()
        self.endpoints.close()
        self._jobs.join()


def resource_name(document: Any) -> str:
    """What a request is about, for the fault plan: the name in its own resource's member, or the ARN; else nothing."""
    if isinstance(document, dict):
        for member in _NAME_MEMBERS:
            if isinstance(document.get(member), str):
                return str(document[member])
    return ""
