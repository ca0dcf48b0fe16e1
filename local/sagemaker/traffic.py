"""Blue/green: how much of the traffic goes to the new fleet, and for how long before it gets more."""

import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from local.sagemaker.errors import NotImplementedLocallyError, ValidationError

_DEFAULT_EXECUTION_SECONDS = 28_800.0
_MOST_STEP = 0.5


@dataclass(frozen=True)
class DeploymentPlan:
    """What a DeploymentConfig asks for.

    Attributes:
        shares: of the traffic that the new fleet gets, step by step; the last is 1.
        wait_seconds: baking after each step.
        termination_seconds: the old fleet stays so long after the last.
        alarms: names; one in ALARM rolls back.
        execution_seconds: beyond this the deployment is rolled back.
    """

    shares: tuple[float, ...] = (1.0,)
    wait_seconds: float = 0.0
    termination_seconds: float = 0.0
    alarms: tuple[str, ...] = field(default_factory=tuple)
    execution_seconds: float = _DEFAULT_EXECUTION_SECONDS

    @classmethod
    def of(cls, config: Mapping[str, Any] | None, instance_count: int) -> "DeploymentPlan":
        """Read a DeploymentConfig, for a new fleet of so many instances.

        Raises:
            ValidationError: the size of a step is missing, or above half of the fleet.
            NotImplementedLocallyError: it is a rolling update.
        """
        if config is None:
            return cls()
        if "RollingUpdatePolicy" in config:
            raise NotImplementedLocallyError("A DeploymentConfig with RollingUpdatePolicy")
        policy = config.get("BlueGreenUpdatePolicy", {})
        routing = policy.get("TrafficRoutingConfiguration", {})
        alarms = config.get("AutoRollbackConfiguration", {}).get("Alarms", [])
        return cls(
            shares=_shares(routing, instance_count),
            wait_seconds=float(routing.get("WaitIntervalInSeconds", 0)),
            termination_seconds=float(policy.get("TerminationWaitInSeconds", 0)),
            alarms=tuple(alarm["AlarmName"] for alarm in alarms if "AlarmName" in alarm),
            execution_seconds=float(policy.get("MaximumExecutionTimeoutInSeconds", _DEFAULT_EXECUTION_SECONDS)),
        )


class Split:
    """Sends a share of what comes to the new fleet, spread evenly."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._count = 0
        self._lock = threading.Lock()

    def is_for_new(self) -> bool:
        """Whether the next invocation is for the new fleet."""
        with self._lock:
            before, self._count = self._count, self._count + 1
            return math.floor((before + 1) * self._share) > math.floor(before * self._share)


def _shares(routing: Mapping[str, Any], instance_count: int) -> tuple[float, ...]:
    kind = routing.get("Type", "ALL_AT_ONCE")
    if kind == "ALL_AT_ONCE":
        return (1.0,)
    member = "CanarySize" if kind == "CANARY" else "LinearStepSize"
    if member not in routing:
        raise ValidationError(f"{member} is required for traffic routing of the type {kind}.")
    size = routing[member]
    share = size["Value"] / (100 if size["Type"] == "CAPACITY_PERCENT" else instance_count)
    if share > _MOST_STEP:
        raise ValidationError(f"{member} must be at most 50 % of the new fleet's {instance_count} instances.")
    if kind == "CANARY":
        return (share, 1.0)
    steps = math.ceil(1 / share)
    return tuple(min(1.0, share * number) for number in range(1, steps + 1))
