"""SageMaker's file system contract (docs: "How Amazon SageMaker AI Provides Training Information").

    input/config/hyperparameters.json    a map of strings
    input/config/resourceconfig.json     current_host, hosts
    input/data/<channel>/                the channel's files
    checkpoints/                         synchronised with S3
    model/                               becomes model.tar.gz, whatever the exit code
    output/failure                       its first 1,024 characters become FailureReason

`SAGEMAKER_BASE_DIR` moves the tree away from /opt/ml; the sagemaker-training toolkit uses the same variable.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from container.failures import ContainerError

FAILURE_CHARACTERS = 1024


@dataclass(frozen=True)
class OptMl:
    """The tree below /opt/ml, or wherever it was moved to."""

    root: Path

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "OptMl":
        """By `SAGEMAKER_BASE_DIR`."""
        source = os.environ if environment is None else environment
        return cls(Path(source.get("SAGEMAKER_BASE_DIR") or "/opt/ml"))

    @property
    def model(self) -> Path:
        """Becomes model.tar.gz; where the model lies when serving."""
        return self.root / "model"

    @property
    def checkpoints(self) -> Path:
        """Survives a spot interruption."""
        return self.root / "checkpoints"

    def hyperparameters(self) -> dict[str, str]:
        """What the job was told.

        Raises:
            ContainerError: the file is missing or no map of strings.
        """
        path = self.root / "input" / "config" / "hyperparameters.json"
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ContainerError("InvalidHyperparameters", f"{path} cannot be read: {error}.", _PLATFORM) from error
        if not isinstance(document, dict) or not all(isinstance(value, str) for value in document.values()):
            raise ContainerError("InvalidHyperparameters", f"{path} is no map of strings.", _PLATFORM)
        return document

    def hosts(self) -> tuple[str, tuple[str, ...]]:
        """This host and all hosts of the job; one host where the file is missing."""
        document = self._resources()
        return document.get("current_host", "algo-1"), tuple(document.get("hosts", ("algo-1",)))

    def has_channel(self, channel: str) -> bool:
        """Whether the job was given this channel."""
        return (self.root / "input" / "data" / channel).is_dir()

    def channel_file(self, channel: str, suffix: str) -> Path:
        """The one file of a channel.

        Raises:
            ContainerError: none, or several.
        """
        folder = self.root / "input" / "data" / channel
        files = sorted(path for path in folder.rglob(f"*{suffix}") if path.is_file()) if folder.is_dir() else []
        if len(files) != 1:
            raise ContainerError(
                "MissingChannel",
                f"The channel {channel!r} holds {len(files)} files *{suffix}; one is needed.",
                f"Give the job a channel {channel!r} with one object whose name ends in {suffix}.",
            )
        return files[0]

    def _resources(self) -> dict[str, Any]:
        path = self.root / "input" / "config" / "resourceconfig.json"
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}

    def write_failure(self, text: str) -> None:
        """Tell SageMaker why the job failed."""
        path = self.root / "output" / "failure"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text[:FAILURE_CHARACTERS], encoding="utf-8")


_PLATFORM = "SageMaker writes this file; a job that is started by hand needs it too."
