"""The real training container on two hosts of one job: a Ray cluster by the hosts' names, one policy, one artifact."""

import json
import os
import sys
from pathlib import Path

import pytest

from local.sagemaker.processes import hosts_can_be_named
from sample_builds.packer import pack
from tests.fakes.sagemaker_cloud import IMAGE, channel, service

ROOT = Path(__file__).resolve().parents[3]
WORDS = {
    "environment.num_builds": "1",
    "stop.env_steps": "400",
    "hyperparameters.train_batch_size": "200",
    "hyperparameters.minibatch_size": "100",
}


@pytest.mark.faults
@pytest.mark.skipif(not hosts_can_be_named(), reason="this machine allows no mount namespaces")
def test_two_hosts_train_one_policy(emulator_url: str, tmp_path: Path):
    python = str(Path(sys.executable).parent)
    image = {
        "path": [str(ROOT / "container"), python, "/usr/bin", "/bin"],
        "environment": {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "functions")])},
    }
    with service(tmp_path, emulator_url, images={"fake-image": image}) as own:
        build = own.put("in/build.zip", pack("Basic", tmp_path / "builds").read_bytes())
        own.train(
            "real",
            WORDS,
            AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
            ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 1},
            InputDataConfig=[channel("build", build)],
        )
        described = own.ended("real", seconds=280)
        lines = own.log_lines("/aws/sagemaker/TrainingJobs", "real/")
        assert described["TrainingJobStatus"] == "Completed", (described.get("FailureReason"), lines[-20:])
        assert any("all 2 hosts have joined" in line for line in lines)
        assert json.loads(own.artifact("real")["manifest.json"])
