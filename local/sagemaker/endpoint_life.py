"""The life of one endpoint: Creating → InService, Updating → InService or RollingBack → InService, Deleting.

An update starts the new container beside the old one, which serves until the new one answers /ping; then requests go
to the new one, the old one finishes those it has and is ended. If the new one fails, the old one has never stopped.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping

from local.sagemaker.deployment import Deployment
from local.sagemaker.errors import DeploymentFailedError, ServiceUnavailableError
from local.sagemaker.logs import ENDPOINTS_GROUP
from local.sagemaker.platform import Platform
from local.sagemaker.resources import Endpoint, Served
from local.sagemaker.upstream import Answer

SERVING = frozenset({"InService", "Updating", "SystemUpdating", "RollingBack"})
"""The values of EndpointStatus in which an endpoint can be invoked."""

_FAILURE_REASON_CHARACTERS = 1024

_log = logging.getLogger(__name__)


class EndpointLife:
    """One endpoint at work. Its operations run on a thread of their own, one after another."""

    def __init__(self, endpoint: Endpoint, platform: Platform) -> None:
        self.endpoint = endpoint
        self._platform = platform
        self._current: Deployment | None = None
        self._working: threading.Thread | None = None
        self._upcoming: Deployment | None = None
        self._closing = False

    @property
    def current(self) -> Deployment | None:
        """What serves now."""
        return self._current

    def create(self, served: Served) -> None:
        """Bring the first config into service, in the background."""
        self._work(lambda: self._create(served))

    def update(self, served: Served) -> None:
        """Replace the config, in the background."""
        self._work(lambda: self._update(served))

    def delete(self, on_gone: Callable[[], None]) -> None:
        """Take the endpoint down, in the background."""
        self._work(lambda: self._delete(on_gone))

    def close(self) -> None:
        """The service ends: stop everything, keep what is remembered."""
        self._closing = True
        grace_seconds = self._platform.config.timing.shutdown_grace_seconds
        for deployment in (self._upcoming, self._current):
            if deployment is not None:
                deployment.stop(grace_seconds)
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
            deployment = self._current
            if deployment is None or self._closing:
                raise ServiceUnavailableError(f"Endpoint {self.endpoint.name} is starting or ending.")
            if deployment.admit():  # if not, it has been replaced since we looked
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
                with self._platform.store.change():
                    self.endpoint.failure_reason = "InternalServerError: see the log of the local service."
                    self.endpoint.move("Failed", now=self._platform.clock.now())

        self._working = threading.Thread(target=run, name=f"endpoint-{self.endpoint.name}", daemon=True)
        self._working.start()

    def _create(self, served: Served) -> None:
        deployment = self._deployment(served)
        try:
            deployment.start()
        except DeploymentFailedError as error:
            self._fail(str(error))
            return
        finally:
            self._upcoming = None
        self._serve(deployment)

    def _update(self, served: Served) -> None:
        deployment = self._deployment(served)
        try:
            deployment.start()
        except DeploymentFailedError as error:
            self._roll_back(str(error))
            return
        finally:
            self._upcoming = None
        old = self._current
        self._serve(deployment)
        if old is not None:
            old.drain()
            old.stop()

    def _roll_back(self, reason: str) -> None:
        if self._closing:
            return
        with self._platform.store.change():
            self.endpoint.failure_reason = reason[:_FAILURE_REASON_CHARACTERS]
            self.endpoint.pending = None
            self.endpoint.move("RollingBack", now=self._platform.clock.now())
        with self._platform.store.change():
            self.endpoint.move("InService", now=self._platform.clock.now())

    def _fail(self, reason: str) -> None:
        if self._closing:
            return
        with self._platform.store.change():
            self.endpoint.failure_reason = reason[:_FAILURE_REASON_CHARACTERS]
            self.endpoint.pending = None
            self.endpoint.move("Failed", now=self._platform.clock.now())

    def _serve(self, deployment: Deployment) -> None:
        self._current = deployment
        with self._platform.store.change():
            self.endpoint.served = deployment.served
            self.endpoint.config_name = deployment.served.config_name
            self.endpoint.pending = None
            self.endpoint.failure_reason = ""
            self.endpoint.move("InService", now=self._platform.clock.now())

    def _delete(self, on_gone: Callable[[], None]) -> None:
        deployment, self._current = self._current, None
        if deployment is not None:
            deployment.drain()
            deployment.stop()
        on_gone()

    def _deployment(self, served: Served) -> Deployment:
        stream = f"{served.variant['VariantName']}/i-{int(time.time() * 1000):017x}"
        write_log = self._platform.logs.writer(f"{ENDPOINTS_GROUP}/{self.endpoint.name}", stream)
        self._upcoming = Deployment(self.endpoint.name, served, self._platform, write_log)
        return self._upcoming
