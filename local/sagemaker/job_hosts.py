"""The hosts of one training job: to each a folder that is its /opt/ml, a place in a network, and a container."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from local.sagemaker.checkpoints import CheckpointSync
from local.sagemaker.containers import Asked
from local.sagemaker.job_folder import ContainerFolder, write_job_config
from local.sagemaker.platform import NOT_ISOLATED, Platform
from local.sagemaker.processes import ContainerProcess
from local.sagemaker.resources import TrainingJob

_DEFAULT_CHECKPOINT_DIR = "/opt/ml/checkpoints"


@dataclass(frozen=True)
class JobHost:
    """One host: what it is called, where its files lie, where what it prints goes."""

    number: int
    name: str
    folder: ContainerFolder
    write_log: Callable[[str], None]


class JobHosts:
    """The hosts of one job for as long as they are lent: a spot job gets new ones after an interruption."""

    def __init__(
        self, job: TrainingJob, platform: Platform, log_writer: Callable[[str], Callable[[str], None]]
    ) -> None:
        self._job = job
        self._platform = platform
        isolated = bool(job.request.get("EnableNetworkIsolation"))
        self._network = platform.containers.network(job.instance_count, isolated=isolated)
        self.hosts: list[JobHost] = []
        try:
            for number, name in enumerate(self._network.names, 1):
                folder = platform.new_folder(job.name)
                self.hosts.append(JobHost(number, name, folder, log_writer(f"algo-{number}")))
            for host in self.hosts:
                write_job_config(host.folder, job.request, host.name, self._network.names, self._network.interface)
                if isolated and not platform.containers.isolates:
                    host.write_log(NOT_ISOLATED)
        except BaseException:
            self.remove()
            raise
        if self._network.note:
            self.hosts[0].write_log(self._network.note)

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
        self._network.open(self.hosts[0].folder)
        processes: list[ContainerProcess] = []
        try:
            for host in self.hosts:
                command = self._network.command(host.number, self._asked(host))
                write = _both(host.write_log, on_line)
                processes.append(ContainerProcess(command, on_line=write, on_exit=lambda _code: on_change()))
        except BaseException:
            HostProcesses(self.hosts, processes).kill()
            raise
        return HostProcesses(self.hosts, processes)

    def remove(self) -> None:
        """Leave nothing."""
        self._network.close()
        for host in self.hosts:
            host.folder.remove()

    def _asked(self, host: JobHost) -> Asked:
        request: Mapping[str, Any] = self._job.request
        algorithm = request["AlgorithmSpecification"]
        variables = {
            **request.get("Environment", {}),
            "TRAINING_JOB_NAME": self._job.name,
            "TRAINING_JOB_ARN": self._job.arn,
        }
        entrypoint = algorithm.get("ContainerEntrypoint")
        arguments = algorithm.get("ContainerArguments", [] if entrypoint else ["train"])
        image = self._platform.image(algorithm["TrainingImage"])
        return Asked(image, host.folder, [*(entrypoint or []), *arguments], variables)


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
