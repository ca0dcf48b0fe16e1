"""The local cloud as a whole: how it comes up, what it looks like, how it goes down.

    up    end what a crashed `up` left → emulator → SageMaker service → sam build → sam deploy → connection.json
    down  SageMaker service (ends jobs and endpoints) → emulator (saves its state) → whatever is left → files

Every process is written down the moment it runs, so whatever becomes of `up`, `down` finds it.
"""

import contextlib
import os
import shutil
import signal
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import psutil

from local import emulator, sagemaker_process
from local.connection import Connection, connect, read_connection, write_connection
from local.deployment import build, deploy
from local.errors import BusyError, StartError, StopError
from local.images.build import Images, build_images
from local.lost_executions import tell_of_lost_executions
from local.ports import choose_ports
from local.processes import ProcessRecord, kill, log_tail, stop, survivors
from local.progress import Progress
from local.records import CloudRecord, exclusive, lock_owner, read_record, remove_record, write_record
from local.settings import LocalSettings

_JOBS_GRACE_SECONDS = 20.0
_EMULATOR_GRACE_SECONDS = 30.0
_DOWN_WAIT_SECONDS = 90.0
_WATCH_SECONDS = 0.5
_STATE = ("emulator", "sagemaker", "deployed.json")
"""What outlives a cloud: buckets, tables, stack, jobs and endpoints. `ports.json` stays too."""


@dataclass(frozen=True)
class CloudStatus:
    """What runs. `connection` is there once the cloud is up; `busy`: `up` or `down` is at work on it."""

    record: CloudRecord | None
    connection: Connection | None
    busy: bool

    @property
    def is_up(self) -> bool:
        """True when everything runs and is deployed."""
        return self.record is not None and self.record.is_up and self.connection is not None


class LocalCloud:
    """One local cloud: one state directory."""

    def __init__(self, settings: LocalSettings, progress: Progress) -> None:
        self._settings = settings
        self._progress = progress
        self._state_dir = settings.state_dir

    def status(self) -> CloudStatus:
        """What runs now."""
        record = read_record(self._state_dir)
        up = record is not None and record.is_up
        connection = read_connection(self._settings.connection_file) if up else None
        return CloudStatus(record=record, connection=connection, busy=lock_owner(self._state_dir) is not None)

    def up(self, *, fresh: bool = False, containers: bool = False) -> tuple[Connection, bool]:
        """Bring the cloud up and deploy, unless it is up.

        Args:
            fresh: throw the state of earlier clouds away first; refused while the cloud is up.
            containers: start jobs and endpoints from their images, which are built first, rather than as processes.

        Returns:
            The connection, and whether this call started the cloud.

        Raises:
            LocalCloudError: something failed; nothing of the cloud runs then.
        """
        self._settings.check_tools()
        with exclusive(self._state_dir):
            status = self.status()
            if status.connection is not None:
                if fresh:
                    raise BusyError("The local cloud is up. End it first: gamedojo local down")
                if containers and not sagemaker_process.starts_from_images(self._settings):
                    raise BusyError("The local cloud is up, with processes. End it first: gamedojo local down")
                return status.connection, False
            self._end_processes()
            if fresh:
                self._forget_state()
            try:
                images = build_images(self._settings.checkout, self._progress) if containers else None
                return self._start(images), True
            except BaseException:
                self._progress.note("  ✗ Ending what has been started")
                self._end_processes()
                raise

    def down(self) -> bool:
        """End the cloud; an `up` that is still at work is told to give up.

        Returns:
            Whether anything ran.

        Raises:
            StopError: a process could not be ended.
        """
        if not self._state_dir.is_dir():
            return False
        owner = lock_owner(self._state_dir)
        if owner is not None and owner != os.getpid():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(owner, signal.SIGTERM)
        with exclusive(self._state_dir, wait_seconds=_DOWN_WAIT_SECONDS):
            return self._end_processes() or owner is not None

    def watch(self) -> None:
        """Return when the cloud was ended by `down`.

        Raises:
            StartError: a process ended by itself.
        """
        while (record := read_record(self._state_dir)) is not None:
            ended = [process for process in record.processes if not process.is_running]
            # `down` holds the lock while it ends processes, and forgets the record before it lets go
            if ended and not self._is_locked() and read_record(self._state_dir) == record:
                raise StartError(f"The {ended[0].name} has ended by itself.\n{log_tail(self._log_file(ended[0]))}")
            time.sleep(_WATCH_SECONDS)

    def _start(self, images: Images | None) -> Connection:
        for folder in (self._settings.temporary_dir, self._settings.home_dir):
            folder.mkdir(parents=True, exist_ok=True)
        emulator_port, sagemaker_port = choose_ports(self._state_dir)
        emulator_url, sagemaker_url = emulator.url(emulator_port), emulator.url(sagemaker_port)
        record = CloudRecord()
        with self._progress.step("Starting the emulator and the SageMaker service"):
            started = emulator.start_emulator(self._settings, port=emulator_port, sagemaker_url=sagemaker_url)
            write_record(self._state_dir, record := record.with_process(started))
            emulator.wait_for_emulator(self._settings, started)
            started = sagemaker_process.start_sagemaker(
                self._settings, port=sagemaker_port, emulator_url=emulator_url, images=images
            )
            write_record(self._state_dir, record := record.with_process(started))
            sagemaker_process.wait_for_sagemaker(self._settings, started)
        template = build(self._settings, self._progress)
        stack = deploy(self._settings, template, emulator_url=emulator_url, progress=self._progress)
        self._tell_of_lost_executions(emulator_url, since=record.started_at)
        connection = connect(stack, emulator_url=emulator_url, sagemaker_url=sagemaker_url)
        write_connection(self._settings.connection_file, connection)
        write_record(self._state_dir, replace(record, ready=True))
        return connection

    def _tell_of_lost_executions(self, emulator_url: str, *, since: float) -> None:
        told = tell_of_lost_executions(emulator_url, since=datetime.fromtimestamp(since, UTC))
        if told:
            runs = "1 run was" if len(told) == 1 else f"{len(told)} runs were"
            self._progress.note(f"  ! {runs} cut short when the last cloud ended; start them again")

    def _end_processes(self) -> bool:
        """End everything that belongs to this state directory. Returns whether anything ran."""
        record = read_record(self._state_dir) or CloudRecord()
        left = survivors(self._state_dir)
        ran = bool(left) or any(process.is_running for process in record.processes)
        for name, grace in (
            (sagemaker_process.NAME, _JOBS_GRACE_SECONDS),
            (emulator.NAME, _EMULATOR_GRACE_SECONDS),
        ):
            process = record.process(name)
            if process is not None:
                stop(process, grace_seconds=grace)
        immortal = kill(survivors(self._state_dir))
        if immortal:
            raise StopError(f"These processes could not be ended: {_names(immortal)}")
        self._settings.connection_file.unlink(missing_ok=True)
        shutil.rmtree(self._settings.temporary_dir, ignore_errors=True)
        remove_record(self._state_dir)
        return ran

    def _forget_state(self) -> None:
        for name in _STATE:
            path = self._state_dir / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    def _is_locked(self) -> bool:
        return lock_owner(self._state_dir) is not None

    def _log_file(self, process: ProcessRecord) -> Path:
        if process.name == emulator.NAME:
            return emulator.log_file(self._settings)
        return sagemaker_process.log_file(self._settings)


def _names(processes: list[psutil.Process]) -> str:
    return ", ".join(f"{process.pid} ({process.name()})" for process in processes)
