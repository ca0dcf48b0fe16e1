"""The reader of policies: whatever the model file is, no crash of native code, no hang, no memory without measure.

Models are read, and asked once, in a process of their own that may take 512 MB more than it has.
"""

import contextlib
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rl_src.serving.artifact import check_manifest, load_artifact
from rl_src.serving.errors import InvalidArtifactError
from tests.fakes.onnx_policies import write_linear_policy

ROOT = Path(__file__).parents[2]
ROUNDS = 400
FUZZ = """
import json, random, resource, sys
from pathlib import Path
import onnx
from rl_src.serving.errors import InvalidArtifactError
from rl_src.serving.onnx_policy import OnnxPolicy

whole, folder, seed = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2]), int(sys.argv[3])
OnnxPolicy.load(Path(sys.argv[1]))
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
limit = int(status["VmSize"].split()[0]) * 1024 + 512 * 1024**2
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
draw, counts = random.Random(seed), {"loaded": 0, "refused": 0}
NAMES = ["obs_0", "obs_1", "action_masks", "recurrent_in", "recurrent_out", "memory_size", "version_number", "x", ""]
NAMES += ["discrete_actions", "deterministic_discrete_actions", "continuous_actions"]

def changed(model):
    # Well-formed, and something else.
    graph = model.graph
    for _ in range(draw.randint(1, 3)):
        parts = getattr(graph, draw.choice(["input", "output", "initializer", "node"]))
        if not parts:
            continue
        part, kind = draw.choice(parts), draw.randrange(5)
        if kind == 0:
            parts.remove(part)
        elif kind == 1:
            part.name = draw.choice(NAMES)
        elif kind == 2 and hasattr(part, "dims"):
            part.dims[:] = [draw.choice([-1, 0, 1, 3, 10**6, 2**40]) for _ in range(draw.randrange(4))]
        elif kind == 3 and hasattr(part, "type"):
            part.type.tensor_type.elem_type = draw.randrange(20)
        elif kind == 4 and hasattr(part, "type"):
            axes = part.type.tensor_type.shape.dim
            for axis in axes:
                axis.dim_value = draw.choice([-1, 0, 1, 3, 10**6, 2**40])
            if draw.random() < 0.3:
                del axes[:]
    return model.SerializeToString()

def damaged(data):
    for _ in range(draw.randint(1, 2)):
        at = draw.randrange(len(data))
        match draw.randrange(4):
            case 0: data[at] = draw.randrange(256)
            case 1: del data[at : at + draw.randint(1, 40)]
            case 2: data[at:at] = bytes(draw.randrange(256) for _ in range(draw.randint(1, 12)))
            case 3: data[at:at] = data[at : at + draw.randint(1, 200)]
    return bytes(data)

for number in range(int(sys.argv[4])):
    path = folder / "damaged.onnx"
    path.write_bytes(changed(onnx.load_from_string(whole)) if number % 2 else damaged(bytearray(whole)))
    try:
        policy = OnnxPolicy.load(path)
    except InvalidArtifactError as error:
        assert str(error)
        counts["refused"] += 1
        continue
    counts["loaded"] += 1
    try:
        policy.answers()  # the server asks before it says that it is ready, and takes any exception for a no
    except MemoryError:
        raise
    except Exception as error:
        assert str(error)
print(json.dumps(counts))
"""


@pytest.mark.parametrize("seed", range(3))
def test_damaged_models_and_models_of_other_forms_do_no_harm(tmp_path: Path, seed: int) -> None:
    model = tmp_path / "whole.onnx"
    write_linear_policy(model, np.ones((3, 4), np.float32))
    done = subprocess.run(
        [sys.executable, "-c", FUZZ, str(model), str(tmp_path), str(seed), str(ROUNDS)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
    counts = json.loads(done.stdout.splitlines()[-1])  # ONNX Runtime prints, too
    assert sum(counts.values()) == ROUNDS
    assert counts["refused"] > ROUNDS // 4


FILES = {"policy_spec.json": b"{}", "policies/Basic.onnx": b"model"}


def artifact(folder: Path) -> Path:
    hashes = {name: {"sha256": hashlib.sha256(content).hexdigest()} for name, content in FILES.items()}
    for name, content in {**FILES, "manifest.json": json.dumps({"files": hashes}).encode()}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(FILES)), st.binary(max_size=20))
def test_a_file_that_was_altered_is_not_believed(
    tmp_path_factory: pytest.TempPathFactory, name: str, content: bytes
) -> None:
    folder = artifact(tmp_path_factory.mktemp("artifact"))
    check_manifest(folder)
    (folder / name).write_bytes(content)
    if content == FILES[name]:
        check_manifest(folder)
    else:
        with pytest.raises(InvalidArtifactError, match=name):
            check_manifest(folder)


def with_spec(folder: Path, spec: bytes) -> Path:
    """An artifact whose model is one, and whose hashes are right."""
    write_linear_policy(folder / "policies" / "Game.onnx", np.ones((3, 4), np.float32))
    (folder / "policy_spec.json").write_bytes(spec)
    names = ("policy_spec.json", "policies/Game.onnx")
    hashes = {name: {"sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest()} for name in names}
    (folder / "manifest.json").write_text(json.dumps({"files": hashes}))
    return folder


GAME = {"name": "Game", "onnx": "policies/Game.onnx", "observations": [{"name": "sensor"}]}
SPEC = {"format_version": 1, "policy": "game", "version": "game-1", "behaviors": [GAME]}


def test_the_specs_of_these_tests_are_taken_as_they_are(tmp_path: Path) -> None:
    assert list(load_artifact(with_spec(tmp_path, json.dumps(SPEC).encode())).behaviors) == ["Game"]


@pytest.mark.parametrize(
    "model", ["policies/Other.onnx", "/etc/hostname", "../Game.onnx", "./policies/Game.onnx", None, 3, ["x"]]
)
def test_a_model_that_is_in_no_manifest_is_not_read(tmp_path: Path, model: object) -> None:
    spec = {**SPEC, "behaviors": [{**GAME, "onnx": model}]}
    with pytest.raises(InvalidArtifactError, match=r"policy_spec\.json"):
        load_artifact(with_spec(tmp_path, json.dumps(spec).encode()))


def test_a_file_outside_the_artifact_is_none_of_it(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"x")
    folder = artifact(tmp_path / "artifact")
    hashes = {"../outside": {"sha256": hashlib.sha256(b"x").hexdigest()}}
    (folder / "manifest.json").write_text(json.dumps({"files": hashes}))
    with pytest.raises(InvalidArtifactError, match="outside"):
        check_manifest(folder)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*SPEC, *GAME, "sha256"]), inner),
    max_leaves=8,
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["manifest.json", "policy_spec.json"]), st.sampled_from([*SPEC, *GAME]), JSON_VALUES)
def test_documents_of_another_form_are_refused_by_name(
    tmp_path_factory: pytest.TempPathFactory, name: str, where: str, value: object
) -> None:
    changed = {**SPEC, where: value} if where in SPEC else {**SPEC, "behaviors": [{**GAME, where: value}]}
    document = changed if name == "policy_spec.json" else {"files": value}
    folder = with_spec(tmp_path_factory.mktemp("artifact"), json.dumps(changed).encode())
    if name == "manifest.json":
        (folder / name).write_text(json.dumps(document))
    with contextlib.suppress(InvalidArtifactError):
        load_artifact(folder)


def test_documents_nested_without_end_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidArtifactError, match="cannot be read"):
        load_artifact(with_spec(tmp_path, b"[" * 200_000))
