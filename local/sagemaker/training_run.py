"""The life of one training job: Starting, Pending, Downloading, Training, Uploading, and its end.

    Starting ─▶ Pending ─▶ Downloading ─▶ Training ─▶ Uploading ─▶ Completed | Failed
       ▲           │ no capacity             │ spot instances taken away
       └───────────┴────── Interrupted ◀─────┘
    Stopping ─▶ Stopped; MaxRuntimeExceeded; MaxWaitTimeExceeded

Whatever asks for the end (StopTrainingJob, the job's own limits, the service's end) only sets a flag; the thread of the
job does the rest, so that statuses follow one another in one place.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from enum import Enum
from pathlib import Path
from typing import Any

from local.sagemaker.errors import JobFailedError
from local.sagemaker.job_hosts import HostOutcome, HostProcesses, JobHosts
from local.sagemaker.logs import TRAINING_GROUP
from local.sagemaker.metrics import TRAINING_NAMESPACE, LogMetrics, Measurement
from local.sagemaker.objects import pack
from local.sagemaker.platform import Platform
from local.sagemaker.resources import TrainingJob

_DEFAULT_MAX_RUNTIME_SECONDS = 86_400
_FAILURE_REASON_CHARACTERS = 1024
_LOG_FLUSH_SECONDS = 5.0
_LOOK_SECONDS = 0.1
"""A running job's clock and faults are looked at this often."""
_NO_CAPACITY = (
    "CapacityError: Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error. "
    "Please retry using a different ML instance type or after some time."
)

_log = logging.getLogger(__name__)


class Ending(Enum):
    """Why a job is made to end before its container does."""

    STOPPED = "StopTrainingJob"
    MAX_RUNTIME = "MaxRuntimeInSeconds"
    MAX_WAIT = "MaxWaitTimeInSeconds"
    SHUTDOWN = "the service ends"


class _ServiceEndsError(Exception):
    """The job cannot go on because the service ends."""


_STOPPED_AS: dict[Ending, tuple[str, str]] = {
    Ending.STOPPED: ("Stopped", "Training job stopped"),
    Ending.MAX_RUNTIME: ("MaxRuntimeExceeded", "Training job runtime exceeded MaxRuntimeInSeconds provided"),
    Ending.MAX_WAIT: ("MaxWaitTimeExceeded", "Training job wait time exceeded MaxWaitTimeInSeconds provided"),
}
"""Secondary status and message of a job that ends as Stopped."""


class TrainingRun:
    """Runs one job on a thread of its own."""

    def __init__(self, job: TrainingJob, platform: Platform, on_end: Callable[[], None]) -> None:
        self._job = job
        self._platform = platform
        self._clock = platform.clock
        self._on_end = on_end
        self._timing = platform.config.timing
        self._metrics = LogMetrics(job.request["AlgorithmSpecification"].get("MetricDefinitions", []))
        self._ending: Ending | None = None
        self._interrupted = False
        self._ending_set = threading.Event()
        self._changed = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"job-{job.name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self, why: Ending) -> None:
        """Make the job end; the first reason counts, but the service's end goes before all."""
        if self._ending is None or why is Ending.SHUTDOWN:
            self._ending = why
        self._ending_set.set()
        self._changed.set()

    def join(self, timeout_seconds: float | None = None) -> None:
        """Wait until nothing of the job is left."""
        self._thread.join(timeout_seconds)

    @property
    def is_alive(self) -> bool:
        """True until nothing of the job is left."""
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            while not self._live():
                self._interrupted = False
                self._move("Starting", "Preparing the instances for training")
        except _ServiceEndsError:
            with self._platform.store.change():
                settle_without_service(self._job, now=self._clock.now())
        except JobFailedError as error:
            self._finish("Failed", "Training job failed", reason=str(error))
        except Exception as error:
            _log.exception("Job %s failed inside the service", self._job.name)
            self._finish("Failed", "Training job failed", reason=f"InternalServerError: {error!r}")
        finally:
            self._on_end()

    def _live(self) -> bool:
        """From the instances to the end; False if the instances were taken away, and others are to be found."""
        self._wait_for_capacity()
        if self._ending is not None:
            self._conclude_early()
            return True
        hosts = JobHosts(self._job, self._platform, self._log_writer)
        try:
            self._move("Downloading", "Downloading input data")
            hosts.download(cancelled=self._ending_set.is_set)
            self._dwell(self._timing.image_download_seconds, "Downloading", "Downloading the training image")
            outcome = self._with_checkpoints(hosts)
            if self._interrupted and self._ending is None:
                return False
            self._conclude(hosts, outcome)
        finally:
            hosts.remove()
        return True

    def _wait_for_capacity(self) -> None:
        """Starting and Pending.

        Raises:
            JobFailedError: no capacity, and the job is no spot job, which would wait.
        """
        self._dwell(self._timing.starting_seconds)
        self._move("Pending", "Training job waiting for capacity")
        while self._ending is None and self._platform.faults.event("capacity_error", self._job.name):
            if not self._job.is_spot:
                raise JobFailedError(_NO_CAPACITY)
            self._wait_until(self._clock.now() + self._timing.spot_retry_seconds)
        self._dwell(self._timing.pending_seconds)

    def _dwell(self, seconds: float, secondary_status: str = "", message: str = "") -> None:
        """Stay in a phase for so long in all, which a spot job does not beyond its MaxWaitTimeInSeconds."""
        if seconds <= 0 or self._ending is not None:
            return
        if message:
            self._move(secondary_status, message)
        self._wait_until(self._job.transitions[-1]["StartTime"] + seconds)

    def _wait_until(self, moment: float) -> None:
        """A moment of the double's, or the last that the job may wait for."""
        last = self._job.created_at + self._max_wait_seconds()
        ended = self._clock.wait(self._ending_set, max(0.0, min(moment, last) - self._clock.now()))
        if not ended and moment >= last:
            self.end(Ending.MAX_WAIT)

    def _log_writer(self, host: str) -> Callable[[str], None]:
        return self._platform.logs.writer(TRAINING_GROUP, f"{self._job.name}/{host}-{int(self._job.created_at)}")

    def _with_checkpoints(self, hosts: JobHosts) -> HostOutcome | None:
        """Train, with /opt/ml/checkpoints brought down before and mirrored until after."""
        with ExitStack() as closing:
            for checkpoints in hosts.checkpoints():
                checkpoints.begin()
                closing.callback(checkpoints.close)
            if self._ending is not None:
                return None
            self._move("Training", "Training image download completed. Training in progress.")
            began = self._clock.now()
            with self._platform.store.change():
                self._job.started_at = self._job.started_at or began
            try:
                return self._train(hosts, began)
            finally:
                with self._platform.store.change():
                    self._job.trained_seconds += self._clock.now() - began

    def _train(self, hosts: JobHosts, began: float) -> HostOutcome:
        """Run the containers until all have ended, one has failed, or the job is made to end."""
        processes = hosts.launch(self._on_line, self._changed.set)
        kill_at: float | None = None
        while processes.exit_code is None:
            self._look(processes, self._clock.now() - began)
            if (self._ending is not None or self._interrupted) and kill_at is None:
                kill_at = time.monotonic() + self._grace_seconds()
                processes.terminate()
            if self._ending is Ending.SHUTDOWN and kill_at is not None:
                kill_at = min(kill_at, time.monotonic() + self._grace_seconds())
            if kill_at is not None and time.monotonic() >= kill_at:
                break
            self._changed.wait(_LOOK_SECONDS)
            self._changed.clear()
        outcome = processes.outcome()
        processes.kill()  # all hosts of a job end with the first that fails
        return outcome

    def _look(self, processes: HostProcesses, elapsed_seconds: float) -> None:
        """What the job's own limits and the fault plan say now."""
        if self._ending is not None or self._interrupted:
            return
        faults, name = self._platform.faults, self._job.name
        if self._job.trained_seconds + elapsed_seconds >= self._max_runtime_seconds():
            self.end(Ending.MAX_RUNTIME)
        elif self._clock.now() - self._job.created_at >= self._max_wait_seconds():
            self.end(Ending.MAX_WAIT)
        elif self._job.is_spot and faults.event("spot_interruption", name, elapsed_seconds):
            self._interrupt()
        elif lost := faults.event("host_loss", name, elapsed_seconds):
            processes.kill_host(lost.host)

    def _interrupt(self) -> None:
        self._interrupted = True
        with self._platform.store.change():
            self._job.interruptions += 1
        self._move("Interrupted", "Training job interrupted: the spot instances were taken away")

    def _on_line(self, line: str) -> None:
        now = time.time()
        for name, value in self._metrics.find(line):
            with self._platform.store.lock:
                self._job.metrics[name] = {"MetricName": name, "Value": value, "Timestamp": now}
            dimensions = (("TrainingJobName", self._job.name),)
            self._platform.metrics.add(Measurement(TRAINING_NAMESPACE, name, dimensions, value, "None", now))

    def _conclude_early(self) -> None:
        """The job is made to end before it has hosts: there is nothing to upload."""
        self._finish_stopped(self._final_ending())

    def _conclude(self, hosts: JobHosts, outcome: HostOutcome | None) -> None:
        ending = self._final_ending()
        failed = outcome is not None and outcome.exit_code != 0 and ending is None
        if not failed:
            self._move("Uploading", "Uploading generated training model")
            models = [folder.model for folder in hosts.folders]
            self._upload(models, hosts, "model.tar.gz", even_if_empty=ending is None)
        self._upload([folder.output_data for folder in hosts.folders], hosts, "output.tar.gz", even_if_empty=False)
        if failed and outcome is not None:
            raise JobFailedError(_algorithm_error(outcome.host.folder.failure(), outcome.exit_code))
        if ending is None:
            self._finish("Completed", "Training job completed")
        else:
            self._finish_stopped(ending)

    def _final_ending(self) -> Ending | None:
        """Why the job ends: what is asked for from now on comes too late.

        Raises:
            _ServiceEndsError: nothing more can be done for the job.
        """
        ending = self._ending
        if ending is Ending.SHUTDOWN:
            raise _ServiceEndsError
        return ending

    def _upload(self, contents: Sequence[Path], hosts: JobHosts, name: str, *, even_if_empty: bool) -> None:
        if not even_if_empty and not any(any(content.iterdir()) for content in contents):
            return
        archive = hosts.folders[0].scratch / name
        pack(contents, archive)
        self._platform.objects.upload_file(archive, f"{output_uri(self._job.request)}/{name}")

    def _move(self, secondary_status: str, message: str) -> None:
        """Enter a phase, unless the job is being stopped: then it stays in Stopping, as SageMaker shows it."""
        with self._platform.store.change():
            if self._job.status == "InProgress":
                self._job.move(secondary_status, message, now=self._clock.now())

    def _finish_stopped(self, ending: Ending | None) -> None:
        if ending is None:
            raise RuntimeError("a job was stopped without a reason")
        secondary_status, message = _STOPPED_AS[ending]
        self._finish("Stopped", message, secondary_status=secondary_status)

    def _finish(self, status: str, message: str, *, secondary_status: str | None = None, reason: str = "") -> None:
        self._platform.logs.flush(_LOG_FLUSH_SECONDS)  # who sees the end of the job can read the end of its log
        with self._platform.store.change():
            self._job.failure_reason = reason[:_FAILURE_REASON_CHARACTERS]
            self._job.move(secondary_status or status, message, status, now=self._clock.now())

    def _max_wait_seconds(self) -> float:
        condition: dict[str, Any] = self._job.request["StoppingCondition"]
        return float(condition["MaxWaitTimeInSeconds"]) if self._job.is_spot else math.inf

    def _max_runtime_seconds(self) -> float:
        condition: dict[str, Any] = self._job.request["StoppingCondition"]
        return float(condition.get("MaxRuntimeInSeconds", _DEFAULT_MAX_RUNTIME_SECONDS))

    def _grace_seconds(self) -> float:
        if self._ending is Ending.SHUTDOWN:
            return self._timing.shutdown_grace_seconds
        return self._timing.stop_grace_seconds


def settle_without_service(job: TrainingJob, *, now: float) -> None:
    """What becomes of a job whose service ended: a spot job stays, to be restarted as after any interruption."""
    if job.has_ended:
        return
    if job.status == "Stopping":
        job.move("Stopped", "Training job stopped", "Stopped", now=now)
    elif not job.is_spot:
        job.failure_reason = "InternalServerError: The local service ended while the job was running."
        job.move("Failed", "Training job failed", "Failed", now=now)


def output_uri(request: dict[str, Any]) -> str:
    """Where a job's artifacts go: S3OutputPath/<job>/output."""
    return f"{request['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{request['TrainingJobName']}/output"


def _algorithm_error(failure: str, exit_code: int) -> str:
    """FailureReason as SageMaker words it; the exit status is kept when the text is too long for both."""
    end = f", exit code: {exit_code}"
    begin = "AlgorithmError: "
    return f"{begin}{failure[: _FAILURE_REASON_CHARACTERS - len(begin) - len(end)]}{end}"
