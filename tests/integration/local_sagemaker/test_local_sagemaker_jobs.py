"""Training jobs as real processes: what they are given, what becomes of what they leave, how they end."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from botocore.exceptions import ClientError

from local.sagemaker.processes import isolation_is_possible
from tests.fakes.sagemaker_cloud import BUCKET, IMAGE, Cloud, channel, service, training_request
from tests.fakes.waiting import wait_for

GROUP = "/aws/sagemaker/TrainingJobs"


def phases(described: dict) -> list[str]:
    return [each["Status"] for each in described["SecondaryStatusTransitions"]]


def processes_with(marker: str) -> list[int]:
    found = []
    for process in psutil.process_iter():
        try:
            if marker in process.cmdline():
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def assert_no_trace(cloud: Cloud, job: str) -> None:
    scratch = cloud.folder / "sagemaker" / "scratch"
    wait_for(lambda: not list(scratch.glob(f"{job}-*")), "the job's folders are gone")


def test_a_job_gets_what_sagemaker_documents_and_nothing_else(cloud: Cloud, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of the user")
    monkeypatch.setenv("MY_TOKEN", "of the user")
    build = cloud.put("runs/facts/build.zip", "a zip")
    cloud.put("runs/facts/data/a/b.txt", "b")
    cloud.put("runs/facts/data/c.txt", "c")
    cloud.put("runs/facts/data/", "")
    cloud.train(
        "facts",
        {"lr": "0.0003"},
        InputDataConfig=[
            channel("build", build),
            channel("data", f"s3://{BUCKET}/runs/facts/data", ContentType="text"),
        ],
        Environment={"GAMEDOJO_RUN_ID": "r1"},
        CheckpointConfig={"S3Uri": f"s3://{BUCKET}/runs/facts/checkpoints"},
    )
    described = cloud.ended("facts")
    assert (described["TrainingJobStatus"], described["SecondaryStatus"]) == ("Completed", "Completed")
    assert phases(described) == ["Starting", "Pending", "Downloading", "Training", "Uploading", "Completed"]
    assert described["ModelArtifacts"]["S3ModelArtifacts"] == f"s3://{BUCKET}/output/facts/output/model.tar.gz"

    facts = cloud.facts("facts")
    base = facts["environment"].pop("SAGEMAKER_BASE_DIR")
    assert base.startswith(str(cloud.folder))
    own = {name: facts["environment"].pop(name) for name in ("HOME", "TMPDIR", "PATH")}
    assert not Path(own["HOME"]).exists()
    assert not Path(own["TMPDIR"]).exists()
    assert len(own["TMPDIR"]) < 25, "sockets of ray must fit in below it"
    assert facts["environment"] == {
        "TRAINING_JOB_NAME": "facts",
        "TRAINING_JOB_ARN": described["TrainingJobArn"],
        "GAMEDOJO_RUN_ID": "r1",
        "IN_IMAGE": "1",
        "LANG": "C.UTF-8",
    }
    documents = {name: facts["files"].pop(f"config/{name}.json") for name in CONFIG_FILES}
    assert facts["files"] == {"data/build/build.zip": "a zip", "data/data/a/b.txt": "b", "data/data/c.txt": "c"}
    assert json.loads(documents["hyperparameters"]) == {"lr": "0.0003"}
    assert json.loads(documents["inputdataconfig"])["data"] == {
        "ContentType": "text",
        "TrainingInputMode": "File",
        "S3DistributionType": "FullyReplicated",
        "RecordWrapperType": "None",
    }
    resources = json.loads(documents["resourceconfig"])
    assert (resources["current_host"], resources["hosts"]) == ("algo-1", ["algo-1"])
    assert json.loads(documents["checkpointconfig"])["S3Uri"] == f"s3://{BUCKET}/runs/facts/checkpoints"
    assert [Path(facts["arguments"][0]).name, *facts["arguments"][1:]] == ["train"]


CONFIG_FILES = ("hyperparameters", "inputdataconfig", "resourceconfig", "checkpointconfig")


def test_an_entrypoint_takes_the_place_of_train(cloud: Cloud):
    algorithm = {
        "TrainingImage": IMAGE,
        "TrainingInputMode": "File",
        "ContainerEntrypoint": ["evaluate"],
        "ContainerArguments": ["--episodes", "3"],
    }
    cloud.train("entrypoint", AlgorithmSpecification=algorithm)
    assert cloud.ended("entrypoint")["TrainingJobStatus"] == "Completed"
    assert cloud.artifact("entrypoint") == {"arguments": b"--episodes 3\n"}


@pytest.mark.parametrize(
    ("name", "words", "reason"),
    [
        ("fails-1", {"failure": "[BuildCrashed] no", "exit": "1"}, "AlgorithmError: [BuildCrashed] no, exit code: 1"),
        ("fails-2", {"exit": "7"}, "AlgorithmError: , exit code: 7"),
        ("fails-3", {"failure": "é" * 2000, "exit": "1"}, f"AlgorithmError: {'é' * 994}, exit code: 1"),
    ],
)
def test_a_job_that_fails_says_why(cloud: Cloud, name: str, words: dict, reason: str):
    cloud.train(name, {**words, "write_model": "a=1", "write_output_data": "log=2"})
    described = cloud.ended(name)
    assert (described["TrainingJobStatus"], described["SecondaryStatus"]) == ("Failed", "Failed")
    assert described["FailureReason"] == reason
    assert len(described["FailureReason"]) <= 1024
    assert cloud.keys(f"output/{name}") == [f"output/{name}/output/output.tar.gz"]
    assert cloud.artifact(name, "output.tar.gz") == {"log": b"2"}


def test_a_command_that_is_not_there(cloud: Cloud):
    algorithm = {"TrainingImage": IMAGE, "TrainingInputMode": "File", "ContainerEntrypoint": ["tarin"]}
    cloud.train("no-command", AlgorithmSpecification=algorithm)
    assert cloud.ended("no-command")["FailureReason"] == "AlgorithmError: , exit code: 127"
    assert 'exec: "tarin": executable file not found in $PATH' in cloud.log_lines(GROUP, "no-command/")


def test_a_channel_with_nothing_in_it_fails_the_job(cloud: Cloud):
    cloud.train("no-data", InputDataConfig=[channel("build", f"s3://{BUCKET}/runs/none/build.zip")])
    described = cloud.ended("no-data")
    assert described["FailureReason"].startswith("ClientError: Data download failed: No S3 objects found under S3 URL")
    assert "runs/none/build.zip" in described["FailureReason"]
    assert phases(described) == ["Starting", "Pending", "Downloading", "Failed"]


def test_a_bucket_that_is_not_there_fails_the_job(cloud: Cloud):
    cloud.train("no-bucket", InputDataConfig=[channel("build", "s3://no-such-bucket-here/build.zip")])
    assert "no-such-bucket-here" in cloud.ended("no-bucket")["FailureReason"]


def test_checkpoints_come_down_and_go_up_while_the_job_runs(cloud: Cloud, tmp_path: Path):
    cloud.put("ck/old.bin", "old")
    cloud.put("ck/deep/older.bin", "older")
    cloud.put("ck-of-another/x.bin", "not ours")
    go_on = tmp_path / "go on"
    cloud.train(
        "checkpoints",
        {"write_checkpoints": "new.bin=1|deep/newer.bin=2", "delete_checkpoints": "old.bin", "until": str(go_on)},
        CheckpointConfig={"S3Uri": f"s3://{BUCKET}/ck", "LocalPath": "/opt/ml/checkpoints"},
    )
    expected = ["ck/deep/newer.bin", "ck/deep/older.bin", "ck/new.bin"]
    wait_for(lambda: cloud.keys("ck/") == expected, "new checkpoints are in S3 while the job runs")
    assert cloud.described("checkpoints")["TrainingJobStatus"] == "InProgress"
    go_on.touch()
    cloud.ended("checkpoints")
    assert cloud.facts("checkpoints")["checkpoints"] == ["deep/older.bin", "old.bin"]
    assert cloud.keys("ck/") == expected
    assert cloud.get("ck/deep/newer.bin") == b"2"


def test_a_stopped_job_may_save_its_model(cloud: Cloud):
    cloud.train("stop-save", {"on_term": "save", "until": "/never", "print": "begun"})
    wait_for(lambda: "begun" in cloud.log_lines(GROUP, "stop-save/"), "the job has begun")
    cloud.sagemaker.stop_training_job(TrainingJobName="stop-save")
    described = cloud.ended("stop-save")
    assert (described["TrainingJobStatus"], described["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert phases(described) == ["Starting", "Pending", "Downloading", "Training", "Stopping", "Stopped"]
    assert "FailureReason" not in described
    assert cloud.artifact("stop-save")["stopped.txt"] == b"stopped in order"
    assert "got SIGTERM" in cloud.log_lines(GROUP, "stop-save/")
    with pytest.raises(ClientError, match="rejected because the training job is in status Stopped"):
        cloud.sagemaker.stop_training_job(TrainingJobName="stop-save")


def test_a_job_that_does_not_want_to_stop_is_killed_with_all_it_started(cloud: Cloud):
    marker = "86399.25"
    cloud.train("stop-kill", {"on_term": "ignore", "until": "/never", "daemon": marker})
    wait_for(lambda: processes_with(marker), "the daemon runs")
    cloud.sagemaker.stop_training_job(TrainingJobName="stop-kill")
    assert cloud.described("stop-kill")["TrainingJobStatus"] == "Stopping"
    assert cloud.ended("stop-kill")["TrainingJobStatus"] == "Stopped"
    assert processes_with(marker) == []
    assert_no_trace(cloud, "stop-kill")


def test_what_a_finished_job_left_running_is_ended_with_it(cloud: Cloud):
    marker = "86399.75"
    cloud.train("daemon", {"daemon": marker})
    assert cloud.ended("daemon")["TrainingJobStatus"] == "Completed"
    assert processes_with(marker) == []


def test_a_job_beyond_its_time_is_stopped(cloud: Cloud):
    words = {"on_term": "save", "until": "/never", "print": "begun"}
    cloud.train("too-long", words, StoppingCondition={"MaxRuntimeInSeconds": 3600})
    wait_for(lambda: "begun" in cloud.log_lines(GROUP, "too-long/"), "it can be stopped in order")
    cloud.admin("POST", "clock", {"advance_seconds": 3600})
    described = cloud.ended("too-long")
    assert (described["TrainingJobStatus"], described["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert cloud.artifact("too-long")["stopped.txt"] == b"stopped in order"


def test_lines_and_metrics_reach_the_emulator(cloud: Cloud):
    lines = [
        json.dumps({"env_steps": steps, "mean_return": value}) for steps, value in ((1, None), (2, 0.5), (3, 0.75))
    ]
    algorithm = {
        "TrainingImage": IMAGE,
        "TrainingInputMode": "File",
        "MetricDefinitions": [
            {"Name": name, "Regex": rf'"{name}": (-?[0-9.]+(?:[eE][-+]?[0-9]+)?)'}
            for name in ("env_steps", "mean_return")
        ],
    }
    cloud.train("metrics", {"print": "|".join(["hello", "", *lines])}, AlgorithmSpecification=algorithm)
    described = cloud.ended("metrics")
    final = {each["MetricName"]: each["Value"] for each in described["FinalMetricDataList"]}
    assert final == {"env_steps": 3.0, "mean_return": 0.75}
    assert cloud.log_lines(GROUP, "metrics/algo-1-") == ["hello", *lines]

    def statistics(metric: str) -> dict | None:
        answer = cloud.cloudwatch.get_metric_statistics(
            Namespace="/aws/sagemaker/TrainingJobs",
            MetricName=metric,
            Dimensions=[{"Name": "TrainingJobName", "Value": "metrics"}],
            StartTime=datetime.now(UTC) - timedelta(hours=1),
            EndTime=datetime.now(UTC) + timedelta(hours=1),
            Period=86_400,
            Statistics=["SampleCount", "Maximum", "Minimum"],
        )
        points = answer["Datapoints"]
        return {name: points[0][name] for name in ("SampleCount", "Maximum", "Minimum")} if points else None

    expected = {"SampleCount": 2.0, "Maximum": 0.75, "Minimum": 0.5}
    wait_for(lambda: statistics("mean_return") == expected, "the metric is in CloudWatch")


@pytest.mark.skipif(not isolation_is_possible(), reason="this machine allows no network namespaces")
def test_an_isolated_job_reaches_nothing_but_itself(cloud: Cloud):
    address = urlsplit(cloud.emulator_url).netloc
    cloud.train("not-isolated", {"connect": address})
    cloud.train("isolated", {"connect": address}, EnableNetworkIsolation=True)
    for name, reaches in (("not-isolated", True), ("isolated", False)):
        assert cloud.ended(name)["TrainingJobStatus"] == "Completed"
        assert cloud.facts(name)["reaches"] is reaches
        assert cloud.facts(name)["own_loopback_works"] is True


def test_where_isolation_is_impossible_the_job_runs_and_says_so(
    emulator_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr("local.sagemaker.process_containers.isolation_is_possible", lambda: False)
    with service(tmp_path, emulator_url) as own:
        own.train("open", {"connect": urlsplit(emulator_url).netloc}, EnableNetworkIsolation=True)
        assert own.ended("open")["TrainingJobStatus"] == "Completed"
        assert own.facts("open")["reaches"] is True
        assert any("EnableNetworkIsolation has NO effect" in line for line in own.log_lines(GROUP, "open/"))
    assert "EnableNetworkIsolation has NO effect" in caplog.text


def test_a_name_is_used_once(cloud: Cloud):
    cloud.train("twice")
    with pytest.raises(cloud.sagemaker.exceptions.ResourceInUse, match="Training job names must be unique"):
        cloud.train("twice")
    cloud.ended("twice")
    with pytest.raises(cloud.sagemaker.exceptions.ResourceInUse):
        cloud.train("twice")


def test_a_job_that_has_ended_can_be_deleted_and_its_name_is_free_again(cloud: Cloud, tmp_path: Path):
    go_on = tmp_path / "go on"
    cloud.train("deleted", {"until": str(go_on)})
    with pytest.raises(ClientError, match="in status InProgress"):
        cloud.sagemaker.delete_training_job(TrainingJobName="deleted")
    go_on.touch()
    cloud.ended("deleted")
    for _ in range(3):
        cloud.sagemaker.delete_training_job(TrainingJobName="deleted")
        with pytest.raises(cloud.sagemaker.exceptions.ResourceNotFound):
            cloud.described("deleted")
        cloud.train("deleted")
        assert cloud.ended("deleted")["TrainingJobStatus"] == "Completed"


def test_a_job_that_is_not_there(cloud: Cloud):
    for call in (cloud.sagemaker.describe_training_job, cloud.sagemaker.stop_training_job):
        with pytest.raises(cloud.sagemaker.exceptions.ResourceNotFound, match=r"Requested resource not found\."):
            call(TrainingJobName="nobody")


def test_a_quota_that_is_used_up(emulator_url: str, tmp_path: Path):
    quotas = {"ml.m5.large for training job usage": 1, "ml.g5.xlarge for training job usage": 0}
    with service(tmp_path, emulator_url, quotas=quotas) as own:
        go_on = tmp_path / "go on"
        own.train("first", {"until": str(go_on)})
        with pytest.raises(own.sagemaker.exceptions.ResourceLimitExceeded, match="is 1 Instances, with current util"):
            own.train("second")
        resources = {"InstanceType": "ml.g5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 1}
        with pytest.raises(own.sagemaker.exceptions.ResourceLimitExceeded, match=r"'ml\.g5\.xlarge for training job"):
            own.train("third", ResourceConfig=resources)
        go_on.touch()
        own.ended("first")
        own.train("second")
        own.ended("second")


def test_jobs_are_listed_newest_first_in_pages(emulator_url: str, tmp_path: Path):
    with service(tmp_path, emulator_url) as own:
        for number in range(3):
            own.train(f"job-{number}", {"exit": str(number)})
        for number in range(3):
            own.ended(f"job-{number}")
        first = own.sagemaker.list_training_jobs(MaxResults=2)
        second = own.sagemaker.list_training_jobs(MaxResults=2, NextToken=first["NextToken"])
        names = [each["TrainingJobName"] for each in first["TrainingJobSummaries"] + second["TrainingJobSummaries"]]
        assert names == ["job-2", "job-1", "job-0"]
        assert "NextToken" not in second
        failed = own.sagemaker.list_training_jobs(StatusEquals="Failed", SortBy="Name", SortOrder="Ascending")
        assert [each["TrainingJobName"] for each in failed["TrainingJobSummaries"]] == ["job-1", "job-2"]


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"TrainingJobName": "a_b"}, "ValidationException", "regular expression"),
        ({"AlgorithmSpecification": None}, "ValidationException", "AlgorithmSpecification"),
        ({"StoppingCondition": {"MaxRuntimeInSeconds": 28 * 86_400 + 1}}, "ValidationException", "28 days"),
        ({"HyperParameters": {f"h{n}": "1" for n in range(101)}}, "ValidationException", "100"),
        ({"HyperParameters": {"h": "x" * 2501}}, "ValidationException", "2500"),
        (
            {"AlgorithmSpecification": {"TrainingImage": "nobody/knows:1", "TrainingInputMode": "File"}},
            "ValidationException",
            "nobody/knows",
        ),
        (
            {"ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 0, "VolumeSizeInGB": 1}},
            "ValidationException",
            "InstanceCount",
        ),
        ({"EnableManagedSpotTraining": True}, "ValidationException", "MaxWaitTimeInSeconds is required"),
        (
            {
                "EnableManagedSpotTraining": True,
                "StoppingCondition": {"MaxRuntimeInSeconds": 100, "MaxWaitTimeInSeconds": 99},
            },
            "ValidationException",
            "greater than or equal to MaxRuntimeInSeconds",
        ),
        (
            {"StoppingCondition": {"MaxRuntimeInSeconds": 100, "MaxWaitTimeInSeconds": 200}},
            "ValidationException",
            "only allowed for Managed Spot Training",
        ),
        ({"VpcConfig": {"SecurityGroupIds": ["s"], "Subnets": ["n"]}}, "NotImplementedLocally", "VpcConfig"),
        ({"Tags": [{"Key": "aws:x", "Value": "y"}]}, "ValidationException", "aws:"),
    ],
)
def test_what_cannot_be_done_is_refused_and_leaves_no_job(cloud: Cloud, changes: dict, code: str, message: str):
    request = training_request("refused", **changes)
    with pytest.raises(ClientError, match=message) as caught:
        cloud.sagemaker.create_training_job(**request)
    assert caught.value.response["Error"]["Code"] == code
    with pytest.raises(cloud.sagemaker.exceptions.ResourceNotFound):
        cloud.described("refused")
