"""Run by the environment of the SageMaker SDK: its resources create, wait, describe, invoke, update and delete.

Told by the environment (AWS_ENDPOINT_URL_SAGEMAKER and so on) and by one argument, what the test has prepared, as JSON;
writes what it saw to saw.json.
"""

import json
import sys
from pathlib import Path

from sagemaker.core.resources import Endpoint, EndpointConfig, Model, TrainingJob
from sagemaker.core.shapes import (
    AlgorithmSpecification,
    ContainerDefinition,
    OutputDataConfig,
    ProductionVariant,
    ResourceConfig,
    StoppingCondition,
)


def train(told: dict, name: str, count: int, **words: str) -> TrainingJob:
    return TrainingJob.create(
        training_job_name=name,
        role_arn=told["role"],
        algorithm_specification=AlgorithmSpecification(training_image=told["image"], training_input_mode="File"),
        output_data_config=OutputDataConfig(s3_output_path=told["output"]),
        resource_config=ResourceConfig(instance_type="ml.m5.large", instance_count=count, volume_size_in_gb=1),
        stopping_condition=StoppingCondition(max_runtime_in_seconds=300),
        hyper_parameters=words,
        region="us-east-1",
    )


def jobs(told: dict) -> dict:
    done = train(told, "sdk-done", 2)
    done.wait(poll=1, timeout=120)
    failing = train(told, "sdk-fails", 1, failure="no luck", exit="1")
    try:
        failing.wait(poll=1, timeout=120)
        raised = ""
    except Exception as error:
        raised = str(error)
    stopped = train(told, "sdk-stopped", 1, until="/never")
    stopped.stop()
    stopped.wait(poll=1, timeout=120)
    names = [job.training_job_name for job in TrainingJob.get_all(name_contains="sdk-", region="us-east-1")]
    stopped.delete()
    return {
        "done": done.training_job_status,
        "phases": [each.status for each in done.secondary_status_transitions],
        "raised": raised,
        "stopped": stopped.training_job_status,
        "names": sorted(names),
    }


def deploy(told: dict, name: str, model_data: str) -> EndpointConfig:
    Model.create(
        model_name=name,
        execution_role_arn=told["role"],
        primary_container=ContainerDefinition(image=told["image"], model_data_url=model_data),
        region="us-east-1",
    )
    variant = ProductionVariant(
        variant_name="AllTraffic", model_name=name, instance_type="ml.m5.large", initial_instance_count=1
    )
    return EndpointConfig.create(endpoint_config_name=name, production_variants=[variant], region="us-east-1")


def ask(endpoint: Endpoint) -> str:
    answer = endpoint.invoke(body=b"{}", content_type="application/json")
    return str(json.loads(answer.body.read())["model"])


def endpoints(told: dict) -> dict:
    deploy(told, "sdk-1", told["models"][0])
    endpoint = Endpoint.create(endpoint_name="sdk", endpoint_config_name="sdk-1", region="us-east-1")
    endpoint.wait_for_status("InService", poll=1, timeout=120)
    first = ask(endpoint)
    deploy(told, "sdk-2", told["models"][1])
    endpoint.endpoint_config_name = "sdk-2"
    endpoint.update(retain_all_variant_properties=True)
    endpoint.wait_for_status("InService", poll=1, timeout=120)
    second = ask(endpoint)
    endpoint.delete()
    endpoint.wait_for_delete(poll=1, timeout=120)
    return {"first": first, "second": second}


def main() -> None:
    told = json.loads(sys.argv[1])
    Path("saw.json").write_text(json.dumps({"jobs": jobs(told), "endpoints": endpoints(told)}))


main()
