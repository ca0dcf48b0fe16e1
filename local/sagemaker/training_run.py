"""The life of one training job: Starting, Downloading, Training, Uploading, and its end.

Whatever asks for the end (StopTrainingJob, MaxRuntimeInSeconds, the service's own end) only sets a flag; the thread of
the job does the rest, so that statuses follow one another in one place.
"""

import logging
import threading
import time
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any

from local.sagemaker.checkpoints import CheckpointSync
from local.sagemaker.errors import JobFailedError
from local.sagemaker.job_folder import HOST_NAME, ContainerFolder, write_job_config
from local.sagemaker.logs import TRAINING_GROUP
from local.sagemaker.metrics import TRAINING_NAMESPACE, LogMetrics, Measurement
from local.sagemaker.objects import pack
from local.sagemaker.platform import NOT_ISOLATED, Platform, image_environment
from local.sagemaker.processes import BASE_DIR_VARIABLE, Command, ContainerProcess
from local.sagemaker.resources import TrainingJob

_DEFAULT_MAX_RUNTIME_SECONDS = 86_400
_DEFAULT_CHECKPOINT_DIR = "/opt/ml/checkpoints"
_FAILURE_REASON_CHARACTERS = 1024
_LOG_FLUSH_SECONDS = 5.0

_log = logging.getLogger(__name__)


class Ending(Enum):
    """Why a job is made to end before its container does."""

    STOPPED = "StopTrainingJob"
    MAX_RUNTIME = "MaxRuntimeInSeconds"
    SHUTDOWN = "the service ends"


class TrainingRun:
    """Runs one job on a thread of its own."""

    def __init__(self, job: TrainingJob, platform: Platform, on_end: Callable[[], None]) -> None:
        self._job = job
        self._platform = platform
        self._on_end = on_end
        self._timing = platform.config.timing
        self._metrics = LogMetrics(job.request["AlgorithmSpecification"].get("MetricDefinitions", []))
        stream = f"{job.name}/{HOST_NAME}-{int(job.created_at)}"
        self._write_log = platform.logs.writer(TRAINING_GROUP, stream)
        self._ending: Ending | None = None
        self._changed = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"job-{job.name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self, why: Ending) -> None:
        """Make the job end; the first reason counts, but the service's end goes before all."""
        if self._ending is None or why is Ending.SHUTDOWN:
            self._ending = why
        self._changed.set()

    def join(self, timeout_seconds: float | None = None) -> None:
        """Wait until nothing of the job is left."""
        self._thread.join(timeout_seconds)

    @property
    def is_alive(self) -> bool:
        """True until nothing of the job is left."""
        return self._thread.is_alive()

    def _run(self) -> None:
        folder: ContainerFolder | None = None
        try:
            folder = self._platform.new_folder(self._job.name)
            self._live(folder)
        except JobFailedError as error:
            self._finish("Failed", "Training job failed", reason=str(error))
        except Exception as error:
            _log.exception("Job %s failed inside the service", self._job.name)
            self._finish("Failed", "Training job failed", reason=f"InternalServerError: {error!r}")
        finally:
            if folder is not None:
                folder.remove()
            self._on_end()

    def _live(self, folder: ContainerFolder) -> None:
        request = self._job.request
        self._move("Downloading", "Downloading input data")
        write_job_config(folder, request)
        for channel in request.get("InputDataConfig", []):
            self._platform.objects.download_prefix(
                channel["DataSource"]["S3DataSource"]["S3Uri"],
                folder.base / "input" / "data" / channel["ChannelName"],
                role_arn=request["RoleArn"],
                cancelled=lambda: self._ending is not None,
            )
        checkpoints = self._checkpoints(folder)
        if checkpoints is not None:
            checkpoints.begin()
        exit_code = 0
        try:
            if self._ending is None:
                self._move("Training", "Training image download completed. Training in progress.")
                exit_code = self._train(folder)
        finally:
            if checkpoints is not None:
                checkpoints.close()
        self._conclude(folder, exit_code)

    def _checkpoints(self, folder: ContainerFolder) -> CheckpointSync | None:
        config = self._job.request.get("CheckpointConfig")
        if config is None:
            return None
        local = folder.relocated(config.get("LocalPath", _DEFAULT_CHECKPOINT_DIR))
        interval_seconds = self._timing.checkpoint_sync_seconds
        return CheckpointSync(self._platform.objects, local, config["S3Uri"], interval_seconds=interval_seconds)

    def _train(self, folder: ContainerFolder) -> int:
        """Run the container; returns its exit status, 128 + n for signal n."""
        with self._platform.store.change():
            self._job.started_at = time.time()
        process = ContainerProcess(
            self._command(folder), on_line=self._on_line, on_exit=lambda _code: self._changed.set()
        )
        deadline = time.monotonic() + self._max_runtime_seconds()
        kill_at: float | None = None
        while process.exit_code is None:
            if self._ending is None and time.monotonic() >= deadline:
                self._ending = Ending.MAX_RUNTIME
            if self._ending is not None and kill_at is None:
                kill_at = time.monotonic() + self._grace_seconds()
                process.terminate()
            if self._ending is Ending.SHUTDOWN and kill_at is not None:
                kill_at = min(kill_at, time.monotonic() + self._grace_seconds())
            if kill_at is not None and time.monotonic() >= kill_at:
                process.kill()
                process.wait()
            else:
                self._changed.wait(max(0.0, (kill_at or deadline) - time.monotonic()))
                self._changed.clear()
        process.wait()
        return process.exit_code

    def _command(self, folder: ContainerFolder) -> Command:
        request = self._job.request
        algorithm = request["AlgorithmSpecification"]
        environment = {
            **image_environment(folder, self._platform.image(algorithm["TrainingImage"])),
            **request.get("Environment", {}),
            "TRAINING_JOB_NAME": self._job.name,
            "TRAINING_JOB_ARN": self._job.arn,
            BASE_DIR_VARIABLE: str(folder.base),
        }
        isolate = bool(request.get("EnableNetworkIsolation"))
        if isolate and not self._platform.can_isolate:
            self._write_log(NOT_ISOLATED)
        entrypoint = algorithm.get("ContainerEntrypoint")
        arguments = algorithm.get("ContainerArguments", [] if entrypoint else ["train"])
        return Command(
            [*(entrypoint or []), *arguments],
            environment,
            folder.work,
            isolate_network=isolate and self._platform.can_isolate,
            remove_if_orphaned=[folder.scratch, folder.temporary],
        )

    def _on_line(self, line: str) -> None:
        self._write_log(line)
        now = time.time()
        for name, value in self._metrics.find(line):
            with self._platform.store.lock:
                self._job.metrics[name] = {"MetricName": name, "Value": value, "Timestamp": now}
            dimensions = (("TrainingJobName", self._job.name),)
            self._platform.metrics.add(Measurement(TRAINING_NAMESPACE, name, dimensions, value, "None", now))

    def _conclude(self, folder: ContainerFolder, exit_code: int) -> None:
        if self._ending is Ending.SHUTDOWN:
            raise JobFailedError("InternalServerError: The local service ended while the job was running.")
        failed = exit_code != 0 and self._ending is None
        if not failed:
            self._move("Uploading", "Uploading generated training model")
            self._upload(folder.model, folder, "model.tar.gz", even_if_empty=self._ending is None)
        self._upload(folder.output_data, folder, "output.tar.gz", even_if_empty=False)
        if failed:
            raise JobFailedError(_algorithm_error(folder.failure(), exit_code))
        if self._ending is Ending.STOPPED:
            self._finish("Stopped", "Training job stopped")
        elif self._ending is Ending.MAX_RUNTIME:
            message = "Training job runtime exceeded MaxRuntimeInSeconds provided"
            self._finish("Stopped", message, secondary_status="MaxRuntimeExceeded")
        else:
            self._finish("Completed", "Training job completed")

    def _upload(self, content: Path, folder: ContainerFolder, name: str, *, even_if_empty: bool) -> None:
        if not even_if_empty and not any(content.iterdir()):
            return
        archive = folder.scratch / name
        pack(content, archive)
        self._platform.objects.upload_file(archive, f"{output_uri(self._job.request)}/{name}")

    def _move(self, secondary_status: str, message: str) -> None:
        """Enter a phase, unless the job is being stopped: then it stays in Stopping, as SageMaker shows it."""
        with self._platform.store.change():
            if self._job.status == "InProgress":
                self._job.move(secondary_status, message)

    def _finish(self, status: str, message: str, *, secondary_status: str | None = None, reason: str = "") -> None:
        self._platform.logs.flush(_LOG_FLUSH_SECONDS)  # who sees the end of the job can read the end of its log
        with self._platform.store.change():
            self._job.failure_reason = reason[:_FAILURE_REASON_CHARACTERS]
            self._job.move(secondary_status or status, message, status)

    def _max_runtime_seconds(self) -> float:
        condition: dict[str, Any] = self._job.request["StoppingCondition"]
        return float(condition.get("MaxRuntimeInSeconds", _DEFAULT_MAX_RUNTIME_SECONDS))

    def _grace_seconds(self) -> float:
        if self._ending is Ending.SHUTDOWN:
            return self._timing.shutdown_grace_seconds
        return self._timing.stop_grace_seconds


def output_uri(request: dict[str, Any]) -> str:
    """Where a job's artifacts go: S3OutputPath/<job>/output."""
    return f"{request['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{request['TrainingJobName']}/output"


def _algorithm_error(failure: str, exit_code: int) -> str:
    """FailureReason as SageMaker words it; the exit status is kept when the text is too long for both."""
    end = f", exit code: {exit_code}"
    begin = "AlgorithmError: "
    return f"{begin}{failure[: _FAILURE_REASON_CHARACTERS - len(begin) - len(end)]}{end}"
