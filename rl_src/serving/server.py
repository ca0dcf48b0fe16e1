"""uvicorn around the application; the models are loaded while the port is open already."""

import logging
import signal
import threading
from pathlib import Path

import uvicorn

from rl_src.serving.app import App
from rl_src.serving.artifact import ServedPolicy, load_artifact

GRACE_SECONDS = 25
"""SageMaker kills an inference container 30 s after SIGTERM."""

log = logging.getLogger(__name__)


class ModelServer:
    """Serves one artifact until SIGTERM; requests under way are answered first."""

    def __init__(self, folder: Path, host: str, port: int, threads: int = 1) -> None:
        self._folder = folder
        self._threads = threads
        self._served: ServedPolicy | None = None
        self._error: Exception | None = None
        self._server = uvicorn.Server(
            uvicorn.Config(
                App(lambda: self._served),
                host=host,
                port=port,
                log_level="warning",
                access_log=False,
                lifespan="off",
                timeout_keep_alive=75,  # longer than SageMaker's router keeps its connections
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        )

    def run(self) -> None:
        """Serve until a signal ends it.

        Raises:
            InvalidArtifactError: the model cannot be served.
        """
        # uvicorn drains on SIGTERM and then raises the signal again for whoever handled it before. That is nobody here,
        # and exit code 143 would look like a crash.
        signal.signal(signal.SIGTERM, lambda *_: None)
        threading.Thread(target=self._load, name="load-models", daemon=True).start()
        self._server.run()
        if self._error is not None:
            raise self._error

    def _load(self) -> None:
        try:
            self._served = load_artifact(self._folder, self._threads)
        except Exception as error:
            self._error = error
            self._server.should_exit = True
            return
        log.info("serving version %s: %s", self._served.version, ", ".join(self._served.policies))
