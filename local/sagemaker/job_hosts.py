"""The hosts of one training job: to each a folder that is its /opt/ml, an address of its own, and a container.

Hosts have loopback addresses (Linux answers on all of 127.0.0.0/8), in a block that no other job of this machine is
likely to have, so that the fixed ports of one job's containers do not meet another's. Their names, algo-1 and so on,
are in their /etc/hosts; where the machine lets no process have an /etc/hosts of its own, the addresses are the names.
"""

import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.sagemaker.checkpoints import CheckpointSync
from local.sagemaker.errors import JobFailedError
from local.sagemaker.job_folder import ContainerFolder, write_job_config
from local.sagemaker.platform import NOT_ISOLATED, Platform, image_environment
from local.sagemaker.processes import BASE_DIR_VARIABLE, Command, ContainerProcess, hosts_can_be_named
from local.sagemaker.resources import TrainingJob

_DEFAULT_CHECKPOINT_DIR = "/opt/ml/checkpoints"
_HOLD_SECONDS = 30.0
_HOLD_NETWORK = ["/bin/sh", "-c", "echo $$; exec sleep infinity"]
_NOT_NAMED = (
    "The hosts are named by their addresses, because this machine lets no process have an /etc/hosts of its own. (Run "
    "as root, or allow unprivileged user namespaces.)"
)


@dataclass(frozen=True)
class JobHost:
    """One host: what it is called, where its files lie, where what it prints goes."""

    number: int
    name: str
    address: str
    folder: ContainerFolder
    write_log: Callable[[str], None]


class JobHosts:
    """The hosts of one job for as long as they are lent: a spot job gets new ones after an interruption."""

    def __init__(
        self, job: TrainingJob, platform: Platform, log_writer: Callable[[str], Callable[[str], None]]
    ) -> None:
        self._job = job
        self._platform = platform
        count = job.instance_count
        self._named = count > 1 and hosts_can_be_named()
        addresses = _addresses(count)
        self.hosts: list[JobHost] = []
        self._holder: ContainerProcess | None = None
        try:
            for number, address in enumerate(addresses, 1):
                name = f"algo-{number}" if self._named or count == 1 else address
                folder = platform.new_folder(job.name)
                self.hosts.append(JobHost(number, name, address, folder, log_writer(f"algo-{number}")))
            for host in self.hosts:
                write_job_config(host.folder, job.request, host.name, [each.name for each in self.hosts])
        except BaseException:
            self.remove()
            raise
        if count > 1 and not self._named:
            self.hosts[0].write_log(_NOT_NAMED)

    @property
    def folders(self) -> list[ContainerFolder]:
        """Of all hosts, host 1's first."""
        return [host.folder for host in self.hosts]

    def download(self, cancelled: Callable[[], bool]) -> None:
        """Bring the channels to all hosts: all of it to each, or to each its share (ShardedByS3Key).

        Raises:
            JobFailedError: S3 has not what was named.
        """
        request = self._job.request
        for host in self.hosts:
            for channel in request.get("InputDataConfig", []):
                source = channel["DataSource"]["S3DataSource"]
                sharded = source.get("S3DataDistributionType") == "ShardedByS3Key"
                self._platform.objects.download_prefix(
                    source["S3Uri"],
                    host.folder.base / "input" / "data" / channel["ChannelName"],
                    role_arn=request["RoleArn"],
                    cancelled=cancelled,
                    shard=(host.number - 1, len(self.hosts)) if sharded else (0, 1),
                )

    def checkpoints(self) -> list[CheckpointSync]:
        """One for each host; all to the same prefix, as SageMaker has it."""
        config = self._job.request.get("CheckpointConfig")
        if config is None:
            return []
        local, interval = config.get("LocalPath", _DEFAULT_CHECKPOINT_DIR), self._platform.config.timing
        return [
            CheckpointSync(
                self._platform.objects,
                folder.relocated(local),
                config["S3Uri"],
                interval_seconds=interval.checkpoint_sync_seconds,
            )
            for folder in self.folders
        ]

    def launch(self, on_line: Callable[[str], None], on_change: Callable[[], None]) -> "HostProcesses":
        """Start the container of every host.

        Raises:
            JobFailedError: the network that the hosts share could not be made.
        """
        holder = self._hold_network()
        hosts_file = self._hosts_file() if self._named else None
        processes: list[ContainerProcess] = []
        try:
            for host in self.hosts:
                command = self._command(host, holder, hosts_file)
                write = _both(host.write_log, on_line)
                processes.append(ContainerProcess(command, on_line=write, on_exit=lambda _code: on_change()))
        except BaseException:
            HostProcesses(self.hosts, processes).kill()
            raise
        return HostProcesses(self.hosts, processes)

    def remove(self) -> None:
        """Leave nothing."""
        if self._holder is not None:
            self._holder.kill()
            self._holder.wait()
        for host in self.hosts:
            host.folder.remove()

    def _hold_network(self) -> int | None:
        """A process whose network all hosts of an isolated job share; None if there is one host, or no isolation."""
        if not (self._isolates and self._platform.can_isolate and len(self.hosts) > 1):
            return None
        said: list[str] = []
        ready = threading.Event()

        def on_line(line: str) -> None:
            said.append(line)
            ready.set()

        folder = self.hosts[0].folder
        command = Command(_HOLD_NETWORK, {"PATH": "/usr/bin:/bin"}, folder.work, isolate_network=True)
        self._holder = ContainerProcess(command, on_line=on_line, on_exit=lambda _code: ready.set())
        if not ready.wait(_HOLD_SECONDS) or not said or not said[0].isdigit():
            raise JobFailedError(f"InternalServerError: The hosts' network could not be made: {' '.join(said)}")
        return int(said[0])

    @property
    def _isolates(self) -> bool:
        return bool(self._job.request.get("EnableNetworkIsolation"))

    def _hosts_file(self) -> Path:
        path = self.hosts[0].folder.scratch / "hosts"
        lines = [f"{host.address}\t{host.name}" for host in self.hosts]
        path.write_text("\n".join([Path("/etc/hosts").read_text(), *lines, ""]))
        return path

    def _command(self, host: JobHost, holder: int | None, hosts_file: Path | None) -> Command:
        request: Mapping[str, Any] = self._job.request
        algorithm = request["AlgorithmSpecification"]
        environment = {
            **image_environment(host.folder, self._platform.image(algorithm["TrainingImage"])),
            **request.get("Environment", {}),
            "TRAINING_JOB_NAME": self._job.name,
            "TRAINING_JOB_ARN": self._job.arn,
            BASE_DIR_VARIABLE: str(host.folder.base),
        }
        if self._isolates and not self._platform.can_isolate:
            host.write_log(NOT_ISOLATED)
        entrypoint = algorithm.get("ContainerEntrypoint")
        arguments = algorithm.get("ContainerArguments", [] if entrypoint else ["train"])
        return Command(
            [*(entrypoint or []), *arguments],
            environment,
            host.folder.work,
            isolate_network=self._isolates and self._platform.can_isolate and holder is None,
            join_network_of=holder,
            hosts_file=hosts_file,
            remove_if_orphaned=[host.folder.scratch, host.folder.temporary],
        )


@dataclass(frozen=True)
class HostOutcome:
    """How a job's containers ended: exit status, 128 + n for signal n, and the host that it is of."""

    host: JobHost
    exit_code: int


class HostProcesses:
    """The containers at work."""

    def __init__(self, hosts: Sequence[JobHost], processes: Sequence[ContainerProcess]) -> None:
        self._hosts = hosts
        self._processes = processes

    @property
    def exit_code(self) -> int | None:
        """None while one runs and none has failed; then the first one's that failed, else 0."""
        codes = [process.exit_code for process in self._processes]
        failed = [code for code in codes if code]
        if failed:
            return failed[0]
        return None if None in codes else 0

    def outcome(self) -> HostOutcome:
        """As it is now: the first host that failed, else host 1; 0 for one that still runs."""
        for host, process in zip(self._hosts, self._processes, strict=True):
            if process.exit_code:
                return HostOutcome(host, process.exit_code)
        return HostOutcome(self._hosts[0], 0)

    def terminate(self) -> None:
        """SIGTERM to every container's command."""
        for process in self._processes:
            process.terminate()

    def kill(self) -> None:
        """SIGKILL to everything; returns when nothing is left."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()

    def kill_host(self, number: int) -> None:
        """SIGKILL to everything of one host, if there is such a host."""
        if number <= len(self._processes):
            self._processes[number - 1].kill()


def _both(first: Callable[[str], None], second: Callable[[str], None]) -> Callable[[str], None]:
    def write(line: str) -> None:
        first(line)
        second(line)

    return write


def _addresses(count: int) -> list[str]:
    """Loopback addresses of one block: the one of every program for a single host, else of a block drawn by chance."""
    if count == 1:
        return ["127.0.0.1"]
    block = f"127.{1 + secrets.randbelow(254)}.{secrets.randbelow(256)}"
    return [f"{block}.{number + 1}" for number in range(1, count + 1)]
