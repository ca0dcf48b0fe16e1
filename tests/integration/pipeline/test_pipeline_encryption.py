"""A KMS key by parameter: jobs and endpoints are encrypted by it, where SageMaker takes one."""

from typing import Any

import pytest

from tests.fakes.configured_builds import configured
from tests.fakes.pipeline_stack import PipelineStack

KEY = "arn:aws:kms:us-east-1:123456789012:key/0f1e2d3c"


def run(stack: PipelineStack, build: bytes) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The requests for the training job, the evaluation job and the endpoint config of one run."""
    stack.run(stack.put("builds/basic.zip", build))
    training, evaluation = (job.request for job in stack.sagemaker.jobs.values())
    (config,) = stack.sagemaker.configs.values()
    return training, evaluation, config


def test_with_a_key_volumes_models_and_endpoints_are_encrypted_by_it(
    stack: PipelineStack, basic: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KMS_KEY_ARN", KEY)
    *jobs, config = run(stack, basic)
    for job in jobs:
        assert job["ResourceConfig"]["VolumeKmsKeyId"] == job["OutputDataConfig"]["KmsKeyId"] == KEY
    assert config["KmsKeyId"] == KEY


def test_a_machine_with_disks_of_its_own_gets_no_key_for_its_volume(
    stack: PipelineStack, basic: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KMS_KEY_ARN", KEY)
    training, evaluation, _ = run(stack, configured(basic, instances={"instance_type": "ml.g5.xlarge"}))
    assert "VolumeKmsKeyId" not in training["ResourceConfig"], "SageMaker refuses it"
    assert training["OutputDataConfig"]["KmsKeyId"] == KEY
    assert evaluation["ResourceConfig"]["VolumeKmsKeyId"] == KEY


def test_without_a_key_none_is_named(stack: PipelineStack, basic: bytes) -> None:
    *jobs, config = run(stack, basic)
    assert all("VolumeKmsKeyId" not in job["ResourceConfig"] for job in jobs)
    assert all("KmsKeyId" not in job["OutputDataConfig"] for job in jobs)
    assert "KmsKeyId" not in config
