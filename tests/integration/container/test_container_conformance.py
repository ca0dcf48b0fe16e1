"""SageMaker's container contract, with the real entry points: as processes on a relocated /opt/ml, or in the images."""

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from local.ports import free_port
from pipeline.contracts.evaluation import EvaluationReport, ParityRecord
from pipeline.contracts.policy import ArtifactManifest, PolicySpec, TrainingSummary
from sample_builds.packer import pack
from tests.fakes import started_containers
from tests.fakes.started_containers import StartedContainer, only_as_process, process_environment

IDENTITY = {"GAMEDOJO_RUN_ID": "basic-1", "GAMEDOJO_POLICY": "basic"}


def job_folder(base: Path, hyperparameters: dict[str, str], build: Path) -> Path:
    (base / "input" / "config").mkdir(parents=True)
    (base / "input" / "config" / "hyperparameters.json").write_text(json.dumps(hyperparameters))
    channel = base / "input" / "data" / "build"
    channel.mkdir(parents=True)
    (channel / "build.zip").write_bytes(build.read_bytes())
    return base


def run(program: str, base: Path) -> subprocess.CompletedProcess[str]:
    return started_containers.run(program, base, **IDENTITY)


@pytest.fixture(scope="module")
def basic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pack("Basic", tmp_path_factory.mktemp("builds"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, basic: Path) -> Path:
    """A short training; what it learns does not matter here."""
    base = job_folder(tmp_path_factory.mktemp("training"), {"stop.env_steps": "1024", "seed": "3"}, basic)
    done = run("train", base)
    assert done.returncode == 0, done.stderr
    (base / "stdout").write_text(done.stdout)
    return base


def test_training_leaves_a_whole_artifact(trained: Path) -> None:
    model = trained / "model"
    manifest = ArtifactManifest.model_validate_json((model / "manifest.json").read_bytes())
    present = {path.relative_to(model).as_posix() for path in model.rglob("*") if path.is_file()}
    assert present == set(manifest.files) | {"manifest.json"}
    assert {"policies/Basic.onnx", "config.json", "progress.jsonl", "learning_curve.png"} <= present
    spec = PolicySpec.model_validate_json((model / "policy_spec.json").read_bytes())
    assert (spec.policy, spec.version) == ("basic", "basic-1")
    assert spec.behaviors[0].actions.discrete_branches == (3,)
    summary = TrainingSummary.model_validate_json((model / "training_summary.json").read_bytes())
    assert summary.env_steps >= 1024
    assert not (trained / "output" / "failure").exists()


def test_a_training_begins_with_the_artifact_of_another_one(trained: Path, basic: Path, tmp_path: Path) -> None:
    base = job_folder(tmp_path / "whole", {"stop.env_steps": "512"}, basic)
    pack_artifact(trained / "model", base)
    done = run("train", base)
    assert done.returncode == 0, done.stderr
    assert "begins with the policy of an earlier training" in done.stderr


def test_an_artifact_to_begin_with_that_was_altered_is_refused(trained: Path, basic: Path, tmp_path: Path) -> None:
    altered = shutil.copytree(trained / "model", tmp_path / "altered")
    (altered / "checkpoint" / "Basic" / "weights.safetensors").write_bytes(b"other weights")
    base = job_folder(tmp_path / "job", {"stop.env_steps": "512"}, basic)
    pack_artifact(altered, base)
    assert run("train", base).returncode == 1
    failure = (base / "output" / "failure").read_text()
    assert "checkpoint/Basic/weights.safetensors is not the file that was written" in failure


def pack_artifact(model: Path, base: Path) -> None:
    channel = base / "input" / "data" / "initial"
    channel.mkdir(parents=True)
    with tarfile.open(channel / "model.tar.gz", "w:gz") as archive:
        archive.add(model, arcname=".")
    told = base / "input" / "config" / "hyperparameters.json"
    recorded = hashlib.sha256((channel / "model.tar.gz").read_bytes()).hexdigest()
    told.write_text(json.dumps(json.loads(told.read_text()) | {"initial_sha256": json.dumps(recorded)}))


def test_training_tells_its_metrics_on_stdout(trained: Path) -> None:
    lines = [json.loads(line) for line in (trained / "stdout").read_text().splitlines()]
    assert [line["iteration"] for line in lines] == list(range(1, len(lines) + 1))
    assert lines[-1]["env_steps"] >= 1024
    assert all(line["env_steps_limit"] == 1024 for line in lines)


def test_checkpoints_hold_no_pickles(trained: Path) -> None:
    files = [path for part in ("checkpoints", "model") for path in (trained / part).rglob("*") if path.is_file()]
    # TensorBoard's event files have the host's name for an ending.
    suffixes = {path.suffix for path in files if not path.name.startswith("events.out.tfevents.")}
    assert suffixes <= {".json", ".jsonl", ".safetensors", ".onnx", ".png"}


def test_evaluation_plays_the_artifact(trained: Path, basic: Path, tmp_path: Path) -> None:
    base = job_folder(tmp_path, {"episodes": "5"}, basic)
    channel = base / "input" / "data" / "model"
    channel.mkdir(parents=True)
    with tarfile.open(channel / "model.tar.gz", "w:gz") as archive:
        archive.add(trained / "model", arcname=".")
    done = run("evaluate", base)
    assert done.returncode == 0, done.stderr
    report = EvaluationReport.model_validate_json((base / "model" / "evaluation_report.json").read_bytes())
    assert report.behaviors[0].deterministic.episodes == 5
    assert report.ci95_low <= report.mean_return <= report.ci95_high
    parity = ParityRecord.model_validate_json((base / "model" / "parity.json").read_bytes())
    assert len(parity.pairs[0].discrete) == len(parity.pairs[0].observations[0])
    manifest = ArtifactManifest.model_validate_json((base / "model" / "manifest.json").read_bytes())
    (replay,) = report.replays
    assert (replay.shows, replay.behavior) == ("sketch", "Basic")
    assert {replay.film, replay.trajectory} <= set(manifest.files)
    assert b"data:image/gif;base64," in (base / "model" / "evaluation_report.html").read_bytes()


def test_what_a_build_reached_for_is_among_the_warnings(trained: Path, basic: Path, tmp_path: Path) -> None:
    curious = tmp_path / "curious.zip"
    with zipfile.ZipFile(basic) as plain, zipfile.ZipFile(curious, "w") as archive:
        for entry in plain.infolist():
            content = plain.read(entry)
            if entry.filename == "Basic.x86_64":
                attempt = b"import socket\nsocket.socket(type=socket.SOCK_DGRAM).connect_ex(('192.0.2.1', 9))\n"
                content = content.replace(b"import sys\n", attempt + b"import sys\n", 1)
            archive.writestr(entry, content)
    base = job_folder(tmp_path / "job", {"episodes": "5", "replay_episodes": "0"}, curious)
    channel = base / "input" / "data" / "model"
    channel.mkdir(parents=True)
    with tarfile.open(channel / "model.tar.gz", "w:gz") as archive:
        archive.add(trained / "model", arcname=".")
    done = run("evaluate", base)
    assert done.returncode == 0, done.stderr
    report = EvaluationReport.model_validate_json((base / "model" / "evaluation_report.json").read_bytes())
    told = {warning.code: warning.cause for warning in report.warnings}
    assert told["BuildUsesNetwork"] == "The build reached for the network: 192.0.2.1:9."
    assert report.replays == ()
    assert not list((base / "model").glob("*.gif"))


@pytest.mark.parametrize(
    ("hyperparameters", "words"),
    [
        ({"hyperparameters.gama": "0.9"}, ["[InvalidHyperparameters]", "gama", "did you mean 'gamma'?", "Remedy:"]),
        ({"hyperparameters.lr": "-1"}, ["[InvalidHyperparameters]", "hyperparameters.lr"]),
    ],
)
def test_a_wrong_hyperparameter_is_named_in_the_failure_file(
    tmp_path: Path, basic: Path, hyperparameters: dict[str, str], words: list[str]
) -> None:
    base = job_folder(tmp_path, hyperparameters, basic)
    assert run("train", base).returncode == 1
    failure = (base / "output" / "failure").read_text()
    assert all(word in failure for word in words), failure
    assert len(failure) <= 1024


def test_a_zip_that_is_none_is_told(tmp_path: Path) -> None:
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"no zip at all")
    base = job_folder(tmp_path / "job", {}, broken)
    assert run("train", base).returncode == 1
    assert (base / "output" / "failure").read_text().startswith("[NotAZip]")


def test_a_build_that_crashes_is_told_with_its_last_words(tmp_path: Path) -> None:
    faulty = pack("Faulty", tmp_path)
    base = job_folder(tmp_path / "job", {"environment.arguments": '["--fault", "crash-at-start"]'}, faulty)
    assert run("train", base).returncode == 1
    failure = (base / "output" / "failure").read_text()
    assert failure.startswith("[BuildCrashed]")
    assert "Remedy:" in failure


def test_sigterm_leaves_a_checkpoint_and_training_goes_on_from_it(tmp_path: Path, basic: Path) -> None:
    endless = {"stop.env_steps": "100000000", "hyperparameters.train_batch_size": "256"}
    base = job_folder(tmp_path, endless, basic)
    with StartedContainer("train", base, **IDENTITY) as process:
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        rest, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    last = [first, *map(json.loads, rest.splitlines())][-1]
    limit = last["env_steps"] + 300
    (base / "input" / "config" / "hyperparameters.json").write_text(
        json.dumps(endless | {"stop.env_steps": str(limit)})
    )
    resumed = run("train", base)
    assert resumed.returncode == 0, resumed.stderr
    lines = [json.loads(line) for line in resumed.stdout.splitlines()]
    assert lines[0]["iteration"] == last["iteration"] + 1
    assert lines[0]["env_steps"] > last["env_steps"]
    assert lines[-1]["env_steps"] >= limit


@pytest.fixture
def endpoint(trained: Path, tmp_path: Path) -> Iterator[tuple[str, StartedContainer]]:
    (tmp_path / "model").symlink_to(trained / "model")
    port = free_port()
    with StartedContainer("serve", tmp_path, SAGEMAKER_BIND_TO_PORT=str(port)) as process:
        yield f"http://127.0.0.1:{port}", process
        process.kill()


def wait_until_in_service(url: str) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/ping", timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    pytest.fail("the endpoint did not come into service")


def test_serving_answers_and_ends_on_sigterm(endpoint: tuple[str, StartedContainer]) -> None:
    url, process = endpoint
    wait_until_in_service(url)
    observation = [[[1.0 if place == 10 else 0.0 for place in range(20)]]]
    answer = httpx.post(f"{url}/invocations", json={"behavior": "Basic", "observations": observation})
    assert answer.status_code == 200
    assert answer.json()["version"] == "basic-1"
    assert answer.json()["discrete"][0][0] in (0, 1, 2)
    refused = httpx.post(f"{url}/invocations", json={"behavior": "Basic", "observations": [[[1.0]]]})
    assert (refused.status_code, refused.headers["content-type"]) == (400, "application/problem+json")
    assert "[N, 20] is right" in refused.json()["detail"]
    assert httpx.get(f"{url}/elsewhere").status_code == 404
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


def test_the_size_limit_is_an_answer_not_a_crash(endpoint: tuple[str, StartedContainer]) -> None:
    url, _ = endpoint
    wait_until_in_service(url)
    limit = 6_291_456

    def chunks() -> Iterator[bytes]:
        for _ in range(7):
            yield b" " * (1024 * 1024)

    assert httpx.post(f"{url}/invocations", content=b" " * (limit + 1)).status_code == 413
    assert httpx.post(f"{url}/invocations", content=chunks()).status_code == 413
    assert httpx.post(f"{url}/invocations", content=b" " * limit).status_code == 400  # within the limit, but no JSON
    assert httpx.get(f"{url}/ping").status_code == 200


def test_an_artifact_that_cannot_be_served_ends_the_container(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    done = run("serve", tmp_path)
    assert done.returncode == 1
    assert "manifest.json cannot be read" in done.stderr


@only_as_process("what its Python imports is that of the machine here")
@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("container.endpoint", {"ray", "torch", "grpc", "pydantic", "boto3"}),
        ("container.evaluation_job", {"ray", "torch", "boto3"}),
        ("container.training_job", {"ray", "torch", "boto3"}),  # they are imported once the build is accepted
    ],
)
def test_an_entry_point_imports_what_it_needs_and_no_more(tmp_path: Path, module: str, forbidden: set[str]) -> None:
    code = f"import sys, {module}; print(' '.join(sorted(set(name.partition('.')[0] for name in sys.modules))))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=process_environment(tmp_path), capture_output=True, text=True, check=True
    )
    assert not forbidden & set(done.stdout.split())
