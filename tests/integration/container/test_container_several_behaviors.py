"""A build of three behaviors, of every kind of observation and action, one with a memory; the real entry points."""

import json
import tarfile
from pathlib import Path

import pytest

from pipeline.contracts.evaluation import EvaluationReport, ParityRecord
from pipeline.contracts.policy import PolicySpec, TrainingSummary
from rl_src.serving.artifact import load_artifact
from sample_builds.packer import pack
from tests.integration.container.test_container_conformance import job_folder, run

BEHAVIORS = {"Walker", "Guard", "Mixed"}
SETTINGS = {
    "hyperparameters.train_batch_size": "256",
    "stop.env_steps": "512",
    "behaviors": json.dumps({"Guard": {"stop": {"env_steps": 256}}, "Walker": {"network": {"memory": {"size": 8}}}}),
}


@pytest.fixture(scope="module")
def chaos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pack("Chaos", tmp_path_factory.mktemp("builds"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, chaos: Path) -> Path:
    base = job_folder(tmp_path_factory.mktemp("training"), SETTINGS, chaos)
    done = run("train", base)
    assert done.returncode == 0, done.stderr
    return base / "model"


def test_the_artifact_has_a_policy_of_each(model: Path) -> None:
    spec = PolicySpec.model_validate_json((model / "policy_spec.json").read_bytes())
    assert {behavior.name for behavior in spec.behaviors} == BEHAVIORS
    summary = TrainingSummary.model_validate_json((model / "training_summary.json").read_bytes())
    reached = {name: item.env_steps for name, item in summary.behaviors.items()}
    assert reached.keys() == BEHAVIORS
    assert 256 <= reached["Guard"] < 300
    assert all(512 <= steps < 560 for name, steps in reached.items() if name != "Guard")
    assert load_artifact(model).policies.keys() == BEHAVIORS


def test_the_spec_says_what_each_remembers(model: Path) -> None:
    """Predict takes the token of a memory only where the spec tells of one."""
    spec = PolicySpec.model_validate_json((model / "policy_spec.json").read_bytes())
    told = {behavior.name: behavior.memory_size for behavior in spec.behaviors}
    assert told == {"Walker": 16, "Guard": 0, "Mixed": 0}  # an LSTM's two states, of 8 units each
    assert told == {name: policy.memory_size for name, policy in load_artifact(model).policies.items()}


def test_the_evaluation_judges_each(model: Path, chaos: Path, tmp_path: Path) -> None:
    base = job_folder(tmp_path, {"episodes": "5"}, chaos)
    channel = base / "input" / "data" / "model"
    channel.mkdir(parents=True)
    with tarfile.open(channel / "model.tar.gz", "w:gz") as archive:
        archive.add(model, arcname=".")
    done = run("evaluate", base)
    assert done.returncode == 0, done.stderr
    report = EvaluationReport.model_validate_json((base / "model" / "evaluation_report.json").read_bytes())
    assert {item.behavior for item in report.behaviors} == BEHAVIORS
    assert all(item.deterministic.episodes >= 5 for item in report.behaviors)
    parity = ParityRecord.model_validate_json((base / "model" / "parity.json").read_bytes())
    assert {pair.behavior for pair in parity.pairs} == BEHAVIORS
