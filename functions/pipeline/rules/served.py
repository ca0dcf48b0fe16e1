"""What Predict reads of what is in service, in plain classes: `current.json`, and of the policy's spec what is checked.

The documents are those of `contracts.policy`, and this stack wrote them: nothing is checked here, and a cold start does
not wait for pydantic.
"""

import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Current:
    """`contracts.policy.CurrentPolicy`."""

    policy: str
    version: str
    endpoint_name: str
    spec_key: str
    asleep: bool


@dataclass(frozen=True)
class Sensor:
    """Its observation of one agent has this shape."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Behavior:
    """What goes into one behavior; `branches`: how many choices each discrete action has."""

    name: str
    sensors: tuple[Sensor, ...]
    branches: tuple[int, ...]
    memory_size: int


@dataclass(frozen=True)
class Spec:
    """Of `contracts.policy.PolicySpec` what a request is checked by."""

    behaviors: tuple[Behavior, ...]


def read_current(document: bytes) -> Current:
    """The JSON text of a `CurrentPolicy`."""
    found = json.loads(document)
    return Current(
        policy=found["policy"],
        version=found["version"],
        endpoint_name=found["endpoint_name"],
        spec_key=found["spec_key"],
        asleep=found.get("asleep", False),
    )


def read_spec(document: bytes) -> Spec:
    """The JSON text of a `PolicySpec`."""
    return Spec(
        tuple(
            Behavior(
                name=one["name"],
                sensors=tuple(Sensor(sensor["name"], tuple(sensor["shape"])) for sensor in one["observations"]),
                branches=tuple(one["actions"].get("discrete_branches", ())),
                memory_size=one.get("memory_size", 0),
            )
            for one in json.loads(document)["behaviors"]
        )
    )
