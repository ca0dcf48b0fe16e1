"""Hours on the local cloud in a minute: what SageMaker and the state machine wait for passes at a scale."""

from collections.abc import Callable, Iterator

import pytest

from tests.fakes.cloud_faults import containers, jobs_of, start_run, words
from tests.fakes.running_cloud import Cloud, running_cloud

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

SCALE = 0.01
HOUR = 3600
ENDLESS = 1_000_000_000
MOST_EVENTS = 0.6 * 25_000


@pytest.fixture(scope="module")
def quick_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running_cloud(tmp_path_factory.mktemp("quick"), GAMEDOJO_WAIT_SCALE=str(SCALE)) as cloud:
        yield cloud


def test_a_training_that_reaches_its_limit_of_hours_ends_with_it(
    quick_cloud: Cloud, basic: bytes, record_property: Callable[[str, object], None]
) -> None:
    limit = 2 * HOUR
    instances = {"max_runtime_seconds": limit}
    run_id = start_run(quick_cloud, basic, "hours", ENDLESS, instances=instances)
    run = quick_cloud.finished(run_id, seconds=SCALE * limit + 180)
    assert run["status"] == "FAILED", run
    assert f"limit of {limit} s" in run["failure"]["cause"]
    assert "max_runtime_seconds" in run["failure"]["remedy"]
    job = run["training_job"]["name"]
    described = quick_cloud.sagemaker.describe_training_job(TrainingJobName=job)
    assert described["SecondaryStatus"] == "MaxRuntimeExceeded"
    assert limit <= described["TrainingTimeInSeconds"] <= limit + HOUR / 2
    assert (jobs_of(quick_cloud, run_id), containers(quick_cloud, job)) == ({job: "Stopped"}, [])
    states = quick_cloud.client("stepfunctions")
    pages = states.get_paginator("get_execution_history").paginate(executionArn=run["execution_arn"])
    assert sum(len(page["events"]) for page in pages) < MOST_EVENTS
    fault = f"a training goes on for {limit // HOUR} hours, which is its limit (in scaled time)"
    record_property("fault on the cloud", (fault, "the run's record and log, checkpoints", words(run)))
