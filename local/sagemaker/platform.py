"""What jobs and endpoints share: the config, what is remembered, and the ways to the emulator."""

import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path

from local.sagemaker.alarms import Alarms
from local.sagemaker.clock import Clock
from local.sagemaker.config import Image, ServiceConfig, repository_name
from local.sagemaker.containers import Containers
from local.sagemaker.demand import Demand
from local.sagemaker.engine_containers import EngineContainers
from local.sagemaker.errors import ValidationError
from local.sagemaker.faults import Faults
from local.sagemaker.job_folder import ContainerFolder, remove_container_folder
from local.sagemaker.logs import Logs
from local.sagemaker.metrics import Metrics
from local.sagemaker.objects import Objects, emulator_client
from local.sagemaker.process_containers import ProcessContainers
from local.sagemaker.store import Store

NOT_ISOLATED = (
    "EnableNetworkIsolation has NO effect on this machine: it allows no network namespaces. Containers can reach the "
    "network. (Run as root, or allow unprivileged user namespaces.)"
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Platform:
    """The parts that every operation works with."""

    config: ServiceConfig
    store: Store
    objects: Objects
    logs: Logs
    metrics: Metrics
    alarms: Alarms
    demand: Demand
    faults: Faults
    containers: Containers

    @property
    def clock(self) -> Clock:
        """The double's time."""
        return self.store.clock

    @classmethod
    def build(cls, config: ServiceConfig) -> "Platform":
        """Open the store, clear what a killed service left, and connect to the emulator."""
        config.state_dir.mkdir(parents=True, exist_ok=True)
        scratch = config.state_dir / "scratch"
        containers = ProcessContainers() if config.engine is None else EngineContainers(config.engine, scratch)
        _clear_scratch(containers, scratch)
        if not containers.isolates:
            _log.warning(NOT_ISOLATED)
        interval_seconds = config.timing.publish_seconds
        store = Store(config.state_dir / "state.json", config.time_scale)
        return cls(
            config=config,
            store=store,
            objects=Objects(config),
            logs=Logs(emulator_client(config, "logs"), interval_seconds=interval_seconds),
            metrics=Metrics(emulator_client(config, "cloudwatch"), interval_seconds=interval_seconds),
            alarms=Alarms(emulator_client(config, "cloudwatch")),
            demand=Demand(store.clock),
            faults=Faults(config.fault_plan or config.state_dir / "faults.json"),
            containers=containers,
        )

    def image(self, uri: str) -> Image:
        """What an image stands for.

        Raises:
            ValidationError: the config has none of this name.
        """
        name = repository_name(uri)
        image = self.config.images.get(name)
        if image is None:
            known = ", ".join(sorted(self.config.images)) or "none"
            raise ValidationError(
                f"The local service has no image for the repository {name!r} of {uri!r}; it has: {known}"
            )
        return image

    def new_folder(self, name: str) -> ContainerFolder:
        """Folders for one container."""
        parent = self.config.state_dir / "scratch"
        parent.mkdir(exist_ok=True)
        return ContainerFolder(Path(tempfile.mkdtemp(prefix=f"{name[:30]}-", dir=parent)))

    def close(self) -> None:
        """Send what waits and let go of the emulator."""
        self.logs.close()
        self.metrics.close()


def _clear_scratch(containers: Containers, scratch: Path) -> None:
    """What a killed service left: containers first, then folders."""
    if scratch.is_dir():
        containers.clear(scratch)
        for folder in scratch.iterdir():
            remove_container_folder(folder)
