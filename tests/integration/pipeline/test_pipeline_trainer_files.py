"""Runs that an ML-Agents trainer file configures, in the zip or in the request, up to what the training job is told."""

import io
import json
import zipfile
from typing import Any

import pytest

from pipeline.contracts.job import TrainingJobConfig, from_hyperparameters
from pipeline.contracts.run import RunRecord, RunStatus
from tests.fakes.pipeline_stack import PipelineStack

TRAINER = """
behaviors:
  Basic:
    trainer_type: ppo
    hyperparameters: {batch_size: 32, buffer_size: 256, learning_rate: 1e-3}
    network_settings: {hidden_units: 20, num_layers: 1}
    max_steps: 5.0e3
    summary_freq: 2000
environment_parameters:
  goal: 7
  wall:
    curriculum:
      - {name: low, value: 1, completion_criteria: {behavior: Basic, threshold: 0.5}}
      - {name: high, value: {sampler_type: uniform, sampler_parameters: {min_value: 1, max_value: 4}}}
engine_settings: {time_scale: 10}
env_settings: {env_args: [--fast]}
"""


def with_files(build: bytes, **files: str | bytes) -> bytes:
    """The build with more files at its root; a name's last underscore stands for the point."""
    buffer = io.BytesIO(build)
    with zipfile.ZipFile(buffer, "a") as archive:
        for name, text in files.items():
            archive.writestr(".".join(name.rsplit("_", 1)), text)
    return buffer.getvalue()


def posted(stack: PipelineStack, build: bytes, **options: Any) -> dict[str, Any]:
    """What the control API leaves behind, and the event that it starts the machine with."""
    event = stack.put("uploads/1/Basic.zip", build)
    source = {"key": "uploads/1/Basic.zip", "version_id": event["detail"]["object"]["version-id"]}
    request_key = "runs/mine-0123456789ab/request.json"
    stack.put(request_key, json.dumps({"policy": "mine", "build": source, **options}).encode())
    return {"source": "gamedojo.api", "run_id": "mine-0123456789ab", "request_key": request_key}


def told(stack: PipelineStack) -> TrainingJobConfig:
    """What the training job reads out of its hyperparameters."""
    training = next(iter(stack.sagemaker.jobs.values())).request
    return from_hyperparameters(TrainingJobConfig, training["HyperParameters"])


def check_job(job: TrainingJobConfig, seed: int) -> None:
    assert (job.hyperparameters.lr, job.hyperparameters.minibatch_size, job.hyperparameters.gamma) == (1e-3, 32, 0.99)
    assert job.network.hidden_sizes == (20,)
    assert job.stop is not None
    assert job.stop.env_steps == 5000
    assert (job.environment.time_scale, job.environment.arguments) == (10.0, ("--fast",))
    assert job.environment.parameters["goal"] == 7.0
    assert job.seed == seed


def check_record(record: RunRecord, job: TrainingJobConfig) -> None:
    assert record.status is RunStatus.SUCCEEDED
    assert record.options.mlagents is None
    environment = record.options.environment.model_copy(update={"executable": record.executable})
    assert record.options.training_job().model_copy(update={"environment": environment}) == job
    assert "behaviors.Basic.summary_freq" in {note.setting for note in record.notes}


def test_a_trainer_file_in_a_dropped_zip(stack: PipelineStack, basic: bytes) -> None:
    _, record = stack.run(stack.put("builds/Basic.zip", with_files(basic, basic_yaml=TRAINER)))
    check_job(told(stack), seed=0)
    check_record(record, told(stack))
    assert record.notes[0].setting == "basic.yaml"


def test_our_own_options_in_the_zip_win_over_the_trainer_file_there(stack: PipelineStack, basic: bytes) -> None:
    build = with_files(basic, basic_yaml=TRAINER, gamedojo_yaml="seed: 3\nevaluation: {episodes: 5}")
    _, record = stack.run(stack.put("builds/Basic.zip", build))
    check_job(told(stack), seed=3)
    check_record(record, told(stack))
    assert record.options.evaluation.episodes == 5


def test_a_trainer_file_in_a_request(stack: PipelineStack, basic: bytes) -> None:
    _, record = stack.run(posted(stack, basic, mlagents=TRAINER, seed=4))
    check_job(told(stack), seed=4)
    check_record(record, told(stack))


def test_a_trainer_file_in_the_zip_of_a_request(stack: PipelineStack, basic: bytes) -> None:
    build = with_files(basic, basic_yaml=TRAINER, gamedojo_json='{"seed": 9}')
    _, record = stack.run(posted(stack, build, hyperparameters={"gamma": 0.99}))
    check_job(told(stack), seed=0)
    check_record(record, told(stack))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("behaviors: {Basic: {trainer_type: mine}}", ["other.yaml in the zip", "Basic.trainer_type", "of your own"]),
        ("behaviors: {Basic: {behavioral_cloning: {demo_path: a.demo}}}", ["'a.demo' is not in", "beside the program"]),
        ("behaviors: [", ["other.yaml in the zip is not readable YAML"]),
    ],
)
def test_a_trainer_file_that_cannot_be_taken_over_ends_the_run_before_anything_is_paid_for(
    stack: PipelineStack, basic: bytes, text: str, words: list[str]
) -> None:
    _, record = stack.run(stack.put("builds/Basic.zip", with_files(basic, other_yaml=text)))
    assert record.failure is not None
    assert (record.failure.code, record.failure.state) == ("InvalidRequest", "InspectBuild")
    for word in words:
        assert word in f"{record.failure.cause} {record.failure.remedy}"
    assert not stack.sagemaker.jobs
