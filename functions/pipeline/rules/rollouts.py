"""How an update of a real-time endpoint goes in: which share first, for how long, and what takes it back.

Serverless endpoints know no such thing: SageMaker replaces them as a whole (its guide, "Deployment guardrails",
exclusions).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.contracts.request import EndpointRequest

EXECUTION_SECONDS = 3600
"""Beyond this, SageMaker takes the update back by itself: before our own deadline for an endpoint."""

MAX_BAKE_SECONDS = 900
"""Two bakes and the wait at the end fit into EXECUTION_SECONDS, with half an hour left for instances to come."""

_MOST_TERMINATION_SECONDS = 60


@dataclass(frozen=True)
class Rollout:
    """The way from the old fleet of instances to the new one.

    Attributes:
        canary_instances: so many of the new fleet get traffic first; 0: all get all of it at once.
        bake_seconds: how long the new fleet is watched after each step, with the old one at hand.
        termination_seconds: how long the old fleet stays after that.
        alarms: names; one that rings takes the update back.
    """

    canary_instances: int
    bake_seconds: int
    termination_seconds: int
    alarms: tuple[str, ...]


def rollout(instance_count: int, bake_seconds: int, alarms: Sequence[str]) -> Rollout:
    """One instance first where there are several; of a single one there is no share (a canary is half a fleet at most).

    Args:
        instance_count: of the new fleet.
        bake_seconds: at most MAX_BAKE_SECONDS.
        alarms: those that can judge the update: one that rings already says nothing of it.
    """
    return Rollout(
        canary_instances=1 if instance_count > 1 else 0,
        bake_seconds=bake_seconds,
        termination_seconds=min(bake_seconds, _MOST_TERMINATION_SECONDS),
        alarms=tuple(alarms),
    )


def kept_count(hosting: EndpointRequest, present: int | None) -> int | None:
    """What autoscaling has made of the number of instances, where it may stay; None: the request's own number holds.

    Args:
        hosting: of the version that comes.
        present: how many instances the endpoint wants now; None: it has none, or none yet.
    """
    if present is None or hosting.max_instance_count is None:
        return None
    return present if hosting.instance_count <= present <= hosting.max_instance_count else None
