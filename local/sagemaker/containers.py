"""How containers are started: an interface with two implementations, which nothing else of the service can tell apart.

`process_containers` starts an entry point of the checkout as a process, with a folder for its /opt/ml.
`engine_containers` has Docker or Podman start it from its real image, with that folder mounted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from local.sagemaker.config import Image
from local.sagemaker.job_folder import ContainerFolder
from local.sagemaker.processes import Command


@dataclass(frozen=True)
class Asked:
    """What a container is to be.

    `arguments`: its command, as `docker run` takes it. `variables`: of its environment, beside those of its image.
    """

    image: Image
    folder: ContainerFolder
    arguments: Sequence[str]
    variables: Mapping[str, str]


class JobNetwork(Protocol):
    """The network of one job's hosts."""

    @property
    def names(self) -> Sequence[str]:
        """Of the hosts, from the start."""

    @property
    def interface(self) -> str:
        """By which they reach one another."""

    @property
    def note(self) -> str:
        """For the log, if there is something to say."""

    def open(self, folder: ContainerFolder) -> None:
        """Make it; `folder` is of the first host.

        Raises:
            JobFailedError: it cannot be made.
        """

    def command(self, number: int, asked: Asked) -> Command:
        """What runs the container of host `number`, from 1 on, in this network."""

    def close(self) -> None:
        """Leave nothing of it."""


class Containers(Protocol):
    """One way to start containers."""

    @property
    def isolates(self) -> bool:
        """Whether EnableNetworkIsolation has an effect on this machine."""

    def network(self, count: int, *, isolated: bool) -> JobNetwork:
        """For a job of `count` hosts; `isolated` from all but one another."""

    def server(self, asked: Asked, port: int) -> Command:
        """What runs an inference container that answers at this port of 127.0.0.1."""

    def clear(self, scratch: Path) -> None:
        """End what a killed service left in its folder of container folders."""
