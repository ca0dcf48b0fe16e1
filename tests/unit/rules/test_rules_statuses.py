"""Every status that SageMaker's model knows has a meaning here, and one that it learns is waited for."""

import boto3
import pytest

from pipeline.rules import statuses
from pipeline.rules.statuses import Outlook, endpoint_outlook, job_outlook


def modelled(shape: str) -> set[str]:
    client = boto3.client("sagemaker", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    return set(client.meta.service_model.shape_for(shape).enum)


def test_every_modelled_status_of_a_job_has_a_meaning() -> None:
    assert modelled("TrainingJobStatus") == set(statuses._JOB)


def test_every_modelled_status_of_an_endpoint_has_a_meaning() -> None:
    assert modelled("EndpointStatus") == set(statuses._ENDPOINT)


@pytest.mark.parametrize(
    ("status", "outlook"),
    [("InProgress", Outlook.WAIT), ("Completed", Outlook.DONE), ("Stopped", Outlook.FAILED), ("New", Outlook.WAIT)],
)
def test_a_job(status: str, outlook: Outlook) -> None:
    assert job_outlook(status) is outlook


@pytest.mark.parametrize(
    ("status", "outlook"),
    [
        ("RollingBack", Outlook.WAIT),
        ("InService", Outlook.DONE),
        ("OutOfService", Outlook.FAILED),
        ("New", Outlook.WAIT),
    ],
)
def test_an_endpoint(status: str, outlook: Outlook) -> None:
    assert endpoint_outlook(status) is outlook
