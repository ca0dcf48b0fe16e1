"""What the service remembers of each resource. Times are seconds since 1970, as JSON 1.1 carries them."""

from dataclasses import dataclass, field
from typing import Any

JOB_ENDED = frozenset({"Completed", "Failed", "Stopped"})
"""The values of TrainingJobStatus that are final."""


@dataclass
class TrainingJob:
    """One training job; `request` is what CreateTrainingJob was given."""

    name: str
    arn: str
    request: dict[str, Any]
    created_at: float
    modified_at: float
    status: str = "InProgress"
    secondary_status: str = "Starting"
    transitions: list[dict[str, Any]] = field(default_factory=list)
    started_at: float | None = None
    ended_at: float | None = None
    failure_reason: str = ""
    metrics: dict[str, dict[str, Any]] = field(default_factory=dict)
    trained_seconds: float = 0.0
    interruptions: int = 0

    @property
    def has_ended(self) -> bool:
        """True once nothing changes any more."""
        return self.status in JOB_ENDED

    @property
    def is_spot(self) -> bool:
        """True if its instances may be taken away."""
        return bool(self.request.get("EnableManagedSpotTraining"))

    @property
    def instance_count(self) -> int:
        """How many hosts it has."""
        return int(self.request["ResourceConfig"]["InstanceCount"])

    def move(self, secondary_status: str, message: str, status: str | None = None, *, now: float) -> None:
        """Enter a secondary status, at a time of the double's clock; a final one begins and ends at once."""
        if self.transitions:
            self.transitions[-1].setdefault("EndTime", now)
        self.secondary_status = secondary_status
        self.status = status or self.status
        self.modified_at = now
        entry = {"Status": secondary_status, "StartTime": now, "StatusMessage": message}
        if self.has_ended:
            entry["EndTime"] = now
            self.ended_at = now
        self.transitions.append(entry)


@dataclass
class Model:
    """What CreateModel was given."""

    name: str
    arn: str
    request: dict[str, Any]
    created_at: float


@dataclass
class EndpointConfig:
    """What CreateEndpointConfig was given."""

    name: str
    arn: str
    request: dict[str, Any]
    created_at: float


@dataclass
class Served:
    """A config as an endpoint took it, with its model: both may be deleted while the endpoint serves."""

    config_name: str
    variant: dict[str, Any]
    container: dict[str, Any]
    isolate_network: bool
    instance_count: int = 1
    weight: float = 1.0

    @property
    def is_serverless(self) -> bool:
        """True if the variant names memory and concurrency instead of a machine."""
        return "ServerlessConfig" in self.variant


@dataclass
class Endpoint:
    """One endpoint: what it serves, and what it is changing to."""

    name: str
    arn: str
    created_at: float
    modified_at: float
    config_name: str
    status: str = "Creating"
    failure_reason: str = ""
    served: Served | None = None
    pending: Served | None = None
    pending_since: float | None = None
    pending_phase: str = "Creating"
    deployment_config: dict[str, Any] | None = None

    def move(self, status: str, *, now: float) -> None:
        """Enter a status."""
        self.status = status
        self.modified_at = now
