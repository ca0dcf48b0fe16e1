"""The serving artifact, unpacked: manifest.json, policy_spec.json and the models."""

import hashlib
import json
from collections.abc import Mapping
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
        InvalidArtifactError: a file is missing or altered, or a model is none.
    """
    check_manifest(folder)
    spec = _read_json(folder / "policy_spec.json")
    if spec.get("format_version") != FORMAT_VERSION:
        raise InvalidArtifactError(f"policy_spec.json has format {spec.get('format_version')}, not {FORMAT_VERSION}")
    version = spec["version"]
    behaviors = {behavior["name"]: _load_behavior(folder, version, behavior, threads) for behavior in spec["behaviors"]}
    return ServedPolicy(spec["policy"], version, behaviors)


def _load_behavior(folder: Path, version: str, behavior: Mapping[str, Any], threads: int) -> ServedBehavior:
    sensors = [sensor["name"] for sensor in behavior["observations"]]
    policy = OnnxPolicy.load(folder / behavior["onnx"], threads, sensors)
    return ServedBehavior(behavior["name"], policy, StateTokens.of(version, behavior["name"], policy.memory_size))


def check_manifest(folder: Path) -> None:
    """Every file that the manifest names is there as it was written.

    Raises:
        InvalidArtifactError: names the first one that is not.
    """
    manifest = _read_json(folder / "manifest.json")
    for name, expected in manifest["files"].items():
        path = folder / name
        if not path.is_file():
            raise InvalidArtifactError(f"{name} is missing")
        if hashlib.sha256(path.read_bytes()).hexdigest() != expected["sha256"]:
            raise InvalidArtifactError(f"{name} is not the file that was written")


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InvalidArtifactError(f"{path.name} cannot be read: {error}") from error
