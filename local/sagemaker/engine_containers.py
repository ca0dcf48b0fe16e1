"""Containers as they are: started from their image by Docker or Podman, in the foreground, below the supervisor.

A job's hosts have a network of their own with addresses of its block, and know one another by name. Without isolation
it leads outside; with it, a single host has none at all. A server's port 8080 is published on 127.0.0.1.
"""

import contextlib
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path

from local.errors import ImageError
from local.images.engine import Engine
from local.ports import HOST
from local.sagemaker.containers import Asked
from local.sagemaker.errors import JobFailedError
from local.sagemaker.job_folder import CONTAINER_BASE_DIR, ContainerFolder
from local.sagemaker.processes import BASE_DIR_VARIABLE, Command

SERVER_PORT = 8080

_LABEL = "gamedojo.scratch"
"""Of containers and networks; its value is the folder that all of a service's containers have theirs in."""
_SHARED_MEMORY = "1g"
"""Ray keeps what its processes share in /dev/shm, which has 64 MB where nobody asks for more."""
_NETWORK_TRIES = 5


class EngineContainers:
    """See Containers."""

    isolates = True

    def __init__(self, engine: Engine, scratch: Path) -> None:
        self._engine = engine
        self._label = f"{_LABEL}={scratch}"

    def network(self, count: int, *, isolated: bool) -> "EngineNetwork":
        """See Containers."""
        return EngineNetwork(self._engine, self._label, count, isolated=isolated)

    def server(self, asked: Asked, port: int) -> Command:
        """See Containers."""
        return _command(self._engine, self._label, asked, ["--publish", f"{HOST}:{port}:{SERVER_PORT}"])

    def clear(self, scratch: Path) -> None:
        """See Containers."""
        chosen = ["--quiet", "--filter", f"label={_LABEL}={scratch}"]
        for container in self._engine.call("ps", "--all", *chosen).split():
            self._engine.call("rm", "--force", container)
        for network in self._engine.call("network", "ls", *chosen).split():
            self._engine.call("network", "rm", network)


class EngineNetwork:
    """See JobNetwork."""

    interface = "eth0"

    def __init__(self, engine: Engine, label: str, count: int, *, isolated: bool) -> None:
        self._engine, self._label, self._isolated = engine, label, isolated
        self._network = ""
        self._addresses: list[str] = []
        self.names = [f"algo-{number}" for number in range(1, count + 1)]
        self.note = ""

    def open(self, folder: ContainerFolder) -> None:
        """See JobNetwork."""
        if len(self.names) == 1:
            return
        name = _name(folder)
        options = ["--label", self._label, *(["--internal"] if self._isolated else [])]
        for tries_left in reversed(range(_NETWORK_TRIES)):
            block = f"10.{128 + secrets.randbelow(127)}.{secrets.randbelow(256)}"
            try:
                self._engine.call("network", "create", *options, "--subnet", f"{block}.0/24", name)
            except ImageError as error:  # another network may have the block
                if not tries_left:
                    raise JobFailedError(
                        f"InternalServerError: The hosts' network could not be made: {error}"
                    ) from error
            else:
                self._network = name
                self._addresses = [f"{block}.{10 + number}" for number in range(1, len(self.names) + 1)]
                return

    def command(self, number: int, asked: Asked) -> Command:
        """See JobNetwork."""
        options = ["--hostname", self.names[number - 1], "--shm-size", _SHARED_MEMORY]
        if self._network:
            options += ["--network", self._network, "--ip", self._addresses[number - 1]]
            others = zip(self.names, self._addresses, strict=True)
            options += [f"--add-host={name}:{address}" for name, address in others]
        elif self._isolated:
            options += ["--network", "none"]
        return _command(self._engine, self._label, asked, options)

    def close(self) -> None:
        """See JobNetwork."""
        if self._network:
            with contextlib.suppress(ImageError):  # `clear` removes it, should the engine not answer
                self._engine.call("network", "rm", self._network)


def _command(engine: Engine, label: str, asked: Asked, more: Iterable[str]) -> Command:
    options = [
        *("--name", _name(asked.folder), "--label", label),
        *("--volume", f"{asked.folder.base}:{CONTAINER_BASE_DIR}"),
        *(word for name, value in asked.variables.items() for word in ("--env", f"{name}={value}")),
        *more,
    ]
    return Command(
        engine.run_command(asked.image.container, asked.arguments, options=options),
        {**engine.environment, BASE_DIR_VARIABLE: str(asked.folder.base)},
        asked.folder.work,
        remove_if_orphaned=[asked.folder.scratch, asked.folder.temporary],
        afterwards=_removal(engine, asked.folder),
    )


def _removal(engine: Engine, folder: ContainerFolder) -> Sequence[str]:
    """What ends the container wherever the engine runs it, should the command that runs it have been killed."""
    return [*engine.command, "rm", "--force", _name(folder)]


def _name(folder: ContainerFolder) -> str:
    return f"gamedojo-{folder.scratch.name}"
