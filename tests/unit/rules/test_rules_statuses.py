"""Every status that botocore knows has been thought of."""

from functools import cache

import pytest
from botocore.loaders import Loader

from pipeline.rules import statuses
from pipeline.rules.statuses import Outlook, endpoint_outlook, job_outlook


@cache
def enum(shape: str) -> set[str]:
    return set(Loader().load_service_model("sagemaker", "service-2")["shapes"][shape]["enum"])


def test_no_status_of_a_job_is_left_to_chance():
    assert set(statuses._JOB) == enum("TrainingJobStatus")


def test_no_status_of_an_endpoint_is_left_to_chance():
    assert set(statuses._ENDPOINT) == enum("EndpointStatus")


def test_a_job_is_done_only_when_it_has_left_an_artifact():
    assert {one for one in enum("TrainingJobStatus") if job_outlook(one) is Outlook.DONE} == {"Completed"}
    assert {one for one in enum("TrainingJobStatus") if job_outlook(one) is Outlook.WAIT} == {"InProgress", "Stopping"}


def test_an_endpoint_is_done_only_in_service_and_waited_for_only_while_it_changes():
    by_outlook = {outlook: set[str]() for outlook in Outlook}
    for status in enum("EndpointStatus"):
        by_outlook[endpoint_outlook(status)].add(status)
    assert by_outlook == {
        Outlook.DONE: {"InService"},
        Outlook.WAIT: {"Creating", "Updating", "SystemUpdating", "RollingBack"},
        Outlook.FAILED: {"OutOfService", "Deleting", "Failed", "UpdateRollbackFailed"},
    }


@pytest.mark.parametrize("outlook", [job_outlook, endpoint_outlook])
@pytest.mark.parametrize("status", ["Hibernating", "", "completed"])
def test_a_status_that_aws_adds_later_is_waited_for(outlook, status):
    assert outlook(status) is Outlook.WAIT
