"""Policies: what is in service, what it answers, and which stack serves it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class ObservationSpec:
    """One sensor's observation for one agent, float32; images are CHW."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class ActionSpec:
    """Continuous actions are float [continuous_size]; discrete ones int [number of branches], index < branch size."""

    continuous_size: int = 0
    discrete_branches: tuple[int, ...] = ()


@dataclass(frozen=True)
class Behavior:
    """What goes in and out of one behavior of a policy."""

    name: str
    observations: tuple[ObservationSpec, ...] = ()
    actions: ActionSpec = ActionSpec()
    memory_size: int = 0


@dataclass(frozen=True)
class Policy:
    """A policy in service; a version is the run that made it. `document` is the API's answer as it came."""

    policy: str
    version: str = ""
    endpoint_name: str = ""
    asleep: bool = False
    """Its idle endpoint was taken down; `wake` brings it back."""
    behaviors: tuple[Behavior, ...] = ()
    document: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True)
class Action:
    """One agent's action."""

    continuous: tuple[float, ...] = ()
    discrete: tuple[int, ...] = ()


@dataclass(frozen=True)
class Prediction:
    """`action` answers one observation, `actions` a batch; the other is empty.

    `state` is what the policy remembers, for the next request: a text, or one for each agent of a batch; None if the
    request had none.
    """

    policy: str
    version: str = ""
    behavior: str = ""
    action: Action | None = None
    actions: tuple[Action, ...] | None = None
    state: tuple[str | None, ...] | str | None = None
    document: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True)
class ServedVersion:
    """What came into service when, and by which run."""

    version: str
    run_id: str
    at: datetime
    endpoint_name: str = ""
    config_name: str = ""
    asleep_since: datetime | None = None
    document: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True)
class DeletedPolicy:
    """A policy that is out of service, and the versions that can no longer be rolled back to."""

    policy: str
    versions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Health:
    """An API that answers: its version and stage."""

    api: str
    version: str
    stage: str = ""
    status: str = "ok"
