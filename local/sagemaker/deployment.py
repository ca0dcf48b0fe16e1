"""One inference container of an endpoint: model data brought down, `serve` started, /ping waited for, kept alive."""

import http.client
import logging
import threading
import time
from collections.abc import Callable, Mapping

from local.ports import HOST, free_port
from local.sagemaker.containers import Asked
from local.sagemaker.errors import (
    DeploymentFailedError,
    JobFailedError,
    ModelError,
    ServiceUnavailableError,
    ThrottlingError,
)
from local.sagemaker.job_folder import ContainerFolder
from local.sagemaker.objects import unpack
from local.sagemaker.platform import NOT_ISOLATED, Platform
from local.sagemaker.processes import Command, ContainerProcess
from local.sagemaker.resources import Served
from local.sagemaker.upstream import Answer, ConnectionPool

_PING_PAUSE_SECONDS = 0.05
_MOST_BACKOFF_SECONDS = 30.0

_NO_CAPACITY = (
    "Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error. Please retry using a "
    "different ML instance type or after some time."
)

_log = logging.getLogger(__name__)


class Deployment:
    """A config on one instance. `start` returns when it answers; `stop` when nothing of it is left."""

    def __init__(
        self, endpoint_name: str, served: Served, platform: Platform, write_log: Callable[[str], None]
    ) -> None:
        self.served = served
        self._endpoint_name = endpoint_name
        self._platform = platform
        self._timing = platform.config.timing
        self._write_log = write_log
        self._folder: ContainerFolder | None = None
        self._process: ContainerProcess | None = None
        self._pool: ConnectionPool | None = None
        self._lock = threading.Condition()
        self._in_flight = 0
        self._draining = False
        self._healthy = False
        self._never_pings = False
        self._stopping = threading.Event()
        self._restarter: threading.Thread | None = None

    @property
    def is_healthy(self) -> bool:
        """True while the process runs and has answered /ping."""
        return self._healthy

    def start(self) -> None:
        """Bring the model data down, start the container, wait for /ping.

        Raises:
            DeploymentFailedError: one of these failed; nothing is left running.
        """
        try:
            self._provision()
            self._folder = self._platform.new_folder(self._endpoint_name)
            self._bring_model_data(self._folder)
            self._launch()
        except (JobFailedError, DeploymentFailedError) as error:
            self.stop(grace_seconds=0)
            raise DeploymentFailedError(str(error)) from error
        except BaseException:
            self.stop(grace_seconds=0)
            raise

    def admit(self) -> bool:
        """Count an invocation in; False if this one is being replaced. After True, `ask` must follow.

        Raises:
            ThrottlingError: a serverless endpoint beyond its MaxConcurrency.
        """
        with self._lock:
            if self._draining:
                return False
            serverless = self.served.variant.get("ServerlessConfig")
            if serverless is not None and self._in_flight >= serverless["MaxConcurrency"]:
                raise ThrottlingError("Rate exceeded: the endpoint is answering MaxConcurrency requests already.")
            self._in_flight += 1
            return True

    def ask(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """One invocation that was admitted.

        Raises:
            ServiceUnavailableError: the container is down and being started again.
            ModelError: the container did not answer in time, or broke off.
        """
        try:
            pool = self._pool
            if not self._healthy or pool is None:
                raise ServiceUnavailableError(
                    "A transient exception occurred while retrieving variant instances. Please try again later."
                )
            return pool.ask("POST", path, headers, body, self._timing.invocation_timeout_seconds)
        except TimeoutError as error:
            raise ModelError(
                "Your invocation timed out while waiting for a response from container primary. Review the latency "
                "metrics for each container in Amazon CloudWatch, resolve the issue, and try again.",
                OriginalStatusCode=0,
                OriginalMessage="",
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise ModelError(
                f"The container broke off the connection: {error!r}", OriginalStatusCode=0, OriginalMessage=""
            ) from error
        finally:
            with self._lock:
                self._in_flight -= 1
                self._lock.notify_all()

    def drain(self) -> None:
        """Admit no more, and wait for the invocations that are being answered."""
        with self._lock:
            self._draining = True
            # none takes longer than SageMaker lets it
            self._lock.wait_for(lambda: self._in_flight == 0, self._timing.invocation_timeout_seconds)

    def stop(self, grace_seconds: float | None = None) -> None:
        """SIGTERM, SIGKILL after the grace (the container's own by default)."""
        self._stopping.set()
        self._healthy = False
        if self._process is not None:
            self._process.stop(self._timing.endpoint_stop_grace_seconds if grace_seconds is None else grace_seconds)
        if self._restarter is not None:
            self._restarter.join()
        if self._pool is not None:
            self._pool.close()
        if self._folder is not None:
            self._folder.remove()

    def _provision(self) -> None:
        if self._platform.faults.event("capacity_error", self._endpoint_name):
            raise DeploymentFailedError(_NO_CAPACITY)
        self._platform.clock.wait(self._stopping, self._timing.endpoint_instance_seconds)
        self._never_pings = self._platform.faults.event("failing_ping", self._endpoint_name) is not None

    def _bring_model_data(self, folder: ContainerFolder) -> None:
        container = self.served.container
        uri = container.get("ModelDataUrl") or container.get("ModelDataSource", {}).get("S3DataSource", {}).get("S3Uri")
        if uri:
            archive = folder.scratch / "model.tar.gz"
            self._platform.objects.download_file(uri, archive)
            unpack(archive, folder.model)
            archive.unlink()

    def _launch(self) -> None:
        """Start the process and wait for /ping.

        Raises:
            DeploymentFailedError: it ended, or was not healthy in time.
        """
        if self._folder is None:
            raise RuntimeError("launched before its folder was made")
        port = free_port()
        ended = threading.Event()
        process = ContainerProcess(
            self._command(self._folder, port), on_line=self._write_log, on_exit=lambda _code: self._on_exit(ended)
        )
        self._process = process
        pool = ConnectionPool(HOST, port)
        deadline = time.monotonic() + self._startup_timeout_seconds()
        while not self._pings(pool):
            if ended.is_set() or time.monotonic() > deadline or self._stopping.is_set():
                break
            ended.wait(_PING_PAUSE_SECONDS)
        else:
            with self._lock:
                self._pool = pool
                self._healthy = not ended.is_set()
        if not self._healthy:
            pool.close()
            process.stop(0)
            raise DeploymentFailedError(
                f"The primary container for production variant {self.served.variant['VariantName']} did not pass "
                "the ping health check. Please check CloudWatch logs for this endpoint."
            )

    def _command(self, folder: ContainerFolder, port: int) -> Command:
        container = self.served.container
        if self.served.isolate_network:
            self._write_log(
                NOT_ISOLATED
                if not self._platform.containers.isolates
                else "EnableNetworkIsolation is not implemented by the local service for endpoints."
            )
        image, variables = self._platform.image(container["Image"]), container.get("Environment", {})
        return self._platform.containers.server(Asked(image, folder, ["serve"], variables), port)

    def _pings(self, pool: ConnectionPool) -> bool:
        try:
            return (
                not self._never_pings
                and pool.ask("GET", "/ping", {}, b"", self._timing.ping_timeout_seconds).status == http.client.OK
            )
        except (OSError, http.client.HTTPException):
            return False

    def _startup_timeout_seconds(self) -> float:
        if self.served.is_serverless:
            return self._timing.serverless_startup_timeout_seconds
        named = self.served.variant.get("ContainerStartupHealthCheckTimeoutInSeconds")
        return float(named) if named is not None else self._timing.startup_timeout_seconds

    def _on_exit(self, ended: threading.Event) -> None:
        """The process is gone: while starting, `_launch` sees it; later it is started again."""
        with self._lock:
            ended.set()
            was_healthy, self._healthy = self._healthy, False
        if was_healthy and not self._stopping.is_set():
            self._write_log("The container has ended by itself and is started again.")
            _log.warning("The container of endpoint %s has ended by itself", self._endpoint_name)
            self._restarter = threading.Thread(target=self._restart, name=f"restart-{self._endpoint_name}", daemon=True)
            self._restarter.start()

    def _restart(self) -> None:
        pause_seconds = self._timing.restart_backoff_seconds
        while not self._stopping.wait(pause_seconds):
            try:
                self._launch()
            except DeploymentFailedError as error:
                self._write_log(str(error))
                pause_seconds = min(2 * pause_seconds, _MOST_BACKOFF_SECONDS)
            else:
                return
