"""Target tracking: a scaled endpoint's instances follow what it is asked, by minutes of the double's clock.

As by the alarms that Application Auto Scaling makes, three minutes in a row above the target are too much, fifteen
below nine tenths of it too little. A minute without any invocation has no data point in CloudWatch and says nothing, so
that an endpoint that nobody asks keeps its instances. (Its guide, "Target tracking scaling policies".)
"""

import logging
import math
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from local.sagemaker.demand import MINUTE_SECONDS
from local.sagemaker.endpoints_api import Endpoints
from local.sagemaker.errors import ApiError
from local.sagemaker.platform import Platform

OUT_MINUTES = 3
IN_MINUTES = 15
METRIC = "SageMakerVariantInvocationsPerInstance"

_LOW_SHARE = 0.9
_DEFAULT_COOLDOWN_SECONDS = 300

_log = logging.getLogger(__name__)


def wanted_count(asked: Sequence[int], count: int, target: float) -> int:
    """How many instances there should be.

    Args:
        asked: invocations of the last IN_MINUTES whole minutes, oldest first.
        count: how many instances there are.
        target: invocations a minute that one instance is to have.
    """
    recent = asked[-OUT_MINUTES:]
    if min(recent) > target * count:
        return math.ceil(recent[-1] / target)
    if min(asked) > 0 and max(asked) < _LOW_SHARE * target * count:
        return max(1, math.ceil(max(asked) / target))
    return count


class Autoscaler:
    """Looks at every scaling policy each minute, on a thread of its own."""

    def __init__(self, platform: Platform, endpoints: Endpoints) -> None:
        self._platform = platform
        self._endpoints = endpoints
        self._changed_at: dict[str, float] = {}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="autoscaler", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._platform.clock.wait(self._closing, MINUTE_SECONDS / 2):
            with self._platform.store.lock:
                policies = [dict(policy) for policy in self._platform.store.scaling_policies]
            for policy in policies:
                try:
                    self._follow(policy)
                except ApiError as error:  # the endpoint is changing, say: the next look will do
                    _log.info("%s is not scaled now: %s", policy["ResourceId"], error.message)

    def _follow(self, policy: Mapping[str, Any]) -> None:
        tracking = policy.get("TargetTrackingScalingPolicyConfiguration", {})
        if tracking.get("PredefinedMetricSpecification", {}).get("PredefinedMetricType") != METRIC:
            return
        resource = policy["ResourceId"]
        _, endpoint, _, variant = resource.split("/")
        with self._platform.store.lock:
            limits = self._platform.store.scalable_targets.get(resource)
            count = self._endpoints.variant(endpoint, variant).instance_count
        if limits is None:
            return
        asked = self._platform.demand.of_last_minutes(endpoint, IN_MINUTES)
        wanted = wanted_count(asked, count, float(tracking["TargetValue"]))
        wanted = min(max(wanted, limits["MinCapacity"]), limits["MaxCapacity"])
        if wanted == count or self._cools_down(resource, tracking, out=wanted > count):
            return
        change = {"VariantName": variant, "DesiredInstanceCount": wanted}
        self._endpoints.update_weights_and_capacities(
            {"EndpointName": endpoint, "DesiredWeightsAndCapacities": [change]}
        )
        self._changed_at[resource] = self._platform.clock.now()

    def _cools_down(self, resource: str, tracking: Mapping[str, Any], *, out: bool) -> bool:
        seconds = tracking.get("ScaleOutCooldown" if out else "ScaleInCooldown", _DEFAULT_COOLDOWN_SECONDS)
        return self._platform.clock.now() < self._changed_at.get(resource, -math.inf) + float(seconds)
