"""An artifact to begin with: the one that the earlier run recorded, or none; and nothing that we read can run code.

The real `train`, on a relocated /opt/ml, is given archives in the channel `initial`.
"""

import ast
import hashlib
import json
import os
import pickle
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from container.job import PLAYER_UID
from pipeline.rules.job_failures import JobFailure, job_failure
from sample_builds.packer import pack
from tests.fakes.artifact_archives import tar_gz, training_files, with_manifest
from tests.fakes.train_process import failure_of_train

ROOT = Path(__file__).parents[2]
SHIPPED = ("container", "rl_src", "functions")
TALKS_TO_ITSELF = {"rl_src/training/algorithms/learner_process.py"}
"""Pickles go over a socket pair between a process and the one that it started; no file is read."""

MADE = training_files("basic-1")


class Bomb:
    """Unpickled, it leaves a file."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self._marker),)


@pytest.fixture(scope="module")
def basic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pack("Basic", tmp_path_factory.mktemp("builds"))


def failure_of(base: Path, build: Path, told: Mapping[str, str], initial: bytes | None = None) -> JobFailure:
    """As the run record has it, of a job that is to fail."""
    contents = {"config/hyperparameters.json": json.dumps(dict(told)).encode(), "data/build/build.zip": b""}
    contents["data/build/build.zip"] = build.read_bytes()
    if initial is not None:
        contents["data/initial/model.tar.gz"] = initial
    for name, content in contents.items():
        path = base / "input" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    for name in ("model", "checkpoints", "output"):
        (base / name).mkdir(exist_ok=True)
    environment = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), "/usr/bin", "/bin"]),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "functions")]),
        "HOME": str(base),
        "SAGEMAKER_BASE_DIR": str(base),
    }
    failure = failure_of_train([sys.executable, str(ROOT / "container" / "train")], environment, base)
    return job_failure(f"AlgorithmError: {failure}, exit code: 1")


def recorded(archive: bytes) -> dict[str, str]:
    return {"stop.env_steps": "512", "initial_sha256": hashlib.sha256(archive).hexdigest()}


def altered(archive: bytes) -> bytes:
    """Gzip's byte for the operating system: all files of it are as they were."""
    return archive[:9] + bytes([archive[9] ^ 1]) + archive[10:]


@pytest.mark.parametrize(
    "given",
    [altered(tar_gz(MADE)), tar_gz(training_files("basic-2")), tar_gz(MADE)[:-1], tar_gz(MADE) + b"\0", b""],
    ids=["altered", "another run's", "cut", "longer", "empty"],
)
def test_another_archive_than_the_one_recorded_is_refused(tmp_path: Path, basic: Path, given: bytes) -> None:
    told = recorded(tar_gz(MADE))
    failure = failure_of(tmp_path, basic, told, given)
    assert failure.code == "UnknownOrigin"
    assert told["initial_sha256"] in failure.cause
    assert hashlib.sha256(given).hexdigest() in failure.cause
    assert "replaced" in failure.remedy


def test_an_archive_of_which_there_is_no_record_is_refused(tmp_path: Path, basic: Path) -> None:
    failure = failure_of(tmp_path, basic, {"stop.env_steps": "512"}, tar_gz(MADE))
    assert failure.code == "UnknownOrigin"
    assert "start_from" in failure.remedy


def test_a_record_that_is_no_hash_is_refused(tmp_path: Path, basic: Path) -> None:
    failure = failure_of(tmp_path, basic, {"initial_sha256": "whatever"}, tar_gz(MADE))
    assert failure.code == "InvalidHyperparameters"
    assert "initial_sha256" in failure.cause


@pytest.mark.parametrize("place", ["state.json", "Basic/weights.safetensors", "Basic/weights.pkl"])
def test_a_bomb_in_an_archive_never_goes_off_even_if_it_is_recorded(tmp_path: Path, basic: Path, place: str) -> None:
    marker = tmp_path / "went off"
    bomb = pickle.dumps(Bomb(marker))
    pickle.loads(bomb)  # it would
    marker.rmdir()
    state = {"format_version": 2, "behaviors": {"Basic": {}}}
    files = {name: content for name, content in MADE.items() if name != "manifest.json"}
    files |= {"checkpoint/state.json": json.dumps(state).encode(), f"checkpoint/{place}": bomb}
    archive = tar_gz(with_manifest("basic-1", files))
    failure = failure_of(tmp_path / "job", basic, recorded(archive), archive)
    assert failure.code == "InvalidCheckpoint"
    assert not marker.exists()


@pytest.mark.parametrize("place", ["state.json", "Basic/weights.safetensors"])
def test_a_bomb_among_the_checkpoints_that_a_job_resumes_from_never_goes_off(
    tmp_path: Path, basic: Path, place: str
) -> None:
    marker = tmp_path / "went off"
    checkpoint = tmp_path / "job" / "checkpoints" / "00000001"
    (checkpoint / "Basic").mkdir(parents=True)
    (checkpoint / "state.json").write_text(json.dumps({"format_version": 2, "behaviors": {"Basic": {}}}))
    (checkpoint / place).write_bytes(pickle.dumps(Bomb(marker)))
    failure = failure_of(tmp_path / "job", basic, {"stop.env_steps": "512"})
    assert failure.code == "InvalidCheckpoint"
    assert not marker.exists()


INTRUDER = """#!/bin/sh
for place in {places}; do
  (: > "$place/planted") 2>/dev/null
  (: >> "$place/kept") 2>/dev/null
  rm -f "$place/kept" 2>/dev/null
  mv "$place" "$place.moved" 2>/dev/null
done
echo "tried as $(id -u)"
exit 77
"""


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder that every user may pass, as /opt/ml is."""
    with tempfile.TemporaryDirectory(prefix="gd-opt-ml-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="it takes root, to give the player a user of its own")
def test_the_builds_user_cannot_write_what_a_job_resumes_from(tmp_path: Path, reachable: Path) -> None:
    """All of it lies where others may read, with SageMaker's modes; the build runs, tries, and leaves no trace."""
    places = ("checkpoints", "model", "output", "input/data", "input/data/build", "input/config", ".")
    for place in places:
        folder = reachable / place
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "kept").write_text("as it was")
    build = tmp_path / "Intruder.zip"
    with zipfile.ZipFile(build, "w") as archive:
        program = zipfile.ZipInfo("Intruder.x86_64")
        program.external_attr = 0o755 << 16
        archive.writestr("Intruder_Data/boot.config", "")
        archive.writestr(program, INTRUDER.format(places=" ".join(f"'{reachable / place}'" for place in places)))
    failure = failure_of(reachable, build, {"stop.env_steps": "512"})
    assert failure.code == "BuildCrashed"
    assert "exit code 77" in failure.cause
    assert f"tried as {PLAYER_UID}" in failure.cause
    assert {(reachable / place / "kept").read_text() for place in places} == {"as it was"}
    assert not [path for path in reachable.rglob("*") if path.name == "planted" or path.suffix == ".moved"]


def test_no_shipped_code_reads_what_can_run_code() -> None:
    found = {
        path.relative_to(ROOT).as_posix()
        for folder in SHIPPED
        for path in (ROOT / folder).rglob("*.py")
        if any(map(_may_run_code, ast.walk(ast.parse(path.read_text(encoding="utf-8")))))
    }
    assert found == TALKS_TO_ITSELF


def _may_run_code(node: ast.AST) -> bool:
    """An import of a module that unpickles, or a call that does so by itself."""
    unpicklers = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "jsonpickle"}
    if isinstance(node, ast.Import):
        return any(name.name.split(".")[0] in unpicklers for name in node.names)
    if isinstance(node, ast.ImportFrom):
        return (node.module or "").split(".")[0] in unpicklers
    if isinstance(node, ast.keyword):
        return node.arg == "allow_pickle" and not (isinstance(node.value, ast.Constant) and node.value.value is False)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        text = ast.unparse(node.func)
        return text == "torch.load" or node.func.attr in {"restore_from_path", "from_checkpoint", "unsafe_load"}
    return False
