"""SageMaker inside the test's process: requests and answers held to botocore's model, jobs and endpoints by a script.

moto has neither stop_training_job nor update_endpoint, and its jobs are Completed at once; the service of the local
cloud runs real processes, which is more than the state machine's own tests need. This double keeps what their outcome
hangs on: statuses, errors by SageMaker's codes, and what is still running.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any

import boto3
from botocore.exceptions import ClientError
from botocore.model import ServiceModel
from botocore.paginate import Paginator
from botocore.validate import ParamValidator

from tests.fakes import recorded_calls

Answer = dict[str, Any]
IN_PROGRESS: Answer = {"TrainingJobStatus": "InProgress", "SecondaryStatus": "Training"}
COMPLETED: Answer = {"TrainingJobStatus": "Completed", "SecondaryStatus": "Completed"}
_RUNNING = {"InProgress", "Stopping"}
_SETTLED = {"InService", "Failed", "OutOfService", "UpdateRollbackFailed"}


@cache
def _service_model() -> ServiceModel:
    client = boto3.client("sagemaker", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    return client.meta.service_model


def refused(operation: str, code: str, message: str = "", status: int = 400) -> ClientError:
    answer = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, operation)  # type: ignore[arg-type]


def checked(operation: str, side: str, document: Answer) -> Answer:
    """By botocore's model: unknown names, missing ones, wrong types, lengths."""
    report = ParamValidator().validate(document, getattr(_service_model().operation_model(operation), side))
    assert not report.has_errors(), f"{operation} {side}: {report.generate_report()}"
    return document


@dataclass
class Job:
    request: Answer
    answers: list[Answer]
    """One for each look; the last one stays."""
    has_left_artifact: bool = False

    def look(self) -> Answer:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@dataclass
class SageMakerDouble:
    """The client. `script` gives a new job's answers, `on_completed` writes what it leaves in S3."""

    script: Callable[[str, Answer], list[Answer]] = lambda step, request: [IN_PROGRESS, COMPLETED]
    on_completed: Callable[[str, Answer], None] = lambda step, request: None
    endpoint_script: Callable[[str], list[str]] = lambda name: ["InService"]
    """Statuses of an endpoint, one for each look, after it was created or updated."""
    faults: dict[str, list[Exception]] = field(default_factory=dict)
    """Errors that the next calls of an operation meet, in order."""
    jobs: dict[str, Job] = field(default_factory=dict)
    models: dict[str, Answer] = field(default_factory=dict)
    configs: dict[str, Answer] = field(default_factory=dict)
    endpoints: dict[str, Answer] = field(default_factory=dict)
    deleting_looks: int = 0
    """So often an endpoint is still seen, Deleting, after it was deleted."""
    updates: list[Answer] = field(default_factory=list)
    """What UpdateEndpoint was asked for."""
    created: dict[str, datetime] = field(default_factory=dict)
    """When a model, config or endpoint was created; not named: long ago."""
    calls: list[str] = field(default_factory=list)

    @property
    def running_jobs(self) -> list[str]:
        return [name for name, job in self.jobs.items() if job.answers[0]["TrainingJobStatus"] in _RUNNING]

    def create_training_job(self, **request: Any) -> Answer:
        self._call("CreateTrainingJob", request)
        name = request["TrainingJobName"]
        if name in self.jobs:
            raise refused("CreateTrainingJob", "ResourceInUse", "Training job names must be unique")
        self.jobs[name] = Job(request, [dict(one) for one in self.script(_step(request), request)])
        return {"TrainingJobArn": _arn("training-job", name)}

    def describe_training_job(self, TrainingJobName: str) -> Answer:  # noqa: N803
        self._call("DescribeTrainingJob", {"TrainingJobName": TrainingJobName})
        if TrainingJobName not in self.jobs:
            raise refused("DescribeTrainingJob", "ValidationException", "Requested resource not found.")
        job = self.jobs[TrainingJobName]
        answer = job.look()
        output = f"{job.request['OutputDataConfig']['S3OutputPath']}/{TrainingJobName}/output/model.tar.gz"
        ended = answer["TrainingJobStatus"] == "Completed"
        if ended and not job.has_left_artifact:
            job.has_left_artifact = True
            self.on_completed(_step(job.request), job.request)
        environment = {"Environment": job.request["Environment"]} if "Environment" in job.request else {}
        moment = datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)
        described = (
            {
                "TrainingJobName": TrainingJobName,
                "TrainingJobArn": _arn("training-job", TrainingJobName),
                "ModelArtifacts": {"S3ModelArtifacts": output if ended else ""},
                "AlgorithmSpecification": job.request["AlgorithmSpecification"],
                "ResourceConfig": job.request["ResourceConfig"],
                "StoppingCondition": job.request["StoppingCondition"],
                "CreationTime": moment,
                "TrainingStartTime": moment,
            }
            | environment
            | answer
        )
        return checked("DescribeTrainingJob", "output_shape", described)

    def stop_training_job(self, TrainingJobName: str) -> Answer:  # noqa: N803
        self._call("StopTrainingJob", {"TrainingJobName": TrainingJobName})
        if TrainingJobName not in self.running_jobs:
            raise refused("StopTrainingJob", "ValidationException", "The request was rejected")
        self.jobs[TrainingJobName].answers[:] = [{"TrainingJobStatus": "Stopped", "SecondaryStatus": "Stopped"}]
        return {}

    def list_training_jobs(self, **request: Any) -> Answer:
        self._call("ListTrainingJobs", request)
        states = {name: job.answers[0]["TrainingJobStatus"] for name, job in self.jobs.items()}
        summaries = [
            {
                "TrainingJobName": name,
                "TrainingJobArn": _arn("training-job", name),
                "TrainingJobStatus": state,
                "CreationTime": datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC),
            }
            for name, state in states.items()
            if request["NameContains"] in name and state == request["StatusEquals"]
        ]
        return checked("ListTrainingJobs", "output_shape", {"TrainingJobSummaries": summaries})

    def get_paginator(self, operation: str) -> Any:
        """As boto3 makes it; here every answer is one page."""
        paging = {"input_token": "NextToken", "output_token": "NextToken", "result_key": "none"}
        return Paginator(getattr(self, operation), paging, None)

    def create_model(self, **request: Any) -> Answer:
        self._call("CreateModel", request)
        return self._make(self.models, request["ModelName"], request, "Cannot create already existing model")

    def create_endpoint_config(self, **request: Any) -> Answer:
        self._call("CreateEndpointConfig", request)
        for variant in request["ProductionVariants"]:
            self._require(self.models, variant["ModelName"], "Could not find model")
        name = request["EndpointConfigName"]
        return self._make(self.configs, name, request, "Cannot create already existing endpoint configuration")

    def describe_endpoint_config(self, EndpointConfigName: str) -> Answer:  # noqa: N803
        self._call("DescribeEndpointConfig", {"EndpointConfigName": EndpointConfigName})
        self._require(self.configs, EndpointConfigName, "Could not find endpoint configuration")
        described = {
            "EndpointConfigName": EndpointConfigName,
            "EndpointConfigArn": _arn("endpoint-config", EndpointConfigName),
            "ProductionVariants": self.configs[EndpointConfigName]["ProductionVariants"],
            "CreationTime": self._created(EndpointConfigName),
        }
        return checked("DescribeEndpointConfig", "output_shape", described)

    def create_endpoint(self, **request: Any) -> Answer:
        self._call("CreateEndpoint", request)
        name = request["EndpointName"]
        self._require(self.configs, request["EndpointConfigName"], "Could not find endpoint configuration")
        self._make(self.endpoints, name, {"tags": request["Tags"]}, "Cannot create already existing endpoint")
        self._change(name, request["EndpointConfigName"], "Creating")
        self.endpoints[name]["count"] = self._count(request["EndpointConfigName"])
        return {}

    def update_endpoint(self, **request: Any) -> Answer:
        self._call("UpdateEndpoint", request)
        name = request["EndpointName"]
        self._require(self.endpoints, name, "Could not find endpoint")
        self._require(self.configs, request["EndpointConfigName"], "Could not find endpoint configuration")
        if self.endpoints[name]["statuses"][0] != "InService":
            raise refused("UpdateEndpoint", "ValidationException", "Cannot update in-progress endpoint")
        self.updates.append(request)
        self._change(name, request["EndpointConfigName"], "Updating")
        if request.get("ExcludeRetainedVariantProperties"):
            self.endpoints[name]["count"] = self._count(request["EndpointConfigName"])
        return {}

    def describe_endpoint(self, EndpointName: str) -> Answer:  # noqa: N803
        self._call("DescribeEndpoint", {"EndpointName": EndpointName})
        self._forget_if_gone(EndpointName)
        self._require(self.endpoints, EndpointName, "Could not find endpoint")
        endpoint = self.endpoints[EndpointName]
        statuses = endpoint["statuses"]
        status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
        if status == "rolled back":
            statuses[:] = [status := "InService"]
            endpoint["config"] = endpoint["former"]
        described = {
            "EndpointName": EndpointName,
            "EndpointArn": _arn("endpoint", EndpointName),
            "EndpointConfigName": endpoint["config"],
            "EndpointStatus": status,
            "CreationTime": datetime(2025, 1, 2, tzinfo=UTC),
            "LastModifiedTime": datetime(2025, 1, 2, tzinfo=UTC),
            "ProductionVariants": [
                {"VariantName": "AllTraffic"}
                | ({"DesiredInstanceCount": endpoint["count"]} if endpoint["count"] is not None else {})
            ],
        } | ({"FailureReason": "The container did not answer /ping."} if status == "Failed" else {})
        return checked("DescribeEndpoint", "output_shape", described)

    def delete_endpoint(self, EndpointName: str) -> Answer:  # noqa: N803
        self._call("DeleteEndpoint", {"EndpointName": EndpointName})
        self._require(self.endpoints, EndpointName, "Could not find endpoint")
        if self.endpoints[EndpointName]["statuses"][0] not in _SETTLED:
            raise refused("DeleteEndpoint", "ValidationException", "Cannot delete in-progress endpoint")
        self.endpoints[EndpointName]["statuses"] = ["Deleting"] * self.deleting_looks + ["gone"]
        self._forget_if_gone(EndpointName)
        return {}

    def delete_endpoint_config(self, EndpointConfigName: str) -> Answer:  # noqa: N803
        self._call("DeleteEndpointConfig", {"EndpointConfigName": EndpointConfigName})
        self._require(self.configs, EndpointConfigName, "Could not find endpoint configuration")
        assert EndpointConfigName not in self.used_configs, "SageMaker allows this, and the endpoint is then stuck"
        del self.configs[EndpointConfigName]
        return {}

    def delete_model(self, ModelName: str) -> Answer:  # noqa: N803
        self._call("DeleteModel", {"ModelName": ModelName})
        self._require(self.models, ModelName, "Could not find model")
        used = [self.configs[name]["ProductionVariants"][0]["ModelName"] for name in self.used_configs]
        assert ModelName not in used, "SageMaker allows this, and new instances of the endpoint then fail"
        del self.models[ModelName]
        return {}

    @property
    def used_configs(self) -> set[str]:
        """What endpoints serve, and what they served before as long as they may be rolled back to it."""
        served = {endpoint["config"] for endpoint in self.endpoints.values()}
        changing = [one for one in self.endpoints.values() if len(one["statuses"]) > 1 and one["former"]]
        return served | {one["former"] for one in changing}

    def list_endpoints(self, **request: Any) -> Answer:
        return self._list("Endpoint", "endpoint", self.endpoints, request, EndpointStatus="InService")

    def list_endpoint_configs(self, **request: Any) -> Answer:
        return self._list("EndpointConfig", "endpoint-config", self.configs, request)

    def list_models(self, **request: Any) -> Answer:
        return self._list("Model", "model", self.models, request)

    def list_tags(self, ResourceArn: str) -> Answer:  # noqa: N803
        self._call("ListTags", {"ResourceArn": ResourceArn})
        kind, _, name = ResourceArn.rpartition(":")[2].partition("/")
        things = {"endpoint": self.endpoints, "endpoint-config": self.configs, "model": self.models}[kind]
        self._require(things, name, "Could not find resource")
        return {"Tags": things[name].get("Tags") or things[name].get("tags", [])}

    def _list(self, kind: str, arn: str, things: dict[str, Answer], request: Answer, **more: Any) -> Answer:
        self._call(f"List{kind}s", request)
        found = [
            {
                f"{kind}Name": name,
                f"{kind}Arn": _arn(arn, name),
                "CreationTime": self._created(name),
                **({"LastModifiedTime": self._created(name)} if more else {}),
                **more,
            }
            for name in sorted(things)
            if request["NameContains"] in name
        ]
        return checked(f"List{kind}s", "output_shape", {f"{kind}s": found})

    def _forget_if_gone(self, name: str) -> None:
        if self.endpoints.get(name, {}).get("statuses") == ["gone"]:
            del self.endpoints[name]

    def _created(self, name: str) -> datetime:
        return self.created.get(name, datetime(2025, 1, 2, tzinfo=UTC))

    def _count(self, config: str) -> int | None:
        count: int | None = self.configs[config]["ProductionVariants"][0].get("InitialInstanceCount")
        return count

    def served_model(self, endpoint_name: str) -> Answer:
        """What stands behind the endpoint now."""
        config = self.configs[self.endpoints[endpoint_name]["config"]]
        return self.models[config["ProductionVariants"][0]["ModelName"]]

    def _call(self, operation: str, request: Answer) -> None:
        checked(operation, "input_shape", request)
        recorded_calls.note("sagemaker", operation, request)
        self.calls.append(operation)
        if self.faults.get(operation):
            raise self.faults[operation].pop(0)

    def _change(self, name: str, config: str, status: str) -> None:
        endpoint = self.endpoints[name]
        endpoint |= {"former": endpoint.get("config"), "config": config}
        endpoint["statuses"] = [status, *self.endpoint_script(name)]

    def _make(self, things: dict[str, Answer], name: str, request: Answer, message: str) -> Answer:
        if name in things:
            raise refused("Create", "ValidationException", message)
        things[name] = request
        return {}

    def _require(self, things: dict[str, Answer], name: str, message: str) -> None:
        if name not in things:
            raise refused("Any", "ValidationException", message)


def _arn(kind: str, name: str) -> str:
    return f"arn:aws:sagemaker:us-east-1:123456789012:{kind}/{name}"


def _step(request: Answer) -> str:
    return "evaluate" if request["AlgorithmSpecification"].get("ContainerEntrypoint") == ["evaluate"] else "train"
