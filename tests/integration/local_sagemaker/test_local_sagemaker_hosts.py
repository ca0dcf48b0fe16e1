"""Several hosts for one job: names, addresses, data, results, and what becomes of the others when one fails."""

import json
from urllib.parse import urlsplit

import pytest

from local.ports import free_port
from local.sagemaker.processes import hosts_can_be_named, isolation_is_possible
from tests.fakes.sagemaker_cloud import BUCKET, Cloud, channel
from tests.fakes.waiting import wait_for

GROUP = "/aws/sagemaker/TrainingJobs"
NAMES = ["algo-1", "algo-2", "algo-3"]


def resources(count: int) -> dict:
    return {"InstanceType": "ml.m5.large", "InstanceCount": count, "VolumeSizeInGB": 1}


@pytest.fixture(autouse=True)
def no_plan_stays(cloud: Cloud):
    yield
    cloud.plan()


def reports(cloud: Cloud, name: str) -> dict[str, dict]:
    files = cloud.artifact(name)
    return {file.removesuffix(".json"): json.loads(text) for file, text in files.items() if file != "facts.json"}


@pytest.mark.skipif(not hosts_can_be_named(), reason="this machine allows no mount namespaces")
@pytest.mark.parametrize("isolated", [False, True])
def test_hosts_find_one_another_by_name(cloud: Cloud, isolated: bool):
    if isolated and not isolation_is_possible():
        pytest.skip("this machine allows no network namespaces")
    name = f"hosts-{isolated}".lower()
    words = {"talk": str(free_port()), "connect": urlsplit(cloud.emulator_url).netloc}
    cloud.train(name, words, ResourceConfig=resources(3), EnableNetworkIsolation=isolated)
    described = cloud.ended(name)
    assert described["TrainingJobStatus"] == "Completed", described
    said = reports(cloud, name)
    assert sorted(said) == NAMES
    for host, report in said.items():
        assert report["resources"]["current_host"] == host
        assert report["resources"]["hosts"] == NAMES
        assert report["reaches"] is not isolated
    heard = said["algo-1"]["said"]
    assert [host for host, _ in heard] == NAMES[1:]
    assert len({address for _, address in heard}) == 2
    assert all(address.startswith("127.") and address != "127.0.0.1" for _, address in heard)


def test_where_hosts_cannot_be_named_their_addresses_are_their_names(cloud: Cloud, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("local.sagemaker.process_containers.hosts_can_be_named", lambda: False)
    cloud.train("by-address", {"talk": str(free_port())}, ResourceConfig=resources(2))
    assert cloud.ended("by-address")["TrainingJobStatus"] == "Completed"
    said = reports(cloud, "by-address")
    assert all(host.startswith("127.") for host in said)
    assert any("The hosts are named by their addresses" in line for line in cloud.log_lines(GROUP, "by-address/"))


def test_data_is_replicated_or_divided(cloud: Cloud):
    for number in range(5):
        cloud.put(f"shards/{number}.txt", str(number))
    divided = channel("divided", f"s3://{BUCKET}/shards/")
    divided["DataSource"]["S3DataSource"]["S3DataDistributionType"] = "ShardedByS3Key"
    whole = channel("whole", f"s3://{BUCKET}/shards/")
    words = {"talk": str(free_port())}
    cloud.train("data", words, ResourceConfig=resources(2), InputDataConfig=[divided, whole])
    assert cloud.ended("data")["TrainingJobStatus"] == "Completed"
    files = {host: report["files"] for host, report in reports(cloud, "data").items()}
    shares = [{file for file in each if file.startswith("data/divided/")} for each in files.values()]
    assert sorted(map(len, shares)) == [2, 3]
    assert not shares[0] & shares[1]
    assert all(sum(file.startswith("data/whole/") for file in each) == 5 for each in files.values())


def test_each_host_has_a_log_of_its_own(cloud: Cloud):
    cloud.train("logs", {"print": "hello"}, ResourceConfig=resources(2))
    cloud.ended("logs")
    streams = cloud.logs.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix="logs/")["logStreams"]
    assert len({each["logStreamName"] for each in streams}) == 2
    assert cloud.log_lines(GROUP, "logs/") == ["hello", "hello"]


def test_a_host_that_fails_ends_the_job_and_says_why(cloud: Cloud):
    cloud.train("one-fails", {"fail_on": "algo-2", "until": "/never"}, ResourceConfig=resources(2))
    described = cloud.ended("one-fails")
    assert described["TrainingJobStatus"] == "Failed"
    if hosts_can_be_named():
        assert described["FailureReason"] == "AlgorithmError: algo-2 is broken, exit code: 9"


def test_a_host_that_is_lost_ends_the_job(cloud: Cloud):
    cloud.plan({"kind": "host_loss", "resource": "host-lost", "host": 2})
    cloud.train("host-lost", {"until": "/never"}, ResourceConfig=resources(3))
    assert cloud.ended("host-lost")["FailureReason"] == "AlgorithmError: , exit code: 137"


def test_all_hosts_are_stopped(cloud: Cloud):
    cloud.train("all-stop", {"until": "/never", "on_term": "save", "print": "begun"}, ResourceConfig=resources(2))
    cloud.in_phase("all-stop", "Training")
    wait_for(lambda: cloud.log_lines(GROUP, "all-stop/").count("begun") == 2, "it gets there")
    cloud.sagemaker.stop_training_job(TrainingJobName="all-stop")
    assert cloud.ended("all-stop")["TrainingJobStatus"] == "Stopped"
    assert cloud.log_lines(GROUP, "all-stop/").count("got SIGTERM") == 2
