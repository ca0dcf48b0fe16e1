"""Containers as processes: an entry point of the checkout, with the folder that stands for its /opt/ml.

Hosts of a job have loopback addresses (Linux answers on all of 127.0.0.0/8), in a block that no other job of this
machine is likely to have, so that the fixed ports of one job's containers do not meet another's. Their names, algo-1
and so on, are in their /etc/hosts; where the machine lets no process have an /etc/hosts of its own, the addresses are
the names.
"""

import os
import secrets
import threading
from pathlib import Path

from local.ports import HOST
from local.sagemaker.containers import Asked
from local.sagemaker.errors import JobFailedError
from local.sagemaker.job_folder import ContainerFolder
from local.sagemaker.processes import (
    BASE_DIR_VARIABLE,
    Command,
    ContainerProcess,
    hosts_can_be_named,
    isolation_is_possible,
    kill_container,
)

PORT_VARIABLE = "SAGEMAKER_BIND_TO_PORT"
"""Where the container's server listens (the SageMaker inference toolkit's variable; 8080 when it is not set)."""
HOST_VARIABLE = "GAMEDOJO_SERVE_HOST"

_HOLD_SECONDS = 30.0
_HOLD_NETWORK = ["/bin/sh", "-c", "echo $$; exec sleep infinity"]
_NOT_NAMED = (
    "The hosts are named by their addresses, because this machine lets no process have an /etc/hosts of its own. (Run "
    "as root, or allow unprivileged user namespaces.)"
)


class ProcessNetwork:
    """See JobNetwork."""

    interface = "lo"

    def __init__(self, count: int, *, isolated: bool) -> None:
        self._isolated = isolated
        self._named = count > 1 and hosts_can_be_named()
        self._addresses = _addresses(count)
        self._holder: ContainerProcess | None = None
        self._holder_pid: int | None = None
        self._hosts_file: Path | None = None
        named = self._named or count == 1
        self.names = [f"algo-{number}" for number in range(1, count + 1)] if named else self._addresses
        self.note = "" if named else _NOT_NAMED

    def open(self, folder: ContainerFolder) -> None:
        """See JobNetwork."""
        if self._isolated and len(self.names) > 1:
            self._holder_pid = self._hold(folder)
        if self._named:
            self._hosts_file = folder.scratch / "hosts"
            lines = [f"{address}\t{name}" for address, name in zip(self._addresses, self.names, strict=True)]
            self._hosts_file.write_text("\n".join([Path("/etc/hosts").read_text(), *lines, ""]))

    def command(self, number: int, asked: Asked) -> Command:
        """See JobNetwork."""
        return Command(
            asked.arguments,
            _environment(asked),
            asked.folder.work,
            isolate_network=self._isolated and self._holder_pid is None,
            join_network_of=self._holder_pid,
            hosts_file=self._hosts_file,
            remove_if_orphaned=[asked.folder.scratch, asked.folder.temporary],
        )

    def close(self) -> None:
        """See JobNetwork."""
        if self._holder is not None:
            self._holder.kill()
            self._holder.wait()

    def _hold(self, folder: ContainerFolder) -> int:
        """Start a process whose network all hosts share; returns its pid."""
        said: list[str] = []
        ready = threading.Event()

        def on_line(line: str) -> None:
            said.append(line)
            ready.set()

        command = Command(_HOLD_NETWORK, {"PATH": "/usr/bin:/bin"}, folder.work, isolate_network=True)
        self._holder = ContainerProcess(command, on_line=on_line, on_exit=lambda _code: ready.set())
        if not ready.wait(_HOLD_SECONDS) or not said or not said[0].isdigit():
            raise JobFailedError(f"InternalServerError: The hosts' network could not be made: {' '.join(said)}")
        return int(said[0])


class ProcessContainers:
    """See Containers."""

    def __init__(self) -> None:
        self.isolates = isolation_is_possible()

    def network(self, count: int, *, isolated: bool) -> ProcessNetwork:
        """See Containers."""
        return ProcessNetwork(count, isolated=isolated and self.isolates)

    def server(self, asked: Asked, port: int) -> Command:
        """See Containers."""
        return Command(
            asked.arguments,
            {**_environment(asked), PORT_VARIABLE: str(port), HOST_VARIABLE: HOST},
            asked.folder.work,
            remove_if_orphaned=[asked.folder.scratch, asked.folder.temporary],
        )

    def clear(self, scratch: Path) -> None:
        """See Containers."""
        for folder in scratch.iterdir():
            kill_container(str(folder / "ml"))


def _environment(asked: Asked) -> dict[str, str]:
    of_image = asked.folder.environment(os.pathsep.join(asked.image.path), asked.image.environment)
    return {**of_image, **asked.variables, BASE_DIR_VARIABLE: str(asked.folder.base)}


def _addresses(count: int) -> list[str]:
    """Loopback addresses of one block: the one of every program for a single host, else of a block drawn by chance."""
    if count == 1:
        return ["127.0.0.1"]
    block = f"127.{1 + secrets.randbelow(254)}.{secrets.randbelow(256)}"
    return [f"{block}.{number + 1}" for number in range(1, count + 1)]
