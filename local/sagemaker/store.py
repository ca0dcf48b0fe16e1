"""What the service remembers: in memory, and in a JSON file that is replaced as a whole after each change."""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from local.sagemaker.clock import Clock
from local.sagemaker.resources import Endpoint, EndpointConfig, Model, Served, TrainingJob

_FORMAT = 1


class Store:
    """All resources, and the clock. Read and write below `lock`; change within `change()`, which also saves."""

    def __init__(self, path: Path, time_scale: float = 1.0) -> None:
        self._path = path
        self.lock = threading.RLock()
        self.training_jobs: dict[str, TrainingJob] = {}
        self.models: dict[str, Model] = {}
        self.endpoint_configs: dict[str, EndpointConfig] = {}
        self.endpoints: dict[str, Endpoint] = {}
        self.tags: dict[str, dict[str, str]] = {}
        self.scalable_targets: dict[str, dict[str, Any]] = {}
        self.scaling_policies: list[dict[str, Any]] = []
        self.clock = Clock(time_scale, not_before=self._load())

    @contextmanager
    def change(self) -> Iterator[None]:
        """Hold the lock, and save what was changed; nothing is saved if the block raises."""
        with self.lock:
            yield
            self.save()

    def forget_scaling(self, resource_prefix: str) -> None:
        """Drop the scalable targets and policies of a resource that is gone."""
        for resource in [each for each in self.scalable_targets if each.startswith(resource_prefix)]:
            del self.scalable_targets[resource]
        self.scaling_policies = [
            each for each in self.scaling_policies if not each["ResourceId"].startswith(resource_prefix)
        ]

    def save(self) -> None:
        """Write the state file."""
        with self.lock:
            document = {
                "format": _FORMAT,
                "clock": self.clock.now(),
                "training_jobs": [asdict(job) for job in self.training_jobs.values()],
                "models": [asdict(model) for model in self.models.values()],
                "endpoint_configs": [asdict(config) for config in self.endpoint_configs.values()],
                "endpoints": [asdict(endpoint) for endpoint in self.endpoints.values()],
                "tags": self.tags,
                "scalable_targets": self.scalable_targets,
                "scaling_policies": self.scaling_policies,
            }
            fresh = self._path.with_suffix(".new")
            fresh.write_text(json.dumps(document))
            os.replace(fresh, self._path)  # noqa: PTH105

    def _load(self) -> float:
        """Returns the time that the clock had reached."""
        try:
            document = json.loads(self._path.read_text())
        except FileNotFoundError:
            return 0.0
        if document.get("format") != _FORMAT:
            raise ValueError(f"{self._path} was written by another version of this service; remove it to start anew.")
        self.training_jobs = {each["name"]: TrainingJob(**each) for each in document["training_jobs"]}
        self.models = {each["name"]: Model(**each) for each in document["models"]}
        self.endpoint_configs = {each["name"]: EndpointConfig(**each) for each in document["endpoint_configs"]}
        self.endpoints = {each["name"]: _endpoint(each) for each in document["endpoints"]}
        self.tags = document["tags"]
        self.scalable_targets = document.get("scalable_targets", {})
        self.scaling_policies = document.get("scaling_policies", [])
        return float(document.get("clock", 0.0))


def _endpoint(document: dict[str, Any]) -> Endpoint:
    for name in ("served", "pending"):
        if document[name] is not None:
            document[name] = Served(**document[name])
    return Endpoint(**document)
