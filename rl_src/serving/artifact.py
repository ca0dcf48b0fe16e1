"""The serving artifact, unpacked: manifest.json, policy_spec.json and the models."""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rl_src.serving.errors import InvalidArtifactError
from rl_src.serving.onnx_policy import OnnxPolicy
from rl_src.serving.state_tokens import StateTokens

FORMAT_VERSION = 1


@dataclass(frozen=True)
class ServedBehavior:
    """One behavior's policy, and the tokens of its memory."""

    name: str
    policy: OnnxPolicy
    states: StateTokens


@dataclass(frozen=True)
class ServedPolicy:
    """What an endpoint serves: policy and version, and its behaviors by name."""

    policy: str
    version: str
    behaviors: Mapping[str, ServedBehavior]

    @property
    def policies(self) -> Mapping[str, OnnxPolicy]:
        """One policy a behavior."""
        return {name: behavior.policy for name, behavior in self.behaviors.items()}


def load_artifact(folder: Path, threads: int = 1) -> ServedPolicy:
    """Check every file against the manifest, then load the models.

    Raises:
        InvalidArtifactError: a file is missing, altered, in no manifest or of another form, or a model is none.
    """
    known = check_manifest(folder)
    spec = _read_json(folder / "policy_spec.json")
    with _of_its_form("policy_spec.json"):
        if spec["format_version"] != FORMAT_VERSION:
            raise InvalidArtifactError(f"policy_spec.json has format {spec['format_version']}, not {FORMAT_VERSION}")
        version = str(spec["version"])
        loaded = [_load_behavior(folder, known, version, behavior, threads) for behavior in spec["behaviors"]]
        return ServedPolicy(str(spec["policy"]), version, {behavior.name: behavior for behavior in loaded})


def _load_behavior(
    folder: Path, known: Collection[str], version: str, behavior: Mapping[str, Any], threads: int
) -> ServedBehavior:
    name, model = str(behavior["name"]), behavior["onnx"]
    if model not in known:
        raise InvalidArtifactError(f"policy_spec.json names the model {model!r}, of which the manifest says nothing")
    sensors = [str(sensor["name"]) for sensor in behavior["observations"]]
    policy = OnnxPolicy.load(folder / model, threads, sensors)
    return ServedBehavior(name, policy, StateTokens.of(version, name, policy.memory_size))


def check_manifest(folder: Path) -> Collection[str]:
    """Every file that the manifest names is there as it was written; their names.

    Raises:
        InvalidArtifactError: names the first one that is not.
    """
    manifest = _read_json(folder / "manifest.json")
    with _of_its_form("manifest.json"):
        files = {str(name): str(expected["sha256"]) for name, expected in manifest["files"].items()}
        for name, expected_hash in files.items():
            path = folder / name
            if not path.is_file() or not path.resolve().is_relative_to(folder.resolve()):
                raise InvalidArtifactError(f"{name} is missing")
            if hashlib.sha256(path.read_bytes()).hexdigest() != expected_hash:
                raise InvalidArtifactError(f"{name} is not the file that was written")
        return files.keys()


@contextmanager
def _of_its_form(name: str) -> Iterator[None]:
    """What is read here must be of the form that `contracts/policy.py` gives it; the server knows no pydantic."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InvalidArtifactError(f"{name} is of another form: {error!r}") from error


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidArtifactError(f"{path.name} cannot be read: {error}") from error
