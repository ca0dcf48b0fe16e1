"""The JSON of /invocations, and the artifact that is served."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_src.serving import codec
from rl_src.serving.artifact import ServedPolicy, load_artifact
from rl_src.serving.errors import InvalidArtifactError, InvalidRequestError
from tests.fakes.onnx_policies import write_artifact

WEIGHTS = np.eye(3, dtype=np.float32)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> ServedPolicy:
    return load_artifact(write_artifact(tmp_path_factory.mktemp("artifact"), WEIGHTS))


def ask(served: ServedPolicy, **invocation: object) -> dict:
    body = json.dumps({"behavior": "Game", "observations": [[[0, 1, 0], [0, 0, 1]]]} | invocation).encode()
    return json.loads(codec.invoke(served.policies, served.version, codec.decode(body)))


def test_a_batch_is_answered_in_order_with_the_version(served: ServedPolicy) -> None:
    assert ask(served) == {
        "version": "game-1",
        "behavior": "Game",
        "continuous": [[], []],
        "discrete": [[1], [2]],
    }


@pytest.mark.parametrize(
    ("invocation", "message"),
    [
        ({"behavior": "Other"}, "no behavior 'Other'; known: Game"),
        ({"observations": [[["a", 1, 0]]]}, "Sensor is no array of numbers"),
        ({"observations": [[[1, 0], [1, 0, 0]]]}, "Sensor is no array of numbers"),
        ({"observations": [[[1e300, 0, 0]]]}, "Sensor holds a value that is no finite"),
        ({"observations": []}, "0 observations were given"),
        ({"observations": [[[1, 0, 0]], [[1, 0, 0]]]}, "2 observations were given"),
        ({"observations": [[[None, 0, 0]]]}, "Sensor is no array of numbers"),
        ({"action_masks": [[1, 1]]}, r"action_masks has shape \[1, 2\]"),
        ({"determinstic": True}, "determinstic"),
        ({"deterministic": "yes"}, "deterministic"),
        ({"observations": {"Sensor": [[1, 0, 0]]}}, "observations"),
    ],
)
def test_what_cannot_be_answered_is_refused_by_name(served: ServedPolicy, invocation: dict, message: str) -> None:
    with pytest.raises(InvalidRequestError, match=message):
        ask(served, **invocation)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_in_words(body: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="the body is no invocation"):
        codec.decode(b"\x00" + body)


def test_a_document_of_endless_depth_is_refused() -> None:
    with pytest.raises(InvalidRequestError):
        codec.decode(b'{"behavior":"Game","observations":' + b"[" * 100_000)


def test_an_altered_model_is_not_served(tmp_path: Path) -> None:
    folder = write_artifact(tmp_path / "a", WEIGHTS)
    path = folder / "policies" / "Game.onnx"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(InvalidArtifactError, match=r"policies/Game\.onnx is not the file"):
        load_artifact(folder)


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    folder = write_artifact(tmp_path / "a", WEIGHTS)
    (folder / "policies" / "Game.onnx").unlink()
    with pytest.raises(InvalidArtifactError, match=r"policies/Game\.onnx is missing"):
        load_artifact(folder)


def test_an_empty_folder_is_no_artifact(tmp_path: Path) -> None:
    with pytest.raises(InvalidArtifactError, match=r"manifest\.json cannot be read"):
        load_artifact(tmp_path)
