"""The life of one endpoint: Creating → InService, Updating → InService or RollingBack → InService, Deleting.

An update starts the new containers beside the old ones, which serve until the new ones answer /ping; then requests go
to the new ones, all at once or step by step, the old ones finish what they have and are ended. If the new ones fail,
or an alarm of the deployment rings, the old ones have never stopped.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping

from local.sagemaker.deployment import Deployment
from local.sagemaker.errors import DeploymentFailedError, ServiceUnavailableError
from local.sagemaker.fleet import Fleet
from local.sagemaker.logs import ENDPOINTS_GROUP
from local.sagemaker.platform import Platform
from local.sagemaker.resources import Endpoint, Served
from local.sagemaker.traffic import DeploymentPlan, Split
from local.sagemaker.upstream import Answer

SERVING = frozenset({"InService", "Updating", "SystemUpdating", "RollingBack", "UpdateRollbackFailed"})
"""The values of EndpointStatus in which an endpoint can be invoked."""

_FAILURE_REASON_CHARACTERS = 1024

_log = logging.getLogger(__name__)


class EndpointLife:
    """One endpoint at work. Its operations run on a thread of their own, one after another."""

    def __init__(self, endpoint: Endpoint, platform: Platform) -> None:
        self.endpoint = endpoint
        self._platform = platform
        self._clock = platform.clock
        self._current: Fleet | None = None
        self._upcoming: Fleet | None = None
        self._split = Split(0.0)
        self._working: threading.Thread | None = None
        self._closing = threading.Event()

    @property
    def current(self) -> Fleet | None:
        """What serves now."""
        return self._current

    def create(self, served: Served, note: str = "") -> None:
        """Bring a config into service where nothing serves, in the background; `note` becomes FailureReason."""
        self._work(lambda: self._create(served, note))

    def update(self, served: Served, plan: DeploymentPlan) -> None:
        """Replace the config, in the background."""
        self._work(lambda: self._update(served, plan))

    def resize(self, instance_count: int, weight: float) -> None:
        """Change the number of instances, in the background."""
        self._work(lambda: self._resize(instance_count, weight))

    def delete(self, on_gone: Callable[[], None]) -> None:
        """Take the endpoint down, in the background."""
        self._work(lambda: self._delete(on_gone))

    def close(self) -> None:
        """The service ends: stop everything, keep what is remembered."""
        self._closing.set()
        grace_seconds = self._platform.config.timing.shutdown_grace_seconds
        for fleet in (self._upcoming, self._current):
            if fleet is not None:
                fleet.stop(grace_seconds)
        if self._working is not None:
            self._working.join()
        if self._current is not None:  # it may have come into service just now
            self._current.stop(grace_seconds)

    def invoke(self, path: str, headers: Mapping[str, str], body: bytes) -> tuple[Deployment, Answer]:
        """One invocation, answered by whatever serves now.

        Raises:
            ThrottlingError: a serverless endpoint beyond its MaxConcurrency.
            ApiError: see `Deployment.ask`.
        """
        while True:
            fleet, upcoming = self._current, self._upcoming
            if fleet is None or self._closing.is_set():
                raise ServiceUnavailableError(f"Endpoint {self.endpoint.name} is starting or ending.")
            if upcoming is not None and self._split.is_for_new():
                fleet = upcoming
            deployment = fleet.admit()
            if deployment is not None:  # if not, it has been replaced since we looked
                return deployment, deployment.ask(path, headers, body)

    def _work(self, task: Callable[[], None]) -> None:
        before = self._working

        def run() -> None:
            if before is not None:
                before.join()
            try:
                task()
            except Exception:
                _log.exception("Endpoint %s failed inside the service", self.endpoint.name)
                self._move("Failed", "InternalServerError: see the log of the local service.")

        self._working = threading.Thread(target=run, name=f"endpoint-{self.endpoint.name}", daemon=True)
        self._working.start()

    def _create(self, served: Served, note: str) -> None:
        fleet = self._upcoming = self._fleet(served)
        try:
            fleet.start()
        except DeploymentFailedError as error:
            self._upcoming = None
            self._fail(str(error))
            return
        self._serve(fleet, note)

    def _update(self, served: Served, plan: DeploymentPlan) -> None:
        self._split = Split(0.0)
        fleet = self._fleet(served)
        self._upcoming = fleet
        try:
            fleet.start()
            self._shift_traffic(plan)
        except DeploymentFailedError as error:
            self._roll_back(fleet, str(error))
            return
        if self._closing.is_set():
            return
        old = self._current
        self._serve(fleet)
        if old is not None:
            old.drain()
            old.stop()

    def _shift_traffic(self, plan: DeploymentPlan) -> None:
        """Step by step to the new fleet; returns when the old one may go.

        Raises:
            DeploymentFailedError: an alarm rang, or it took too long.
        """
        deadline = self._clock.now() + plan.execution_seconds
        for share in plan.shares:
            self._phase("ActivatingTraffic")
            self._split = Split(share)
            self._phase("Baking")
            self._bake(plan, plan.wait_seconds, deadline)
        self._bake(plan, plan.termination_seconds, deadline)

    def _bake(self, plan: DeploymentPlan, seconds: float, deadline: float) -> None:
        end = self._clock.now() + seconds
        pause_seconds = self._platform.config.timing.alarm_poll_seconds
        while not self._closing.is_set():
            if ringing := self._platform.alarms.ringing(plan.alarms):
                raise DeploymentFailedError(f"The deployment was rolled back because of the alarms {ringing}.")
            left = min(end, deadline) - self._clock.now()
            if left <= 0:
                break
            self._clock.wait(self._closing, min(left, pause_seconds))
        if deadline < end:
            raise DeploymentFailedError("The deployment took longer than MaximumExecutionTimeoutInSeconds.")

    def _phase(self, phase: str) -> None:
        with self._platform.store.change():
            self.endpoint.pending_phase = phase

    def _roll_back(self, fleet: Fleet, reason: str) -> None:
        """The old fleet has all the traffic again, and has never stopped."""
        self._split, self._upcoming = Split(0.0), None
        if self._closing.is_set():
            fleet.stop(grace_seconds=0)
            return
        self._move("RollingBack", reason)
        fleet.drain()
        fleet.stop()
        self._clock.wait(self._closing, self._platform.config.timing.rolling_back_seconds)
        failed = self._platform.faults.event("failing_rollback", self.endpoint.name)
        self._move("UpdateRollbackFailed" if failed else "InService", reason)

    def _resize(self, instance_count: int, weight: float) -> None:
        fleet = self._current
        if fleet is None:
            return
        try:
            fleet.resize(instance_count)
        except DeploymentFailedError as error:
            self._move("InService", str(error))
            return
        with self._platform.store.change():
            fleet.served.instance_count, fleet.served.weight = instance_count, weight
        self._move("InService")

    def _fail(self, reason: str) -> None:
        if not self._closing.is_set():
            self._move("Failed", reason)

    def _move(self, status: str, reason: str = "") -> None:
        with self._platform.store.change():
            self.endpoint.failure_reason = reason[:_FAILURE_REASON_CHARACTERS]
            if status != "RollingBack":
                self.endpoint.pending = None
            self.endpoint.move(status, now=self._clock.now())

    def _serve(self, fleet: Fleet, note: str = "") -> None:
        self._current, self._upcoming = fleet, None
        with self._platform.store.change():
            self.endpoint.served = fleet.served
            self.endpoint.config_name = fleet.served.config_name
            self._move("InService", note)

    def _delete(self, on_gone: Callable[[], None]) -> None:
        fleet, self._current = self._current, None
        if fleet is not None:
            fleet.drain()
            fleet.stop()
        on_gone()

    def _fleet(self, served: Served) -> Fleet:
        group, variant = f"{ENDPOINTS_GROUP}/{self.endpoint.name}", served.variant["VariantName"]

        def new_instance() -> Deployment:
            stream = f"{variant}/i-{time.time_ns() // 1000:017x}"
            write_log = self._platform.logs.writer(group, stream)
            return Deployment(self.endpoint.name, served, self._platform, write_log)

        return Fleet(served, new_instance)
